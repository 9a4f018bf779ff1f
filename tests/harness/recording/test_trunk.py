"""What is found out by trying: the trunk, and the size of a batch."""

import weakref

import torch
from torch import nn

from nharness.models import locate
from nharness.recording import batch_size
from nharness.recording.batch_size import largest_that_pays
from nharness.recording.trunk import activations, find_trunk, forward_of
from nharness.testing import tiny_model

TOKENS = torch.tensor([[5, 9, 31, 7, 8, 60]])


def test_the_trunk_leaves_the_lm_head_out(located):
    model, neuron_map = located
    called = []
    handle = model.get_output_embeddings().register_forward_hook(lambda *_: called.append(1))
    try:
        trunk = find_trunk(model, neuron_map)
        called.clear()
        got = activations(model, neuron_map, trunk, TOKENS)
        assert not called
        expected = activations(model, neuron_map, forward_of(model), TOKENS)
        assert called
    finally:
        handle.remove()
    assert len(got) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


class Wrapped(nn.Module):
    """A model whose base model does not do what it does itself."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.base_model, self.config = inner, inner.model, inner.config

    def get_input_embeddings(self):
        return self.inner.get_input_embeddings()

    def forward(self, input_ids, use_cache=False):
        return self.inner((input_ids + 1) % 99)


def test_a_base_model_that_does_something_else_is_not_the_trunk():
    inner = tiny_model("llama")
    wrapped = Wrapped(inner)
    neuron_map = locate(wrapped)
    got = activations(wrapped, neuron_map, find_trunk(wrapped, neuron_map), TOKENS)
    expected = activations(wrapped, neuron_map, forward_of(wrapped), TOKENS)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_the_batch_grows_while_it_pays_and_fits():
    speed = {8: 1.0, 16: 1.5, 32: 2.0, 64: 2.02, 128: 3.0}
    assert largest_that_pays(lambda tokens: tokens / speed[tokens], start=8, most=128) == 32
    assert largest_that_pays(lambda tokens: tokens / speed[tokens], start=8, most=16) == 16

    def full(tokens):
        if tokens > 16:
            raise torch.OutOfMemoryError
        return 1.0

    assert largest_that_pays(full, start=8, most=1024) == 16
    assert largest_that_pays(full, start=64, most=1024) == 32


def test_memory_is_released_once_nothing_holds_what_did_not_fit(monkeypatch):
    held, alive = [], []

    def full(tokens):
        large = torch.empty(tokens)
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError

    monkeypatch.setattr(batch_size, "release_memory", lambda: alive.append([each() for each in held]))
    assert largest_that_pays(full, start=64, most=1024) == 32
    assert alive == [[None]]
