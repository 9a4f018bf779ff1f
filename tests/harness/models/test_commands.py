"""`nharness inspect` and `nharness export`, through the front door."""

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from nharness.cli.main import main
from nharness.models import Edit, apply_edits, locate
from nharness.neurons import Detection
from nharness.testing import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path / "cache"))
    tiny_model("mixtral").save_pretrained(tmp_path / "model")
    inner = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_inspect_prints_the_map(folder, capsys):
    assert main(["inspect", "--model", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layer_widths"] == [160, 160]
    segment = found["layers"][0]["segments"][0]
    assert (segment["experts"], segment["width"], segment["routed"]) == (4, 40, True)
    assert main(["inspect", "--model", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "2 layers with neurons, 320 neurons" in lines[0]
    assert "model.layers.0.mlp.experts" in lines[2]


def test_inspect_of_nothing_says_what_is_near(folder, capsys):
    assert main(["inspect", "--model", f"{folder}l"]) == 4
    assert "did you mean" in capsys.readouterr().err


def test_export_writes_what_zero_does(folder, tmp_path, capsys):
    membership = np.zeros((2, 320), dtype=bool)
    membership[1, ::3] = True
    neurons = tmp_path / "neurons.safetensors"
    Detection("lape", ("en", "zh"), (160, 160), membership, np.zeros(320, np.float32), "highest").save(neurons)
    command = [
        "export",
        "--model",
        str(folder),
        "--neurons",
        str(neurons),
        "--language",
        "zh",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["neurons"] == 107
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    edits = [Edit.zero(0, torch.arange(0, 160, 3)), Edit.zero(1, torch.arange(2, 160, 3))]
    ids = torch.randint(3, 99, (2, 7))
    with apply_edits(model, locate(model), edits, backend="hook"), torch.no_grad():
        expected = model(ids).logits
    with torch.no_grad():
        torch.testing.assert_close(AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()(ids).logits, expected)
    assert main(command) == 4
    assert "is not empty" in capsys.readouterr().err


CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM

(Path(__file__).parent / "ran").touch()
class MineConfig(LlamaConfig):
    model_type = "mine"
class MineForCausalLM(LlamaForCausalLM):
    config_class = MineConfig
"""


def test_a_models_own_code_runs_only_when_it_is_trusted(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    tiny_model("llama").save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.MineForCausalLM"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mine", "auto_map": auto_map}))
    (folder / "mine.py").write_text(CODE)
    assert main(["inspect", "--model", str(folder)]) == 4
    told = capsys.readouterr().err
    assert "brings its own code (AutoConfig, AutoModelForCausalLM)" in told
    assert "--trust-remote-code" in told
    assert not list(tmp_path.rglob("ran"))
    assert main(["inspect", "--model", str(folder), "--trust-remote-code"]) == 0
    assert "MineForCausalLM, 2 layers with neurons, 80 neurons" in capsys.readouterr().out
    assert list(tmp_path.rglob("ran"))
