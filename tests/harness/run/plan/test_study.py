"""Studies: what they come to, and the line an error names."""

import re

import pytest

from nharness.errors import UsageError
from nharness.run.plan.study import load_study

GOOD = """
[study]
name = "three kinds"
models = ["babel", {name = "folder", args = {revision = "main"}}]
detectors = ["lape", {name = "ternary", options = {top_rate = 0.02}}]
kinds = [["specific"], ["related"], ["general"]]
languages = ["English", "deu_Latn"]
claims = ["selectivity > 0"]
controls = {draws = 3}
"""


def write(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_runs_are_the_product_of_models_and_kinds(tmp_path):
    study = load_study(write(tmp_path, GOOD))
    assert study.name == "three kinds"
    assert [(run.model.name, run.kinds) for run in study.runs] == [
        (model, (kind,)) for model in ("babel", "folder") for kind in ("specific", "related", "general")
    ]
    first = study.runs[0]
    assert first.languages == ("en", "de")
    assert [(d.name, dict(d.options)) for d in first.detectors] == [("lape", {}), ("ternary", {"top_rate": 0.02})]
    assert first.controls.draws == 3
    assert first.claims[0].statement == "selectivity > 0"


def test_further_runs_differ_in_the_keys_that_they_name(tmp_path):
    steered = '[[study.also]]\ninterventions = ["steer"]\nkinds = [[]]\nsource_language = "en"\n'
    study = load_study(write(tmp_path, GOOD + steered))
    assert len(study.runs) == 2 * 3 + 2
    first, last = study.runs[0], study.runs[-1]
    assert [each.name for each in last.interventions] == ["steer"]
    assert (last.model.name, last.source_language, last.kinds) == ("folder", "en", ())
    assert (last.languages, last.detectors, last.controls) == (first.languages, first.detectors, first.controls)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("[[study.also]]\ndetecters = ['lape']\n", "study.toml:11: unknown key 'detecters'; did you mean 'detectors'?"),
        ("[[study.also]]\nfindings = ['x']\n", "study.toml:11: unknown key 'findings'"),
        ("[[study.also]]\nseed = 1\n[[study.also]]\nseed = -1\n", "study.toml:13: seed is -1; expected"),
        ("also = [7]\n", "study.toml:10: 7 in also; expected a table of keys"),
    ],
)
def test_faults_of_further_runs_name_their_line(tmp_path, changes, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        load_study(write(tmp_path, GOOD + changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("detectors", "detecters"), "study.toml:5: unknown key 'detecters'; did you mean 'detectors'?"),
        (("draws = 3", "drawz = 3"), "study.toml:9: unknown key 'drawz' in controls; did you mean 'draws'?"),
        (
            ("draws = 3", "draws = -3"),
            "study.toml:9: controls.draws is -3; expected a whole number at least 0 and at most 1000",
        ),
        (("draws = 3", 'draws = "3 of them"'), "study.toml:9: controls.draws is '3 of them'; expected a whole number"),
        (("[study]", "[stdy]"), "study.toml:2: expected one table [study], got 'stdy'"),
        (('"babel",', '"babel" "x",'), "study.toml:4: not TOML"),
        (
            ('["general"]', '["generic"]'),
            "study.toml:6: kinds is 'generic'; expected one of 'specific', 'related', 'general'",
        ),
        (
            ('kinds = [["specific"], ["related"], ["general"]]', 'kinds = ["general"]'),
            "study.toml:6: 'general' in kinds; expected a list, such as ['general']",
        ),
        (('"deu_Latn"', '"klingonese"'), "study.toml:7: unknown language 'klingonese'"),
        (('["English", "deu_Latn"]', "5"), "study.toml:7: languages is 5; expected a list of language tags"),
        (('["English", "deu_Latn"]', '["en", "de", "en"]'), "study.toml:7: 'en' occurs twice in languages"),
        (('["English", "deu_Latn"]', '["en", "eng"]'), "study.toml:7: language 'en' is named more than once"),
        (('"three kinds"', "3"), "study.toml:3: name is 3; expected a text"),
        (
            ('["babel", {name = "folder", args = {revision = "main"}}]', '"babel"'),
            "study.toml:4: models is 'babel'; expected a list of names",
        ),
        (
            ('["babel", {name = "folder", args = {revision = "main"}}]', "[]"),
            "study.toml:4: models is []; expected a list of names",
        ),
        (('"babel",', '"babel", "babel",'), "study.toml:4: 'babel' occurs twice in models"),
        (('"babel",', "7,"), "study.toml:4: 7 in models; expected a name, or a table with a name"),
        (("{revision", "[\n1], dtype = {revision"), "study.toml:4: models.args is [1]; expected a table"),
        (
            ('"lape", {', '"lape",\n{nam = "x"}, {'),
            "study.toml:6: {'nam': 'x'} in detectors; expected a name, or a table with a name",
        ),
        (('["selectivity > 0"]', "[1]"), "study.toml:8: claims is 1; expected"),
        (
            ('["selectivity > 0"]', '"selectivity > 0"'),
            "study.toml:8: claims is 'selectivity > 0'; expected a list of statements",
        ),
        (("controls = ", 'corpora = ["sample", {name = "x",\n detect_tokens = 0}]\ncontrols = '), None),
        (
            ("controls = ", 'corpora = ["sample", {name = "x", eval_tokens = [\n0], detect_tokens = 0}]\ncontrols = '),
            "study.toml:10: corpora.detect_tokens is 0",
        ),
        (("controls = ", "seed = nan\ncontrols = "), "study.toml:9: seed is nan; expected a whole number at least 0"),
        (
            ("controls = ", "analysis = {precision = nan}\ncontrols = "),
            "study.toml:9: analysis.precision is nan; expected a finite number above 0",
        ),
        (
            ("controls = ", "strengths = [1, 1]\ncontrols = "),
            "study.toml:9: strengths is [1, 1]; expected each once, 1.0 is repeated",
        ),
    ],
)
def test_faults_name_the_line(tmp_path, change, message):
    changed = GOOD.replace(*change)
    assert changed != GOOD
    with pytest.raises(UsageError, match=re.escape(message or "study.toml:9: not TOML")) as caught:
        load_study(write(tmp_path, changed))
    assert "\n" not in str(caught.value)


def test_a_fault_of_the_second_corpus_is_told_on_its_own_line(tmp_path):
    text = (
        GOOD + "[[study.corpora]]\nname = 'a'\ndetect_tokens = 100\n[[study.corpora]]\nname = 'b'\ndetect_tokens = 0\n"
    )
    with pytest.raises(
        UsageError, match=re.escape("study.toml:15: corpora.detect_tokens is 0; expected a whole number at least 1")
    ):
        load_study(write(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe", "not UTF-8 text"), (b"", "expected one table [study]"), (b"study = 5", "expected one table")],
)
def test_what_is_no_study_is_refused(tmp_path, content, message):
    (tmp_path / "study.toml").write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(message)):
        load_study(tmp_path / "study.toml")
    with pytest.raises(UsageError, match="cannot read study"):
        load_study(tmp_path)
