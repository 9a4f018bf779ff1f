"""Decoder layers that need not run: their place is taken by the hidden states that are known to leave them.

Legend: `B` rows of a batch, `T` its length, `D` model width.

An edit changes nothing before the first layer that it touches. `Streams` keeps, of every text that is read under
edits, the hidden states [B, T, D] that enter some layers, and the next edit of the same batch of text begins at the
last of them that lies before its first layer. On a trial, once for each layer that is begun at, the numbers must be
those of the whole pass, bit for bit; where they are not (layers that look back past the stream) all of it is run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models.padding import only_text
from nharness.replacing import replaced

PLACES = 10  # layers, at equal steps through the depth, of which the stream is kept
MOST_BYTES = 256 << 20
REFUSALS = (ModelError, RuntimeError, TypeError, ValueError, IndexError, AttributeError)
"""What standing in for a layer may raise in a model that is built otherwise."""

_EDITED: ContextVar[frozenset[str]] = ContextVar("edited", default=frozenset())


@contextmanager
def layers_edited(names: Sequence[str]) -> Iterator[None]:
    """Say which feed-forward layers, by module name, are edited inside, beside those that already are."""
    before = _EDITED.set(_EDITED.get() | frozenset(names))
    try:
        yield
    finally:
        _EDITED.reset(before)


def decoder_of(model: nn.Module, name: str) -> tuple[Sequence[nn.Module], int] | None:
    """Return the list of decoder layers that a feed-forward layer stands in, and the place; None if there is none."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        stack = model.get_submodule(".".join(parts[:end]))
        if isinstance(stack, nn.ModuleList):
            return list(stack), int(parts[end])
    return None


class Streams:
    """The hidden states that enter some layers of one unedited model, of texts that were read.

    most: bytes that are kept at most; what is beyond is run whole. skipped: tokens x layers that were left out so far.
    """

    def __init__(self, model: nn.Module, *, most: int = MOST_BYTES) -> None:
        self._model, self._most, self._size = model, most, 0
        self._kept: dict[str, dict[int, Tensor]] = {}
        self._tuples: set[nn.Module] = set()
        self._works: dict[int, bool] = {}
        self.skipped = 0

    def run(self, ids: Tensor, passed: Callable[[Tensor], Tensor]) -> Tensor:
        """Return `passed(ids)`, which runs the model on int64 [B, T] under the edits that stand, from where it must."""
        layers, first = self._first()
        step = max(1, len(layers) // PLACES)
        places = range(step, first + 1, step)
        if not places:
            return passed(ids)
        key = hashlib.sha256(str(tuple(ids.shape)).encode() + ids.cpu().numpy().tobytes()).hexdigest()
        kept = self._kept.setdefault(key, {})
        start = max((place for place in places if place in kept), default=0)
        if start and start not in self._works:
            self._works[start] = self._agrees(ids, passed, layers[: start + 1], kept[start])
        start = start if self._works.get(start) else 0
        with ExitStack() as undo:
            if start:
                undo.enter_context(self._begun(layers[: start + 1], kept[start]))
                self.skipped += start * ids.numel()
            for place in places:
                if place > start and place not in kept:
                    undo.enter_context(self._watched(layers, place, kept))
            return passed(ids)

    def _first(self) -> tuple[Sequence[nn.Module], int]:
        """Return the decoder layers and the place of the first that is edited; none where nothing can be left out."""
        found = [decoder_of(self._model, name) for name in _EDITED.get()]
        stacks = [stack for stack in found if stack is not None]
        if not stacks or len(stacks) < len(found) or any(layers != stacks[0][0] for layers, _ in stacks):
            return [], 0
        return stacks[0][0], min(place for _, place in stacks)

    def _agrees(
        self, ids: Tensor, passed: Callable[[Tensor], Tensor], layers: Sequence[nn.Module], stream: Tensor
    ) -> bool:
        """Tell whether a pass that begins late gives the same bits, after the model has read something else."""
        with only_text(torch.zeros(ids.shape, dtype=torch.bool)):  # nothing of a trial is counted
            passed(ids.flip(1))
            try:
                with self._begun(layers, stream):
                    found = passed(ids)
            except REFUSALS:
                return False
            return torch.equal(found, passed(ids))

    @contextmanager
    def _begun(self, layers: Sequence[nn.Module], stream: Tensor) -> Iterator[None]:
        """Begin at the last of these layers, which is given its stream."""
        with (
            standing_in(dict.fromkeys(layers[:-1]), frozenset(self._tuples)),
            given(layers[-1], stream),
        ):
            yield

    @contextmanager
    def _watched(self, layers: Sequence[nn.Module], place: int, kept: dict[int, Tensor]) -> Iterator[None]:
        """Keep what enters a layer, as long as there is room, and learn which layers before it return tuples."""

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            stream = stream_of(args, kwargs)
            size = stream.numel() * stream.element_size()
            if self._size + size <= self._most:
                kept[place] = stream.clone()
                self._size += size

        def after(module: nn.Module, _args: Any, result: Any) -> None:
            if not isinstance(result, Tensor):
                self._tuples.add(module)

        with ExitStack() as undo:
            undo.callback(layers[place].register_forward_pre_hook(before, with_kwargs=True).remove)
            for layer in layers[:place]:
                undo.callback(layer.register_forward_hook(after).remove)
            yield


@contextmanager
def standing_in(results: Mapping[nn.Module, Tensor | None], tuples: frozenset[nn.Module]) -> Iterator[None]:
    """Skip modules: each returns the given tensor, or (None) its input; `tuples` say which wrap it."""
    with ExitStack() as undo:
        for module, result in results.items():
            undo.enter_context(replaced(module, "forward", _stand_in(result, as_tuple=module in tuples)))
        yield


def _stand_in(result: Tensor | None, *, as_tuple: bool) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        found = stream_of(args, kwargs) if result is None else result
        return (found,) if as_tuple else found

    return forward


@contextmanager
def given(block: nn.Module, stream: Tensor) -> Iterator[None]:
    """Hand a module other hidden states than it is given."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return ((stream, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": stream})

    handle = block.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def stream_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Return the hidden states among the arguments of a decoder layer."""
    found: Tensor = args[0] if args else kwargs["hidden_states"]
    return found
