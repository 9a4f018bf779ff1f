"""Controls of a target that is no language: the general neurons of all of them."""

import json

from nharness.cli.main import main


def test_general_neurons_have_their_random_draws(tmp_path):
    argv = [
        "run",
        "--detector",
        "ternary",
        "--kinds",
        "general",
        "--languages",
        "en,de,zh",
        "--detect-tokens",
        "1500",
        "--eval-tokens",
        "500",
        "--control-tokens",
        "250",
        "--tasks",
        "ppl",
        "--controls",
        "3",
        "--out",
        str(tmp_path),
    ]
    assert main([*argv, "-q"]) == 0
    record = json.loads((tmp_path / "records" / "ternary-zero" / "record.json").read_text())
    assert [target["name"] for target in record["targets"]] == ["general"]
    assert {(cell["target"], cell["language"]) for cell in record["cells"]} == {
        ("general", tag) for tag in ("en", "de", "zh")
    }
    sizes = {draw["neurons"] for draw in record["controls"]["draws"]}
    assert sizes == {record["targets"][0]["neurons"]}
