"""Cutting what was observed into slices: slices and gathered rows hold the same tokens."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nharness.corpora import Room, batches
from nharness.recording import Recorder, RecordingOptions
from nharness.recording import selection as selection_module
from nharness.recording.accumulator import Scratch
from nharness.recording.selection import Selection

from .conftest import documents

Located = tuple[Any, Any]  # a model and the map of its neurons


@pytest.fixture(autouse=True, scope="module")
def _small_pieces():
    """Batches of a test are of several gathered slices, as those of an accelerator are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection_module, "GATHERED", 50)
        yield


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(3, 600), min_size=1, max_size=6), st.booleans(), st.booleans(), st.integers(0, 99))
def test_every_counted_token_is_in_exactly_one_piece(lengths, in_slices, by_document, seed):
    parts = [part for (part,) in documents(lengths, seed=seed, first=1, last=1)]
    (batch,) = batches(parts, Room(10**6, overhead=10**9))
    selection = Selection(batch, batch.rows, torch.device("cpu"))
    selection.in_slices = in_slices
    flat = torch.from_numpy(batch.tokens.reshape(-1, 1) * 10**6 + np.arange(batch.tokens.size)[:, None])
    expected = flat[:, 0].numpy()[batch.mask.reshape(-1)]
    routed = torch.from_numpy(np.random.default_rng(seed).permutation(batch.tokens.size))
    for rows, values in ((None, flat), (routed, flat[routed])):
        slices = list(selection.cut(values, rows, by_document=by_document))
        assert sorted(torch.cat([part for _, part in slices])[:, 0].tolist()) == sorted(expected.tolist())
        for document, part in slices:
            found = {int(batch.rows[place // batch.tokens.shape[1]]) for place in (part[:, 0] % 10**6).tolist()}
            assert not by_document or found == {document}
            assert document is None or found == {document}
            assert len(part) <= (256 if in_slices else 50) or by_document


def test_an_accelerators_way_gives_the_same_statistics(located: Located, monkeypatch):
    needs = [(name, "gate") for name in ("activation_count", "moments", "histogram", "document_mean")]
    found = documents([7, 30, 12, 12, 61], first=1)
    recorder = Recorder(*located, needs, RecordingOptions(batch_tokens=700))
    recorder.prepare({"en": found[:2]})
    slices = recorder.record_shard("en", found)["gate"]
    make = Selection.__init__

    def gathering(self, *args):
        make(self, *args)
        self.in_slices = False

    monkeypatch.setattr(Selection, "__init__", gathering)
    monkeypatch.setattr(Scratch, "by_product", lambda _self, _values: False)
    gathered = recorder.record_shard("en", found)["gate"]
    assert set(gathered.tensors) == set(slices.tensors)
    for name, tensor in slices.tensors.items():
        if tensor.dtype == np.int64:
            np.testing.assert_array_equal(gathered.tensors[name], tensor)
        else:
            np.testing.assert_allclose(gathered.tensors[name], tensor, rtol=1e-4, atol=1e-5)


def test_float32_sums_over_a_block_keep_five_digits():
    values = torch.from_numpy(np.random.default_rng(0).lognormal(0, 4, (256, 500)).astype(np.float32))
    error = Scratch().column_sums(values).double() - values.double().sum(0)
    assert (error.abs() <= 256 * 2**-24 * values.double().abs().sum(0)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32])
def test_scratch_memory_is_used_again(dtype):
    scratch = Scratch()
    first = scratch.like(torch.empty(4, 6), dtype=dtype)
    again = scratch.like(torch.empty(3, 5), dtype=dtype)
    assert first.data_ptr() == again.data_ptr()
    assert again.shape == (3, 5)
    assert scratch.like(torch.empty(3, 5), dtype=dtype, slot=1).data_ptr() != again.data_ptr()
