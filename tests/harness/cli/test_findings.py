"""The findings of a study: claims on the records of all its runs, in one table at the end."""

import json
from pathlib import Path

import pytest

from narrowing import present
from nharness.cli.main import main
from nharness.record.validate import load_record

ROMANISED = Path(__file__).resolve().parents[3] / "tasks/nharness_tasks/studies/romanised/small.toml"

TINY = """
[study]
name = "tiny"
models = [{{ name = {model}, max_length = 128 }}]
detectors = [{{ name = "lape", options = {{ top_rate = 0.1 }} }}]
languages = ["en", "de"]
corpora = [{{ name = "sample", detect_tokens = 400, eval_tokens = 250 }}]
tasks = ["ppl"]
controls = {{ draws = 0 }}
analysis = {{ bootstrap_draws = 100 }}
kinds = [["specific"], ["specific", "related"]]
findings = ["related-add-harm", "own-language-most", "alignment-makes-related"]
"""


def test_findings_are_held_against_all_runs_at_the_end(tiny_model_folder, tmp_path, capsys):
    file = tmp_path / "tiny.toml"
    file.write_text(TINY.format(model=json.dumps(str(tiny_model_folder))))
    code = main(["run", "--study", str(file), "--out", str(tmp_path / "out"), "-q"])
    printed = capsys.readouterr()
    table = printed.out[printed.out.index("what the paper claims") :]
    assert "related-add-harm\t" in table
    assert "own-language-most\t" in table
    assert "alignment-makes-related: not measured; it needs records of one model aligned" in printed.err
    assert code == 1


def test_an_undecided_finding_is_a_failure_where_that_is_asked_for(tiny_model_folder, tmp_path, capsys):
    """One pair of languages decides nothing about overlap."""
    text = TINY.format(model=json.dumps(str(tiny_model_folder)))
    kept = [line for line in text.splitlines() if not line.startswith(("kinds", "findings"))]
    (tmp_path / "s.toml").write_text("\n".join([*kept, 'findings = ["little-overlap"]']))
    command = ["run", "--study", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"), "-q"]
    assert main(command) == 0
    assert main([*command, "--strict-claims"]) == 1
    assert "undecided" in capsys.readouterr().out
    assert main([*command, "--strict-claims", "--seed", "1"]) == 4
    assert "leave out --seed" in capsys.readouterr().err


SENTENCES = {
    "eng": "The river was higher than in any other spring",
    "deu": "Der Fluss stand h\u00f6her als in jedem anderen Fr\u00fchjahr",
    "rus": "\u0420\u0435\u043a\u0430 \u0431\u044b\u043b\u0430 \u0432\u044b\u0448\u0435, \u0447\u0435\u043c \u0432\u0435\u0441\u043d\u043e\u0439",
    "ukr": "\u0420\u0456\u0447\u043a\u0430 \u0431\u0443\u043b\u0430 \u0432\u0438\u0449\u043e\u044e, \u043d\u0456\u0436 \u043d\u0430\u0432\u0435\u0441\u043d\u0456",
    "zho-CN": "\u6cb3\u6c34\u6bd4\u5f80\u5e74\u6625\u5929\u90fd\u9ad8",
    "jpn": "\u5ddd\u306e\u6c34\u306f\u3069\u306e\u6625\u3088\u308a\u9ad8\u3044",
}


@pytest.fixture
def news(tmp_path, monkeypatch):
    """A copy of NTREX of a few sentences in the languages of the study."""
    root = tmp_path / "NTREX"
    (root / "NTREX-128").mkdir(parents=True)
    (root / "DOCUMENT_IDS.tsv").write_text("".join(f"paper.{n // 4}\n" for n in range(80)))
    for code, text in SENTENCES.items():
        name = f"newstest2019-{'src' if code == 'eng' else 'ref'}.{code}.txt"
        (root / "NTREX-128" / name).write_text("".join(f"{text} {n}.\n" for n in range(80)), encoding="utf-8")
    monkeypatch.setenv("NHARNESS_NTREX", str(root))


def test_the_shipped_study_of_romanised_text_splits_harm_by_script(tiny_model_folder, tmp_path, news, capsys):
    pytest.importorskip("uroman")
    text = ROMANISED.read_text(encoding="utf-8")
    for given, small in (
        ('{ name = "smollm2", dtype = "bfloat16" }', f"{{ name = {json.dumps(str(tiny_model_folder))} }}"),
        ("detect_tokens = 5000, eval_tokens = 800", "detect_tokens = 300, eval_tokens = 150"),
        ('["lape"]', '[{ name = "lape", options = { top_rate = 0.2 } }]'),
    ):
        assert given in text
        text = text.replace(given, small)
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    main(["run", "--study", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"), "-q"])
    printed = capsys.readouterr().out
    table = printed[printed.index("what the paper claims") :]
    assert "same-script-takes-the-harm\t" in table
    assert "language-crosses-scripts\t" in table
    record = load_record(next((tmp_path / "out").rglob("record.json")))
    assert {"ru", "ru-Latn", "zh", "zh-Latn", "ja", "ja-Latn"} <= set(record.languages)
    measures = {m.name for m in present(record.structure).measures}
    assert {"same-script:ppl", "other-script:ppl", "script-difference:ppl"} <= measures
