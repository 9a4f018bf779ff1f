"""Decoder layers that need not run: their place is taken by the hidden states that are known to leave them.

Legend: `B` rows of a batch, `T` its length, `D` model width, `N` neurons of a layer.

An edit changes nothing before the first layer that it touches; an edit of neurons changes nothing of that layer before
its down projection. `Streams` keeps, of every text that is read under edits,

1. the hidden states [B, T, D] that enter some layers; the next edit of the same batch of text begins at the last of
   them that lies before its first layer;
2. in models of fewer than 20 layers, of the first edited one also what its attention gives and what its down projection
   takes [B, T, N]; the next edit begins there.

On a trial, once for each place that is begun at, the numbers must be those of the whole pass, bit for bit and twice;
where they are not (layers that look back past the stream) a place before it is tried, or all of the model is run.
What was not used for long makes room for what is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models.operations import tensors_in
from nharness.models.padding import only_text
from nharness.replacing import replaced

PLACES = 10  # layers, at equal steps through the depth, of which the stream is kept
MOST_BYTES = 128 << 20
STALE = 8
"""What is kept of a text gives way once all texts that were ever read could have been read so often since its use."""
REFUSALS = (ModelError, RuntimeError, TypeError, ValueError, IndexError, AttributeError)
"""What standing in for a layer may raise in a model that is built otherwise."""

_EDITED: ContextVar[Mapping[str, str | None]] = ContextVar("edited", default={})  # noqa: B039 - it is never changed


@contextmanager
def layers_edited(layers: Mapping[str, str | None]) -> Iterator[None]:
    """Say which feed-forward layers, by module name, are edited inside, beside those that already are.

    To each belongs the name of its down projection where nothing before that one's input is changed, else None.
    """
    known = _EDITED.get()
    met = {name: down if known.get(name, down) == down else None for name, down in layers.items()}
    before = _EDITED.set({**known, **met})
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


@dataclass(frozen=True)
class Start:
    """Where a pass may begin: at a decoder layer or, where its name is given, at the down projection in it.

    going_on: the pass goes on from a key/value cache.
    """

    place: int
    down: str | None = None
    going_on: bool = False


@dataclass
class Kept:
    """What is known at a place: the stream that enters the layer and, inside it, what modules give instead of running.

    taken: what the down projection takes. holder: the part of the layer that it ends, None where it is a part itself.
    """

    stream: Tensor
    given: Mapping[nn.Module, Any] = field(default_factory=dict)
    holder: nn.Module | None = None
    taken: Tensor | None = None
    used: int = 0

    def use(self, passes: int) -> None:
        """Note when it was of use, in passes so far."""
        self.used = passes

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        found = tensors_in((self.stream, *self.given.values(), *([] if self.taken is None else [self.taken])))
        return sum(tensor.numel() * tensor.element_size() for tensor in found)


class Streams:
    """The hidden states at some places of one unedited model, of texts that were read.

    most: bytes that are kept at most, half of them inside layers; what is beyond is run whole. skipped: tokens x layers
    that were left out so far; inside: tokens of passes that began at a down projection.
    """

    def __init__(self, model: nn.Module, *, most: int = MOST_BYTES) -> None:
        self._model, self._most, self._size = model, most, 0
        self._kept: dict[str, dict[Start, Kept]] = {}
        self._tuples: set[nn.Module] = set()
        self._works: dict[Start, bool] = {}
        self._needs: dict[Start, float] = {}  # bytes a token
        self._passes = 0
        self.skipped, self.inside = 0, 0

    def run(self, ids: Tensor, passed: Callable[[Tensor], Tensor], *, after: Sequence[Tensor] = ()) -> Tensor:
        """Return `passed(ids)`, which runs the model on int64 [B, T] under the edits that stand, from where it must.

        passed: may be called several times. after: of a pass that goes on from a key/value cache, what it was made of.
        """
        layers, starts = self._starts(going_on=len(after) > 0)
        if not starts:
            return passed(ids)
        self._passes += 1
        kept = self._kept.setdefault(_digest((ids, *after)), {})
        begin = self._chosen(ids, passed, layers, [start for start in starts if start in kept], kept)
        missing = [start for start in starts if start not in kept and self._may_keep(start, ids.numel())]
        with ExitStack() as undo:
            if begin is not None:
                kept[begin].use(self._passes)
                undo.enter_context(self._begun(layers, begin, kept[begin]))
                self.skipped += begin.place * ids.numel()
                self.inside += ids.numel() if begin.down is not None else 0
                missing = [start for start in missing if starts.index(start) > starts.index(begin)]
            seen = [undo.enter_context(self._watched(layers, start)) for start in missing]
            result = passed(ids)
        for start, found in zip(missing, seen, strict=True):
            self._keep(kept, start, found, ids.numel())
        return result

    def _starts(self, *, going_on: bool) -> tuple[Sequence[nn.Module], list[Start]]:
        """Return the decoder layers and where a pass may begin, the last one best; none where it must be run whole."""
        edited = _EDITED.get()
        found = {name: decoder_of(self._model, name) for name in edited}
        stacks = [stack for stack in found.values() if stack is not None]
        if not stacks or len(stacks) < len(found) or any(layers != stacks[0][0] for layers, _ in stacks):
            return [], []
        layers, first = stacks[0][0], min(place for _, place in stacks)
        step = max(1, len(layers) // PLACES)
        starts = [Start(place, going_on=going_on) for place in range(step, first + 1, step)]
        downs = {edited[name] for name, stack in found.items() if stack is not None and stack[1] == first}
        if step == 1 and len(downs) == 1:
            starts += [Start(first, down, going_on) for down in downs if down is not None]
        return layers, starts

    def _chosen(
        self,
        ids: Tensor,
        passed: Callable[[Tensor], Tensor],
        layers: Sequence[nn.Module],
        starts: Sequence[Start],
        kept: dict[Start, Kept],
    ) -> Start | None:
        """Return the best start that works, on a trial for the first time; what does not work is forgotten."""
        for start in reversed(starts):
            if start not in self._works:
                self._works[start] = self._agrees(ids, passed, layers, start, kept[start])
            if self._works[start]:
                return start
            self._size -= kept.pop(start).bytes
        return None

    def _agrees(
        self, ids: Tensor, passed: Callable[[Tensor], Tensor], layers: Sequence[nn.Module], start: Start, kept: Kept
    ) -> bool:
        """Tell whether passes that begin late give the same bits, after the model has read something else."""
        with only_text(torch.zeros(ids.shape, dtype=torch.bool)):  # nothing of a trial is counted
            passed(ids.flip(1))
            try:
                with self._begun(layers, start, kept):
                    found = [passed(ids), passed(ids)]
            except REFUSALS:
                return False
            whole = passed(ids)
            return all(torch.equal(one, whole) for one in found)

    @contextmanager
    def _begun(self, layers: Sequence[nn.Module], start: Start, kept: Kept) -> Iterator[None]:
        """Begin at a layer, which is given its stream, or at the down projection in it."""
        with (
            standing_in(dict.fromkeys(layers[: start.place]), frozenset(self._tuples)),
            given(layers[start.place], kept.stream),
            ExitStack() as undo,
        ):
            for module, result in kept.given.items():
                undo.enter_context(replaced(module, "forward", _giving(result)))
            if kept.holder is not None:
                down = self._model.get_submodule(start.down or "")
                undo.enter_context(replaced(kept.holder, "forward", _ending(down, kept.taken)))
            yield

    @contextmanager
    def _watched(self, layers: Sequence[nn.Module], start: Start) -> Iterator[list[Kept]]:
        """Yield what will hold the values at a place, once, and learn which layers before it return tuples."""
        found: list[Kept] = []

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found.append(Kept(stream_of(args, kwargs).clone()))

        def after(module: nn.Module, _args: Any, result: Any) -> None:
            if not isinstance(result, Tensor):
                self._tuples.add(module)

        layer = layers[start.place]
        with ExitStack() as undo:
            undo.callback(layer.register_forward_pre_hook(before, with_kwargs=True).remove)
            for one in layers[: start.place]:
                undo.callback(one.register_forward_hook(after).remove)
            inside = Inside(layer, self._model.get_submodule(start.down)) if start.down is not None else None
            if inside is not None:
                undo.enter_context(inside.watched())
            yield found
        if inside is not None:
            found[:] = [inside.kept(one.stream) for one in found if inside.whole]

    def _may_keep(self, start: Start, tokens: int) -> bool:
        """Tell whether a place is worth a copy: it works, as far as is known, and what it needs has room."""
        return self._works.get(start, True) and self._has_room(start, self._needs.get(start, 0.0) * tokens)

    def _keep(self, kept: dict[Start, Kept], start: Start, found: Sequence[Kept], tokens: int) -> None:
        """Keep what was found at a place, as long as there is room; what can never be found is not looked for again."""
        if len(found) != 1:
            self._works[start] = False
            return
        size = found[0].bytes
        self._needs[start] = size / tokens
        if self._has_room(start, size):
            kept[start] = found[0]
            kept[start].use(self._passes)
            self._size += size

    def _has_room(self, start: Start, size: float) -> bool:
        """Tell whether bytes have room at a place, once what is stale has made some."""
        most = self._most if start.down is None else self._most // 2
        if self._size + size > most:
            self._forget_stale()
        return self._size + size <= most

    def _forget_stale(self) -> None:
        oldest = self._passes - STALE * len(self._kept)
        for kept in self._kept.values():
            for start in [start for start, one in kept.items() if one.used < oldest]:
                self._size -= kept.pop(start).bytes


class Inside:
    """What of a decoder layer is done before its down projection runs: the parts with matrices, and what they give."""

    def __init__(self, layer: nn.Module, down: nn.Module) -> None:
        self._down = down
        self._holder = next(part for part in layer.children() if any(module is down for module in part.modules()))
        self._parts = [part for part in layer.children() if part is not self._holder and _has_matrices(part)]
        self._given: dict[nn.Module, Any] = {}
        self._taken: list[Tensor] = []
        self._calls: list[nn.Module] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note what is given and taken while the layer runs."""
        with ExitStack() as undo:
            for part in self._parts:
                undo.callback(part.register_forward_hook(self._gave).remove)
            if self._holder is not self._down:
                undo.callback(self._holder.register_forward_hook(self._ended).remove)
            undo.callback(self._down.register_forward_pre_hook(self._took).remove)
            yield

    @property
    def whole(self) -> bool:
        """Whether all is known: the down projection ran once, and no part more than once."""
        ended = self._holder is self._down or self._calls.count(self._holder) == 1
        return ended and len(self._taken) == 1 and all(self._calls.count(part) == 1 for part in self._given)

    def kept(self, stream: Tensor) -> Kept:
        """Return it, with the stream that entered the layer."""
        if self._holder is self._down:
            return Kept(stream, self._given)
        return Kept(stream, self._given, self._holder, self._taken[0])

    def _gave(self, part: nn.Module, _args: Any, result: Any) -> None:
        self._calls.append(part)
        if not self._taken:
            self._given[part] = _copied(result)

    def _took(self, _down: nn.Module, args: tuple[Any, ...]) -> None:
        self._taken.append(args[0].clone() if args and self._holder is not self._down else torch.zeros(0))

    def _ended(self, holder: nn.Module, _args: Any, _result: Any) -> None:
        self._calls.append(holder)


def _digest(tensors: Sequence[Tensor]) -> str:
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(f"{tuple(tensor.shape)}/".encode() + tensor.cpu().numpy().tobytes())
    return sha.hexdigest()


def _has_matrices(part: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in part.parameters())


def _copied(result: Any) -> Any:
    """Return a copy of a tensor, or of those in a tuple."""
    if isinstance(result, Tensor):
        return result.clone()
    return tuple(_copied(each) for each in result) if type(result) is tuple else result


def _giving(result: Any) -> Callable[..., Any]:
    return lambda *_args, **_kwargs: result


def _ending(down: nn.Module, taken: Tensor | None) -> Callable[..., Any]:
    return lambda *_args, **_kwargs: down(taken)


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
