"""Names of sites in TransformerLens, nnsight and nnterp: right by their own reading, and there and back again."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nharness
from nharness.cli.main import main
from nharness.errors import UsageError
from nharness.foreign.site_names import LIBRARIES, site_names
from nharness.models import locate
from nharness.testing import tiny_model

MODULES = {"transformer-lens": "transformer_lens", "nnsight": "nnsight", "nnterp": "nnterp"}
COUNTS = {"transformer-lens": 20, "nnsight": 24, "nnterp": 24}
"""Of six tiny models of two layers: gated ones have three sites (no gate in TransformerLens), plain ones two."""


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_library_reads_there_what_we_read(library):
    if importlib.util.find_spec(MODULES[library]) is None:
        pytest.skip(f"{library} is not installed (pip install 'nharness[bridges]')")
    script = Path(__file__).with_name("names_held.py")
    done = subprocess.run([sys.executable, str(script), library], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) == COUNTS[library]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi3"])
def test_there_and_back(library, kind):
    neuron_map = locate(tiny_model(kind))
    names = site_names(neuron_map, library)
    assert names
    plain = neuron_map.layers[0].sites == ("gate", "hidden")
    for (layer, site), name in names.items():
        assert nharness.site_name(neuron_map, layer, site, library) == name
        assert nharness.site_of(neuron_map, name, library) == (layer, "hidden" if plain else site)


@pytest.mark.parametrize(
    ("kind", "asked", "why"),
    [
        ("llama", (0, "gate", "transformer-lens"), "it has the gate before its activation function only, as hook_pre"),
        ("mixtral", (0, "hidden", "nnsight"), "it has experts, and a module of theirs sees some tokens only"),
        ("phi3", (0, "up", "nnsight"), "no module takes or gives it"),
        ("llama", (2, "hidden", "nnsight"), "no layer 2: the model has layers with neurons 0 to 1"),
        ("gpt2", (0, "up", "nnterp"), "has no site 'up': it has gate, hidden"),
        ("llama", (0, "up", "nnsite"), "unknown library 'nnsite'; did you mean 'nnsight'"),
    ],
)
def test_what_has_no_name_is_told(kind, asked, why):
    with pytest.raises(UsageError, match=why):
        nharness.site_name(locate(tiny_model(kind)), *asked)


def test_the_page_s_names_are_these():
    """The example of docs/bridges.md as it stands there: what a comment says is what the line gives."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "bridges.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```python\n(import nharness\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(text, "bridges", "exec"), names)
    told = re.findall(r"^(nharness\.site_\w+\(.*\))  # (.*)$", text, re.MULTILINE)
    assert len(told) == 3
    for line, said in told:
        found = eval(line, names)
        assert found == (eval(said) if said.startswith("(") else said)


def test_a_strange_name_is_answered_with_the_nearest():
    neuron_map = locate(tiny_model("llama"))
    with pytest.raises(UsageError, match=r"did you mean 'blocks.0.mlp.hook_post'"):
        nharness.site_of(neuron_map, "blocks.0.mlp.hook_pst", "transformer-lens")


def test_the_command_prints_them(tiny_model_folder, capsys):
    assert main(["inspect", "--model", str(tiny_model_folder), "--names", "nnterp", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0] == {"layer": 0, "site": "gate", "nnterp": "layers[0].mlp.act_fn.output"}
    assert len(found) == 6
