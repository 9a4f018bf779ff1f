"""The pipeline that nharness is timed against does what it says: counts, LAPE, losses, and neurons that are off."""

import importlib
from pathlib import Path

import pytest
import torch

from nharness.testing.tiny import tiny_model


@pytest.fixture
def pipeline(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent))
    return importlib.import_module("bench_pipeline")


def test_lape_takes_what_is_frequent_in_one_language(pipeline):
    """Of 40 neurons two are lowest in entropy: one that fires in the first language alone, one in the second."""
    probabilities = torch.full((2, 4, 10), 0.2)
    probabilities[:, 0, 0] = torch.tensor([0.9, 0.0])
    probabilities[:, 3, 9] = torch.tensor([0.0, 0.8])
    assert [found.nonzero().tolist() for found in pipeline.lape(probabilities)] == [[[0, 0]], [[3, 9]]]


@torch.no_grad()
def test_counts_and_losses_are_the_models_and_come_back_after_an_edit(pipeline):
    model = tiny_model("llama")
    ids = torch.randint(0, model.config.vocab_size, (3, 8), generator=torch.Generator().manual_seed(0))
    counts = pipeline.counted(model, ids, 2)
    assert counts.shape == (model.config.num_hidden_layers, model.config.intermediate_size)
    assert 0 < counts.sum() < counts.numel() * ids.numel()
    intact = pipeline.mean_nll(model, ids, 2)
    assert intact == pytest.approx(float(model(ids, labels=ids).loss), rel=1e-5)
    with pipeline.switched_off(model, torch.ones_like(counts, dtype=torch.bool)):
        assert pipeline.mean_nll(model, ids, 2) != intact
    assert pipeline.mean_nll(model, ids, 2) == intact
