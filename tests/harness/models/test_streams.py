"""Passes that begin late: the same bits in coarse number types too, where they begin, and how much is kept."""

import functools

import pytest
import torch

from nharness.models import Edit, apply_edits, locate, streams
from nharness.models.streams import MOST_BYTES, STALE, Kept, Streams
from nharness.testing.tiny import tiny_model

BESIDE = ("bloom", "mixtral")  # a residual that its feed-forward block adds itself; routed experts
INSIDE = ("llama", "gpt2", "opt", "phi", "gemma2")


def text(seed, rows=2, length=7):
    return torch.randint(3, 99, (rows, length), generator=torch.Generator().manual_seed(seed))


def forward(model, ids):
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits.clone()


class Edited:
    """A tiny model with streams, and passes of it under edits."""

    def __init__(self, name, dtype=torch.float32, most=MOST_BYTES):
        self.model = tiny_model(name).to(dtype)
        self.map = locate(self.model)
        forward(self.model, text(0))
        self.streams = Streams(self.model, most=most)

    def same(self, *edits, ids=None, backend="auto"):
        """Tell whether a pass by way of the streams gives the bits of the whole pass."""
        ids = text(1) if ids is None else ids
        with apply_edits(self.model, self.map, edits, backend=backend):
            expected = forward(self.model, ids)
            return torch.equal(self.streams.run(ids, functools.partial(forward, self.model)), expected)

    def size(self):
        return sum(kept.bytes for places in self.streams._kept.values() for kept in places.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [*INSIDE, *BESIDE])
def test_bits_are_those_of_the_whole_pass(name, dtype):
    """Edits that begin in the first layer and in a later one, folded and by hooks, off and constant, one after another."""
    case = Edited(name, dtype)
    last = case.map.layers[-1].index
    for first in (0, last):
        for shift in (0.0, 0.5):
            layers = range(first, last + 1)
            for units in ([1], [0, 3], [2]):
                edits = [Edit.affine(layer, units, scale=0.0, shift=shift) for layer in layers]
                for backend in ("auto", "hook"):
                    assert case.same(*edits, backend=backend)
    assert case.streams.skipped > 0
    assert (case.streams.inside > 0) == (name in INSIDE)


def test_what_is_edited_before_the_down_projection_is_run():
    """An edit of gates, alone or around one of neurons, changes what the down projection takes."""
    case = Edited("llama")
    gate, hidden = Edit.zero(0, [1, 2, 3], site="gate"), Edit.zero(0, [4])
    for _ in range(3):
        assert case.same(hidden)
    begun = case.streams.inside
    assert begun > 0
    for _ in range(2):
        assert case.same(gate, backend="hook")
        with apply_edits(case.model, case.map, [gate], backend="hook"):
            assert case.same(hidden)
        with apply_edits(case.model, case.map, [hidden]):
            assert case.same(gate, backend="hook")
    assert case.streams.inside == begun
    assert case.same(hidden)
    assert case.streams.inside > begun


@pytest.mark.parametrize("most", [0, 3_000])
def test_no_more_is_kept_than_there_is_room(most):
    case = Edited("llama", most=most)
    last = case.map.layers[-1].index
    for seed in range(6):
        for unit in range(3):
            assert case.same(Edit.zero(last, [unit]), ids=text(seed))
            assert case.size() == case.streams._size <= most
    assert (case.streams.skipped > 0) == (most > 0)


def test_what_was_not_read_for_long_makes_room():
    """The first text fills the room and is not read again; of the second nothing is kept until the first is stale."""
    probe, edit = Edited("llama"), Edit.zero(0, [1])
    assert probe.same(edit)
    case = Edited("llama", most=2 * probe.size())
    assert case.same(edit)
    for _ in range(2 * STALE):
        assert case.same(edit, ids=text(2))
    assert case.streams.inside == 0
    assert case.same(edit, ids=text(2))
    for _ in range(2):
        assert case.same(edit, ids=text(2))
    assert case.streams.inside > 0
    assert case.size() == case.streams._size == probe.size()


def test_what_can_have_no_room_is_copied_once(monkeypatch):
    """What a place needs is known after the first text: of later ones no copy is made only to be thrown away."""
    case, made = Edited("llama", most=1), []

    def copied(*given):
        made.append(given)
        return Kept(*given)

    monkeypatch.setattr(streams, "Kept", copied)
    last = case.map.layers[-1].index
    copies = []
    for number in range(3):
        assert case.same(Edit.zero(last, [1]), ids=text(number))
        copies.append(len(made))
    assert copies[0] > 0
    assert copies == copies[:1] * 3
