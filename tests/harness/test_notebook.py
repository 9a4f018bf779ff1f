"""The two names of a notebook, on plain transformers objects: every form of the neurons, and every slip in a sentence."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

import nharness
from narrowing import present
from nharness.errors import FileFormatError, ModelError, UnknownNameError, UsageError
from nharness.neurons import Detection
from nharness.statistics import LanguageTotals, Statistics

SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
IDS = torch.arange(3, 17).reshape(2, 7)
GIVEN = {"llama": [(0, 1), (1, 5), (1, 7)], "mixtral": [(0, 1), (1, 45), (1, 71)]}


@pytest.fixture(scope="module", params=["llama", "mixtral"])
def model(request):
    torch.manual_seed(0)
    if request.param == "llama":
        return LlamaForCausalLM(LlamaConfig(**SIZES, intermediate_size=40)).eval()
    return MixtralForCausalLM(MixtralConfig(**SIZES, intermediate_size=40, num_local_experts=4)).eval()


@pytest.fixture
def widths(model):
    return (40, 40) if model.config.model_type == "llama" else (160, 160)


@pytest.fixture
def pairs(model):
    return GIVEN[model.config.model_type]


@pytest.fixture
def file(tmp_path, widths, pairs):
    membership = np.zeros((2, sum(widths)), dtype=bool)
    membership[1, [layer * widths[0] + unit for layer, unit in pairs]] = True
    Detection("lape", ("en", "zh"), widths, membership, np.zeros(sum(widths), np.float32), "highest").save(
        tmp_path / "n.st"
    )
    return tmp_path / "n.st"


@pytest.fixture
def recorded(tmp_path, widths):
    """Moments at the hidden site of German and Chinese: means of 0.25 and 0.75 everywhere."""
    tensors = {}
    for tag, mean in (("de", 0.25), ("zh", 0.75)):
        tensors |= {
            f"moments/sum/{tag}": np.full(sum(widths), 8 * mean),
            f"moments/sumsq/{tag}": np.ones(sum(widths)),
            f"activation_count/positive/{tag}": np.zeros(sum(widths), np.int64),
        }
    totals = {tag: LanguageTotals(8, 1) for tag in ("de", "zh")}
    Statistics("hidden", widths, totals, tensors).save(tmp_path / "s.st")
    return tmp_path / "s.st"


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def by_hand(model, pairs, value=0.0):
    """Logits with the hidden vectors of the neurons set to `value`, from the model's own formula."""
    handles = []
    for index, layer in enumerate(model.model.layers):
        units = [unit for place, unit in pairs if place == index]
        handles.append(layer.mlp.register_forward_hook(recomputed(layer.mlp, units, value)))
    result = logits(model)
    for handle in handles:
        handle.remove()
    return result


def recomputed(mlp, units, value):
    def dense(taken):
        hidden = torch.nn.functional.silu(mlp.gate_proj(taken)) * mlp.up_proj(taken)
        hidden[..., units] = value
        return hidden @ mlp.down_proj.weight.T

    def routed(taken):
        rows = taken.reshape(-1, taken.shape[-1])
        shares = torch.softmax(rows @ mlp.gate.weight.T, dim=-1)
        best, chosen = shares.topk(2, dim=-1)
        best = best / best.sum(-1, keepdim=True)
        result = torch.zeros_like(rows)
        for expert in range(4):
            gate, up = (rows @ mlp.experts.gate_up_proj[expert].T).chunk(2, dim=-1)
            hidden = torch.nn.functional.silu(gate) * up
            hidden[:, [unit - 40 * expert for unit in units if unit // 40 == expert]] = value
            share = (best * (chosen == expert)).sum(-1, keepdim=True)
            result += share * (hidden @ mlp.experts.down_proj[expert].T)
        return result.reshape(taken.shape)

    return lambda _module, args, _output: (routed if hasattr(mlp, "experts") else dense)(args[0])


def test_the_map_says_where_everything_is(model, widths):
    found = nharness.locate(model)
    assert found.layer_widths == widths
    assert len(found.layers) == 2
    assert found.selected is None
    assert found.layers[1].sites == ("gate", "hidden", "up")
    if model.config.model_type == "llama":
        assert found.layers[1].experts == 1
        assert found.layers[1].modules == {
            "gate": ("model.layers.1.mlp.act_fn:output",),
            "hidden": ("model.layers.1.mlp.down_proj:input",),
            "up": ("model.layers.1.mlp.up_proj:output",),
        }
        assert repr(found) == "NeuronMap(2 layers x 40 = 80 neurons; sites gate, hidden, up)"
    else:
        assert found.layers[1].experts == 4
        assert found.layers[1].modules["hidden"] == ("model.layers.1.mlp.experts:followed",)
        assert repr(found) == "NeuronMap(2 layers x 160 = 320 neurons, up to 4 experts a layer; sites gate, hidden, up)"
    assert "segments" not in repr(found.layers[0])


@pytest.mark.parametrize("kind", [str, None])
def test_the_map_names_the_neurons_of_a_file(model, file, pairs, kind):
    found = nharness.locate(model, kind(file) if kind else file, language="zho_Hans")
    assert [(layer, unit) for layer, units in enumerate(present(found.selected)) for unit in units] == pairs
    assert nharness.locate(model, pairs[::-1] + pairs).selected == found.selected
    assert nharness.locate(model, file, language="en").selected == ((), ())
    assert ", 3 selected; " in repr(found)


@pytest.mark.parametrize("site", [None, "gate", "hidden"])
def test_pairs_are_switched_off(model, pairs, site):
    clean = logits(model)
    with nharness.apply(model, pairs, intervention="zero", site=site) as report:
        edited = logits(model)
    assert report.edited_activations > 0
    assert not torch.equal(edited, clean)
    torch.testing.assert_close(edited, by_hand(model, pairs), atol=1e-6, rtol=1e-5)
    assert torch.equal(logits(model), clean)


def test_a_language_of_a_file_is_switched_off(model, file, pairs):
    with nharness.apply(model, pairs):
        expected = logits(model)
    with nharness.apply(model, str(file), language="zh"):
        assert torch.equal(logits(model), expected)
    with nharness.apply(model, file, language="zh", intervention="scale", options={"factor": 0.0}, site="hidden"):
        torch.testing.assert_close(logits(model), expected, atol=1e-6, rtol=1e-5)


def test_constants_and_recorded_means(model, file, recorded, pairs):
    forms = [
        (-0.5, {"intervention": "constant", "options": {"value": -0.5}, "site": "hidden"}),
        (0.5, {"intervention": "mean", "statistics": recorded}),
        (0.75, {"intervention": "replace", "site": "hidden", "statistics": [str(recorded)]}),
        (0.25, {"intervention": "complement-mean", "site": "hidden", "statistics": recorded}),  # not Chinese: German
    ]
    for value, form in forms:
        expected = by_hand(model, pairs, value)
        with nharness.apply(model, file, language="zh", **form):
            torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=1e-5)
    expected = by_hand(model, pairs, 0.5)
    with nharness.apply(model, pairs, intervention="mean", statistics=recorded):
        torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=1e-5)


@pytest.fixture
def slip(model, file, recorded, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert recorded.name == "s.st"
    return model, file


@pytest.mark.parametrize(
    ("error", "message", "form"),
    [
        (UsageError, r"n\.st holds several languages; choose one with language=", {}),
        (UnknownNameError, "unknown language of this lape detection 'fr'; known: en, zh", {"language": "fr"}),
        (UsageError, "klingonese", {"language": "klingonese"}),
        (UnknownNameError, "did you mean 'zero'", {"language": "zh", "intervention": "zeros"}),
        (
            UnknownNameError,
            "did you mean .factor.",
            {"language": "zh", "intervention": "scale", "options": {"factr": 1}},
        ),
        (ModelError, "no site 'attention'", {"language": "zh", "site": "attention"}),
        (
            UsageError,
            "needs moments at site hidden; give the file that `nharness record --statistics moments@hidden,activation",
            {"language": "zh", "intervention": "mean"},
        ),
        (
            UsageError,
            "draws its values from text; use it with `nharness run`",
            {"language": "zh", "intervention": "resample"},
        ),
        (
            UsageError,
            "needs a source language",
            {"language": "zh", "intervention": "steer", "site": "hidden", "statistics": "s.st"},
        ),
        (
            UnknownNameError,
            "unknown language of the statistics 'en'",
            {"language": "en", "intervention": "replace", "site": "hidden", "statistics": "s.st"},
        ),
        (FileFormatError, "no such file", {"language": "zh", "intervention": "mean", "statistics": "absent.st"}),
    ],
)
def test_slips_are_told_in_a_sentence(slip, error, message, form):
    model, file = slip
    with pytest.raises(error, match=message) as caught, nharness.apply(model, file, **form):
        pass
    assert "\n" not in str(caught.value)


def test_files_that_are_absent_damaged_or_of_another_model(model, file, recorded, widths):
    for form in (nharness.locate, lambda *given, **named: nharness.apply(*given, **named).__enter__()):
        with pytest.raises(FileFormatError, match="no such file"):
            form(model, "absent.safetensors", language="zh")
        with pytest.raises(FileFormatError, match="format is 'nharness-statistics/1', expected 'nharness-neurons/1'"):
            form(model, recorded, language="zh")
        with pytest.raises(FileFormatError, match=r"neuron \(2, 0\) lies outside"):
            form(model, [(2, 0)])
    with pytest.raises(UsageError, match="of which neurons file"):
        nharness.locate(model, language="zh")
    narrow = np.zeros((1, 6), dtype=bool)
    Detection("lape", ("zh",), (3, 3), narrow, np.zeros(6, np.float32), "highest").save(file)
    with pytest.raises(UsageError, match=f"belong to a model of 2 layers x 3 neurons, not 2 x {widths[0]}"):
        nharness.locate(model, file, language="zh")


def test_a_model_without_feed_forward_blocks_is_refused():
    with pytest.raises(ModelError, match="Linear does not run on token ids alone"):
        nharness.locate(torch.nn.Linear(3, 3))
