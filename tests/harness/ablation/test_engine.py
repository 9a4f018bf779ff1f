"""Exhaustive ablation against one edit of the whole model per neuron."""

import numpy as np
import pytest
import torch

from nharness.ablation.engine import Ablator
from nharness.ablation.shortcuts import Edited, Replayed, Rows, Subtracted, choose, stage_of
from nharness.evaluation.head import Head
from nharness.models import Edit, apply_edits, locate
from nharness.testing import Planting, planted_model, tiny_model

ARCHITECTURES = (
    ("llama", Subtracted),
    ("gpt2", Subtracted),
    ("gpt_neox", Subtracted),
    ("gemma2", Replayed),
    ("mixtral", Replayed),
)


def rows_of(vocabulary=99):
    tokens = torch.randint(0, vocabulary, (3, 9), generator=torch.Generator().manual_seed(0))
    counted = torch.ones(3, 8, dtype=torch.bool)
    counted[1, 5:] = False
    return Rows(tokens[:, :-1], tokens[:, 1:], counted)


def nll(model, rows):
    """The summed NLL of the counted targets, from the model's own logits, in float64."""
    with torch.inference_mode():
        found = model(input_ids=rows.inputs).logits.double().log_softmax(-1)
    taken = found.gather(-1, rows.targets[..., None])[..., 0]
    return -float(taken[rows.counted].sum())


def summed(way, units, at_once):
    total = torch.zeros(len(units), dtype=torch.float64)
    for place, change, _ in way.changes(units, at_once):
        total[place : place + len(change)] += change
    return total.numpy()


@pytest.mark.parametrize(("name", "expected"), ARCHITECTURES)
def test_every_neuron_as_an_edit_of_the_whole_model(name, expected):
    model, rows = tiny_model(name), rows_of()
    neuron_map = locate(model)
    checksum = [parameter.sum().item() for parameter in model.parameters()]
    for layer in neuron_map.layers:
        with torch.inference_mode():
            stage = stage_of(model, neuron_map, Head(model), layer)
            assert choose(stage, rows) is expected
            units = torch.arange(0, layer.width, 5)
            found = summed(expected(stage, rows, stage.losses(rows)), units, 7)
        before = nll(model, rows)
        for unit, change in zip(units.tolist(), found, strict=True):
            with apply_edits(model, neuron_map, [Edit.zero(layer.index, [unit])], backend="hook"):
                assert change == pytest.approx(nll(model, rows) - before, abs=5e-5)
    assert checksum == [parameter.sum().item() for parameter in model.parameters()]
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_wrong_way_is_not_taken():
    """Gemma 2 has a norm after its block: what a neuron wrote cannot be subtracted from the layer's output."""
    model, rows = tiny_model("gemma2"), rows_of()
    neuron_map = locate(model)
    with torch.inference_mode():
        stage = stage_of(model, neuron_map, Head(model), neuron_map.layers[0])
        intact = stage.losses(rows)
        units = torch.arange(8)
        wrong, right = (summed(way(stage, rows, intact), units, 8) for way in (Subtracted, Edited))
    assert np.abs(wrong - right).max() > 1e-3
    assert choose(stage, rows) is Replayed


def planted_with_decoys():
    return planted_model(["en", "de", "zh"], documents=4, planting=Planting(shared=6, dead=2, silent=2, loud=2))


@pytest.fixture(scope="module")
def planted():
    return planted_with_decoys()


@pytest.fixture(scope="module")
def text(planted):
    return {tag: list(planted.corpus.documents(tag, "detect")) for tag in planted.languages}


def test_the_measurement_is_the_mean_over_tokens(planted, text):
    found = Ablator(planted.model, locate(planted.model)).measure(planted.tokenizer, text, 100)
    assert set(found.loss_changes) == {"delta/en", "delta/de", "delta/zh"}
    assert found.tokens == dict.fromkeys(planted.languages, 128)  # the first 32 tokens of four documents
    assert all(delta.shape == (sum(planted.layer_widths),) for delta in found.loss_changes.values())
    assert found.forward_tokens > 0


def test_members_matter_and_silent_neurons_do_not(planted, text):
    found = Ablator(planted.model, locate(planted.model)).measure(planted.tokenizer, text, 200)
    for row, tag in enumerate(planted.languages):
        delta = found.loss_changes[f"delta/{tag}"]
        assert np.abs(delta[planted.having("silent")]).max() < 1e-6  # nats: rounding of another batch
        assert np.median(delta[planted.strength[row] > 0]) > 1e-3


def test_half_precision_is_widened(planted, text):
    coarse = planted_with_decoys()
    coarse.model.to(torch.bfloat16)
    found = Ablator(coarse.model, locate(coarse.model)).measure(coarse.tokenizer, {"en": text["en"]}, 40)
    exact = Ablator(planted.model, locate(planted.model)).measure(planted.tokenizer, {"en": text["en"]}, 40)
    assert found.loss_changes["delta/en"] == pytest.approx(exact.loss_changes["delta/en"], abs=5e-3)
    assert next(coarse.model.parameters()).dtype is torch.bfloat16
