"""Every command that README, docs and the leaderboard's README show is run as it stands there, page by page.

A page's commands run one after the other, beside the files it shows, in a folder whose nharness.toml makes them small; names in capitals stand for
what a reader has: a model, a run. docs/plugins.md has its own test beside the files it shows. What needs more than a
reader's machine is run too, and must say in a sentence what it lacks.
"""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from nharness.cli.main import main
from nharness.corpora import load_corpus
from nharness.plugins import Plugins

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = """
languages = ["en", "de", "zh"]
tasks = ["ppl"]
detect-tokens = 6000
eval-tokens = 250
control-tokens = 120
controls = 1
least-controls = 1
bootstrap-draws = 100
"""
LACKING = {
    "ORG/DATASET": "a dataset of the hub",
    "xcopa": "data of the hub",
    "'all[zh]'": "data of the hub",
    "hellaswag": "data of the hub",
    "ntrex": "a copy of NTREX",
    "--push": "a network; test_dataset.py goes as far as it",
    "--variant full": "models and text of the hub",
    "compare --models": "records of several models; tests of the comparison make them",
    "OUT/records/*": "a run that climbed ladders; tests/leaderboard/test_commands.py compares such",
    "--base origin/main": "a clone with its origin; tests/leaderboard/test_workflow.py makes one",
}
ELSEWHERE = ("--executor ray", "-p to_wandb", "-p to_mlflow")
"""What has tests of its own, since it starts what outlives a command: tests/harness/run/ray, test_trackers.py."""
SHIPPED = re.compile(r"--study ([a-z]+-[a-z]+\d{4})\b(?!.*--collect-only)")
"""A study that ships runs for many minutes, on models of its own: it is run on a tiny one, with tiny limits."""
SHRUNK = (
    (r"models = .*", 'models = ["M"]'),
    (r"languages = .*", 'languages = ["en", "de", "zh"]'),
    (r"budget_curve = .*|budget = .*", "budget = 0.2"),
    (r"tokens = \d+", "tokens = 250"),
    (r"(draws|least) = \d+", r"\1 = 1"),
)
MAY_FAIL = ("validate", "compare", "leaderboard check")
"""Commands that judge what they are given: 1 is an answer."""


def lines(page):
    """Return the commands of a page, those of several alternatives one by one, what stands for anything filled in."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines() if language in {"", "sh"} else ():
            match = re.match(r"\s*(?:\w+=\S* )*(?:srun )?nharness (.*?)(\s+#.*)?$", line)
            if match and not any(each in match[1] for each in ELSEWHERE):
                found += _alternatives(match[1].replace("[--json]", "--json"))
    return found


def _alternatives(line):
    choice = re.search(r"\b(\w+(?:\|\w+)+)\b", line)
    if choice is not None:
        return [line.replace(choice[1], each) for each in choice[1].split("|")]
    jobs = "1234" if "$SLURM_ARRAY_TASK_ID" in line else "1"
    return [line.replace("$SLURM_ARRAY_TASK_ID", job) for job in jobs]


PAGES = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "leaderboard" / "README.md"]
    if path.name != "plugins.md" and lines(path)
]


@pytest.fixture(scope="module")
def ready(tmp_path_factory, tiny_model_folder):
    """A folder with what the pages' names in capitals stand for."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "nharness.toml").write_text(SETTINGS)
    sample = load_corpus("sample", named={"sample": Plugins().resolve("corpora", "sample")})
    for split in ("detect", "eval"):
        for tag in ("en", "de", "zh"):
            rows = [
                {"id": each.id, "url": each.id, "text": each.text, "body": each.text}
                for each, _ in zip(sample.documents(tag, split), range(40), strict=False)
            ]
            for place in ("my_texts", "C"):
                target = folder / place / split / f"{tag}.jsonl"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text("".join(json.dumps(row) + "\n" for row in rows))
            prompts = folder / "PROMPTS" / split / f"{tag}.jsonl"
            prompts.parent.mkdir(parents=True, exist_ok=True)
            prompts.write_text(
                "".join(
                    json.dumps({"id": row["id"], "prompt": row["text"][:60], "text": row["text"][60:200]}) + "\n"
                    for row in rows
                )
            )
    tasks = folder / "my_tasks"
    tasks.mkdir()
    for tag in ("en", "de"):
        (tasks / f"my_task_{tag}.jsonl").write_text(
            "".join(json.dumps({"q": f"word {i}", "c": [" a", " b"], "a": i % 2}) + "\n" for i in range(6))
        )
        (tasks / f"my_task_{tag}.yaml").write_text(
            f"task: my_task_{tag}\ndataset_path: json\n"
            f"dataset_kwargs: {{data_files: {{test: my_tasks/my_task_{tag}.jsonl}}}}\ntest_split: test\n"
            'output_type: multiple_choice\ndoc_to_text: "{{q}}"\ndoc_to_choice: "{{c}}"\ndoc_to_target: a\n'
            "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for seed, out in enumerate(("kept", "OUT", "OTHER")):
            assert main(["run", "--detector", "lape", "--seed", str(seed), "--out", out, "-q"]) == 0
        assert main(["leaderboard", "add", "OTHER/records/lape-zero", "--results", "leaderboard/results"]) == 0
    for name, out in (("neurons", "OUT"), ("later", "OTHER")):
        shutil.copy(folder / out / "records" / "lape-zero" / "neurons.safetensors", folder / f"{name}.safetensors")
    study = (ROOT / "tasks" / "nharness_tasks" / "studies" / "three-kinds.toml").read_text(encoding="utf-8")
    small = 'corpora = [{ name = "sample", detect_tokens = 2000, eval_tokens = 250 }]\nlanguages = ["en", "de", "zh"]'
    study = study.replace("draws = 5", "draws = 1, eval_tokens = 120").replace('corpora = ["sample"]', small)
    (folder / "study.toml").write_text(study)
    model = str(tiny_model_folder)
    return folder, {"M": model, "MODEL": model, "FOLDER_OR_HUB_NAME": model, "ntrex": "C"}


def filled(line, names):
    """Return the words of a command, placeholders and patterns of files filled in."""
    for shown, meant in (
        ("nharness-runs/...", "OUT"),
        ("run ...", "run --detector lape"),
        ("MY_TEXTS/", "my_texts"),
        ("--model smollm2", "--model M"),
        ("--detect-tokens 8000 --eval-tokens 1500", ""),  # tests/wheel.py follows the tutorial to the letter
        ("RUN_OR_RECORD", "OUT"),
        ("nharness-runs/lape-babel-0123abcd", "kept"),
        ("tasks/nharness_tasks/studies/three-kinds.toml", "study.toml"),
    ):
        line = line.replace(shown, meant)
    found = []
    for word in shlex.split(line):
        matches = sorted(map(str, Path().glob(word))) if "*" in word else []
        found += matches[:1] or [names.get(word, word)]
    return found


def shrunk(name, names):
    """Write a study that ships so that it takes seconds, its findings as they are; return the file's name."""
    text = (ROOT / "tasks" / "nharness_tasks" / "studies" / name / "small.toml").read_text(encoding="utf-8")
    for pattern, meant in SHRUNK:
        text = re.sub(pattern, meant, text)
    Path(f"{name}.toml").write_text(text.replace('"M"', json.dumps(names["M"])))
    return f"{name}.toml"


@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_every_command_runs(page, ready, monkeypatch, capsys):
    folder, names = ready
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name, text in re.findall(r"^```python\n(?=# (\w+\.py)\n)(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        (folder / name).write_text(text)
    for line in lines(page):
        study = SHIPPED.search(line)
        code = main(filled(line if study is None else line.replace(study[1], shrunk(study[1], names)), names))
        said = capsys.readouterr()
        why = f"{page.name}: nharness {line}\n{said.out[-600:]}\n{said.err[-600:]}"
        if any(mark in line for mark in LACKING) and code:
            assert code in (1, 4, 5), why
            assert said.err.strip(), why
            assert not re.search("internal error|Traceback", said.err), why
        else:
            assert code in ((0, 1) if line.startswith(MAY_FAIL) or study else (0,)), why


def test_nothing_is_excused_that_no_page_shows():
    shown = [line for page in PAGES for line in lines(page)]
    assert [mark for mark in LACKING if not any(mark in line for line in shown)] == []
