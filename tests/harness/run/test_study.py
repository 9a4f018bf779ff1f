"""Studies: what they come to, and the line an error names."""

import re

import pytest

from nharness.errors import UsageError
from nharness.run.study import load_study

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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("detectors", "detecters"), "study.toml:5: unknown key 'detecters'; did you mean 'detectors'?"),
        (("draws = 3", "drawz = 3"), "study.toml:9: controls.drawz: extra inputs are not permitted"),
        (("draws = 3", "draws = -3"), "study.toml:9: controls.draws: input should be greater than or equal to 0"),
        (("[study]", "[stdy]"), "study.toml:2: expected one table [study], got 'stdy'"),
        (('"babel",', '"babel" "x",'), "study.toml: no TOML"),
        (('["general"]', '["generic"]'), "study.toml:6: kinds: input should be 'specific', 'related' or 'general'"),
    ],
)
def test_faults_name_the_line(tmp_path, change, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        load_study(write(tmp_path, GOOD.replace(*change)))
