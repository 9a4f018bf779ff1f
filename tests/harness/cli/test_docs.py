"""The pages of docs/ say what is so: tables are those of the schema, commands parse, TOML and Python run."""

import argparse
import importlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nharness
from nharness.cli import options, settings
from nharness.cli.main import COMMANDS, main
from nharness.corpora import load_corpus
from nharness.ranges import expected_at
from nharness.record.matrix import matrix_of
from nharness.record.model import Record
from nharness.record.schema import asserted_table
from nharness.run.plan.study import KEYS, load_study
from nharness.spec import AnalysisSpec, Claim, ControlSpec, CorpusSpec, ModelSpec, Named, RunSpec, TaskOptions
from nharness_leaderboard.results import read_results
from nharness_leaderboard.verdicts import document as verdicts_document
from nharness_leaderboard.verdicts import study_verdicts

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "docs").glob("*.md"))
OWN_KEYS = {
    "also": ("none", "a list of tables", "further runs, in which these keys replace the study's"),
    "name": ("the file's name", "a text", "what the study is called"),
    "models": ('`["babel"]`', "a list of names and tables", "each is a run of its own"),
    "corpora": ('`["sample"]`', "a list of names and tables", "each is a run of its own"),
    "findings": ("none", "a list of names", "registered claims on the records of all runs together, at the end"),
    "kinds": ("all neurons", "a list of lists", "each list is a run of its own: kinds that are deactivated in it"),
}
TABLES = {
    "models": ModelSpec,
    "corpora": CorpusSpec,
    "detectors": Named,
    "interventions": Named,
    "task_options": TaskOptions,
    "controls": ControlSpec,
    "analysis": AnalysisSpec,
    "claims": Claim,
}


def page(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def row(model, name):
    field = model.model_fields[name]
    default = field.get_default(call_default_factory=True)
    default = (
        default.model_dump(mode="json")
        if hasattr(default, "model_dump")
        else [d.name for d in default]
        if name in TABLES and default
        else default
    )
    shown = (
        "required"
        if field.is_required()
        else "none"
        if default in (None, {}, [], ())
        else "see below"
        if name in TABLES and isinstance(default, dict)
        else f"`{json.dumps(default)}`"
    )
    return f"| `{name}` | {shown} | {expected_at(model, name) or 'anything'} | {field.description} |"


def tables(name):
    """Return the rows that a page must have, and no others, table by table."""
    if name == "configuration":
        return [
            [
                f"| `{o.name}` | {o.default or 'none'} | {o.accepts} | {o.meaning} | `{o.place}` |"
                for group in options.GROUPS.values()
                for o in group
            ]
        ]
    top = [f"| `{key}` | {' | '.join(OWN_KEYS[key])} |" if key in OWN_KEYS else row(RunSpec, key) for key in KEYS]
    models: dict[Any, None] = dict.fromkeys(TABLES.values())
    return [top, *([row(model, field) for field in model.model_fields] for model in models)]


@pytest.mark.parametrize("name", ["studies", "configuration"])
def test_tables_are_those_of_the_schema(name):
    """Where they are not, `python tests/harness/cli/test_docs.py` writes them anew."""
    assert [line for line in page(name).splitlines() if line.startswith("| `")] == [
        line for rows in tables(name) for line in rows
    ]


def test_every_part_of_a_record_and_only_those_are_described():
    described = re.findall(r"(?m)^\| `(\w+)` \| ", page("results").partition("\n## What a record can prove")[0])
    assert described == list(Record.model_fields)


def test_the_asserted_fields_are_those_of_the_schema():
    """Where they are not, `python tests/harness/cli/test_docs.py` writes them anew."""
    assert asserted_table() in page("results")


@pytest.mark.parametrize("text", blocks(page("studies"), "toml"))
def test_studies_can_be_read(text, tmp_path):
    (tmp_path / "study.toml").write_text(text)
    assert load_study(tmp_path / "study.toml").runs


@pytest.mark.parametrize("text", blocks(page("configuration"), "toml"))
def test_configurations_can_be_read(text, tmp_path):
    name = "pyproject.toml" if "[tool.nharness]" in text else "nharness.toml"
    (tmp_path / name).write_text(text)
    found, source = settings.configured(tmp_path)
    assert source == name
    assert settings.build_spec(found)


def commands():
    """Yield every command line of README and docs that stands there whole."""
    for path in [ROOT / "README.md", *PAGES]:
        fenced = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for block in (text for language, text in fenced if language in {"", "sh"}):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                found = re.match(r"\s*(?:srun )?nharness (.*?)(\s+#.*)?$", line)
                if found and not re.search(r"\.\.\.|\w\|\w|\[--json", found[1]):
                    yield pytest.param(found[1], id=f"{path.stem}: {found[1][:60]}")


@pytest.mark.parametrize("line", list(commands()))
def test_commands_parse(line):
    name, *rest = shlex.split(re.sub(r"\$\{?\w+\}?", "1", line))
    command = importlib.import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(exit_on_error=False)
    command.add_arguments(parser)
    arguments = parser.parse_intermixed_args(rest)
    if name in {"run", "plan", "record", "evaluate"}:
        settings.build_spec(options.given(arguments))


def test_the_pages_name_no_file_that_is_not_there():
    for path in [ROOT / "README.md", *PAGES]:
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert path.name != "README.md", (
                f"{target}: the README is shown elsewhere too, where its links must be whole"
            )
            made = target.startswith(("reference/", "methods/"))  # of the code, when the site is built
            assert made or (path.parent / target).exists(), f"{path.name}: {target}"
        ours = r"https://(?:github\.com/nharness/nharness/blob|raw\.githubusercontent\.com/nharness/nharness)/main/([^)#\s]+)"
        for target in re.findall(ours, text):
            assert (ROOT / target).exists(), f"{path.name}: {target}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(
        f"docs/{name}.md" in readme for name in ("studies", "corpora", "configuration", "cluster", "results", "plugins")
    )


def test_the_corpora_shown_can_be_read(tmp_path):
    """Every JSON Lines block says in the line above it which file it is."""
    found = re.findall(r"`([\w./]+\.jsonl)`:\n\n```json\n(.*?)```", page("corpora"), re.DOTALL)
    assert len(found) >= 2
    for name, text in found:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    corpus = load_corpus(tmp_path / Path(found[0][0]).parts[0])
    assert {(split, tag) for split in corpus.readers for tag in corpus.readers[split]} == {
        ("detect", "de"),
        ("detect", "en"),
        ("eval", "de"),
        ("eval", "en"),
    }
    documents = list(corpus.documents("en", "detect"))
    assert documents[0].prompt
    assert documents[0].cluster == documents[0].id.partition("#")[0]


def test_a_run_folder_holds_what_the_page_says(tiny_run, tmp_path, capsys):
    assert main([*tiny_run, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    listing = blocks(page("results"), "text")[0]
    promised = {re.split(r"\s{2,}", line.strip())[0] for line in listing.splitlines()[1:] if line.strip()}
    there = {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file()}
    shown = {str(path) if path.parts[0] != "store" else f"store/{path.parts[1]}/" for path in there}
    shown = {name.replace("lape-zero", "DETECTOR-INTERVENTION") for name in shown}
    assert shown == promised
    assert (
        json.loads((tmp_path / "out" / "records" / "lape-zero" / "items.jsonl").read_text().splitlines()[0]).keys()
        == json.loads(blocks(page("results"), "json")[0]).keys()
    )


def test_every_format_is_read_by_the_page_s_own_reader(tiny_run, tmp_path, monkeypatch, capsys):
    """The page's code on the files of a run, numpy alone; its numbers are those of the record and of our own readers."""
    monkeypatch.chdir(tmp_path)
    assert main([*tiny_run, "--out", "out"]) == 0
    for name in ("record.json", "items.jsonl", "neurons.safetensors"):
        shutil.copy(next(Path("out").glob(f"records/*/{name}")), name)
    recorded = ["record", "--languages", "en,de,zh", "--detect-tokens", "2000", "--statistics", "activation_count@gate"]
    assert main([*recorded, "--out", "statistics.safetensors"]) == 0
    shutil.copy(ROOT / "tasks" / "nharness_tasks" / "babel" / "exhaustive.safetensors", tmp_path)
    shutil.copytree(ROOT / "leaderboard" / "results" / "babel" / "crane", "results/babel/crane")
    (tmp_path / "site" / "data").mkdir(parents=True)
    judged = verdicts_document(study_verdicts(read_results(Path("results")).entries))
    (tmp_path / "site" / "data" / "verdicts.json").write_text(json.dumps(judged))
    capsys.readouterr()
    text = "".join(blocks(page("formats"), "python"))
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)) == {"json", "pathlib", "numpy"}
    names = {}
    for part in blocks(page("formats"), "python"):
        exec(compile(part, "formats", "exec"), names)
        if "probability = " in part:
            ours = nharness.load_statistics("statistics.safetensors")
            assert np.array_equal([names["probability"][tag] for tag in ours.languages], ours.activation_probability())
            assert set(re.findall(r'`about\["(\w+)"\]`', page("formats"))) <= set(names["about"])
    record = nharness.load_record("record.json")
    assert np.array_equal(names["change"], matrix_of(record, "ppl").values)
    cell = next(c for c in record.cells if (c.task, c.target, c.language) == ("ppl", "de", "de"))
    assert names["harm"] == pytest.approx(cell.change, rel=1e-9)
    assert names["told"]["crane-2026 small", "own-language-most"]["verdict"] == "holds"


def test_every_format_stands_on_the_page():
    """What any file says of itself, the format of older records aside."""
    sources = "".join(
        path.read_text(encoding="utf-8")
        for part in ("harness", "detectors", "tasks", "leaderboard/nharness_leaderboard")
        for path in (ROOT / part).rglob("*.py")
    )
    formats = set(re.findall(r'"(nharness-[a-z-]+/\d+)"', sources)) - {"nharness-record/1"}
    assert formats == set(re.findall(r"`(nharness-[a-z-]+/\d+)`", page("formats")))


def test_the_notebook_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for text in blocks(page("corpora") + page("results"), "python"):
        exec(compile(text, "docs", "exec"), names)
    assert names["neurons"].layer_widths
    assert not list(tmp_path.iterdir())


if __name__ == "__main__":
    for each in ("studies", "configuration"):
        fresh = iter(tables(each))

        def filled(rule, rows=fresh):
            return rule[1] + "\n".join(next(rows)) + "\n"

        found = re.sub(r"(?m)(^\|[-|]+\|\n)(?:^\| `.*\n)*", filled, page(each))
        (ROOT / "docs" / f"{each}.md").write_text(found, encoding="utf-8")
    old = r"(?m)^\| part \| asserted fields \|\n(?:^\|.*\n)*"
    fresh_page = re.sub(old, lambda _: asserted_table(), page("results"))
    (ROOT / "docs" / "results.md").write_text(fresh_page, encoding="utf-8")
