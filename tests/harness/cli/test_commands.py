"""Every command, and every action of those that have several, does its work when it is given no more than it must be."""

import argparse
import importlib
import json
import shlex

import numpy as np
import pytest
import torch

from nharness.cli.main import COMMANDS, main
from nharness.statistics import LanguageTotals, Statistics

SETTINGS = """
model = {model}
languages = ["en", "de"]
option = {{ "lape.top_rate" = 0.1 }}
detect-tokens = 400
eval-tokens = 250
control-tokens = 120
max-length = 128
tasks = ["ppl"]
controls = 2
bootstrap-draws = 100
"""
RUN = "nharness-runs/done"
RECORD = f"{RUN}/records/lape-zero/record.json"
LEAST = {
    "run": "run",
    "record": "record --out statistics.safetensors",
    "merge": "merge part-1.safetensors part-2.safetensors --out whole.safetensors",
    "detect": "detect lape --statistics recorded.safetensors --out found.safetensors",
    "evaluate": "evaluate --neurons neurons.safetensors",
    "export": "export --neurons babel.safetensors --language en --out edited",
    "analyze": "analyze neurons.safetensors",
    "compare": "compare neurons.safetensors neurons.safetensors",
    "report": f"report {RUN}",
    "claims": f"claims {RECORD} --claim 'selectivity >= -9'",
    "validate": f"validate {RECORD}",
    "migrate": f"migrate {RECORD}",
    "leaderboard build": "leaderboard build",
    "leaderboard add": f"leaderboard add {RECORD}",
    "leaderboard check": "leaderboard check",
    "leaderboard table": "leaderboard table",
    "leaderboard verdicts": "leaderboard verdicts",
    "leaderboard reproduce": f"leaderboard reproduce {RECORD} --model model",
    "inspect": "inspect",
    "check": "check lape",
    "import masks": "import masks masks.pth --languages en,de --layer-widths 40,40 --out masks.safetensors",
    "import counts": "import counts --count en=en.pth --out counts.safetensors",
    "plan": "plan",
    "collect": f"collect {RUN} --out joined",
    "prefetch": "prefetch --model babel --out carried",
    "cache show": "cache show",
    "cache prune": "cache prune --older-than 0",
    "new detector": "new detector my-method",
    "new intervention": "new intervention my-edit",
    "new statistic": "new statistic my-count",
    "new task": "new task my-quiz",
    "new study": "new study my-study",
    "new claim": "new claim my-claim",
    "doctor": "doctor",
    "completion": "completion bash",
    "list": "list detectors",
}


@pytest.fixture(scope="module")
def place(tiny_model_folder, tmp_path_factory):
    """A folder with settings of a quick run, a run that is done, and a file of each kind."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "nharness.toml").write_text(SETTINGS.format(model=json.dumps(str(tiny_model_folder))))
    (folder / "model").symlink_to(tiny_model_folder)
    neurons = [[torch.tensor([1, 2]), torch.tensor([0])], [torch.tensor([3]), torch.tensor([5])]]
    torch.save(neurons, folder / "masks.pth")
    for number in (1, 2):
        counts = {"activation_count/positive/en": np.array([number, 0])}
        Statistics("gate", (2,), {"en": LanguageTotals(5, 1)}, counts).save(folder / f"part-{number}.safetensors")
    torch.save({"n": 50, "over_zero": torch.ones(2, 40, dtype=torch.int64)}, folder / "en.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", "--out", RUN, "-q"]) == 0
        assert main(["record", "--out", "recorded.safetensors", "-q"]) == 0
        assert main(["detect", "lape", "--statistics", "recorded.safetensors", "--out", "neurons.safetensors"]) == 0
        few = ["--model", "babel", "--detect-tokens", "300", "--out", "of-babel.safetensors", "-q"]
        assert main(["record", *few]) == 0
        assert main(["detect", "lape", "--statistics", few[-2], "--out", "babel.safetensors"]) == 0
        (folder / "leaderboard" / "results").mkdir(parents=True)
        (folder / "results").mkdir()
    return folder


@pytest.mark.parametrize("name", LEAST)
def test_a_command_with_no_more_than_it_needs(name, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    code = main(shlex.split(LEAST[name]))
    printed = capsys.readouterr()
    assert code == 0, printed.out + printed.err
    assert printed.out.strip()


@pytest.mark.parametrize(
    "line",
    [
        f"validate {RUN}",
        f"compare {RUN} {RUN}/records/lape-zero --json",
        f"compare {RUN} neurons.safetensors",
        f"analyze {RUN}",
        f"report {RUN}/records",
        f"leaderboard add {RUN} --results elsewhere",
        f"migrate {RUN}",
    ],
)
def test_a_folder_of_a_run_stands_for_what_is_in_it(line, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert main(line.split()) == 0, capsys.readouterr().err
    assert main([word if "nharness-runs" not in word else "results" for word in line.split()]) == 4
    assert "no record; expected a run folder" in capsys.readouterr().err


def test_no_command_and_no_action_is_forgotten():
    expected = []
    for name, (module, _) in COMMANDS.items():
        parser = argparse.ArgumentParser()
        importlib.import_module(module).add_arguments(parser)
        positionals = (each for each in parser._actions if not each.option_strings and each.dest != "shell")
        actions = next((each.choices for each in positionals if each.choices), None)
        expected += [f"{name} {choice}" for choice in actions] if actions else [name]
    assert sorted(expected) == sorted(LEAST)
