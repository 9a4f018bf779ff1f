"""Log-likelihoods of continuations: contexts are run once, and the LM head sees the counted tokens only.

lm-eval's own scoring runs every (context, continuation) pair whole and makes a [rows, tokens, vocabulary] tensor of it.

1. Continuations of one context share its key/value cache: the context but for its last token is run once, then the
   last token with every continuation. A context with one continuation, or too short to gain anything, is run as it is.
2. Rows are batched by length (`by_length`): contexts by theirs, and what follows the contexts of a batch by its own, if
   need be in several passes that go on from one cache. The head is applied to the hidden states that predict a token of
   a continuation, a few at a time: its log-softmax gives the log-likelihood, its largest entry whether greedy decoding
   would have written it.
3. Whether a model allows that is found out on a probe, against its own plain forward: with the cache, else without,
   else not at all (`likelihoods_for` is None, and lm-eval's own path is taken).

Legend: `R` rows, `P` tokens of the longest context, `S` of the longest continuation, `N` counted tokens, `D` width of
the trunk, `V` vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from nharness.corpora import EVEN, Room, by_length, even_shape, overhead_on
from nharness.errors import CellError
from nharness.evaluation.head import TOLERANCE, Head, even_rows, logsumexp
from nharness.models.padding import only_text, within
from nharness.models.streams import Streams
from nharness.models.trace import evaluating

Tokens = list[int]
Answer = tuple[float, bool]
Row = TypeVar("Row")
CPU_VALUES, DEVICE_VALUES = 1 << 20, 1 << 26  # logits held at once; on a CPU as many as its cache holds
SHORTEST = 8  # tokens of a context that are worth a pass of their own
ROW = 160  # tokens that a row of a batch stands for


@dataclass(frozen=True)
class Asked:
    """One continuation after a context, both token ids; place: where its answer belongs."""

    place: int
    context: Tokens
    continuation: Tokens


@dataclass(frozen=True)
class Prefixes:
    """Contexts that were read: token ids, which are text, bool, both [contexts, P], lengths, key/value cache."""

    ids: Tensor
    mask: Tensor
    lengths: Tensor
    cache: Any


class Likelihoods:
    """Scores continuations on one model; valid under any edit of its feed-forward layers.

    shared: contexts are run once for all their continuations.
    """

    def __init__(self, model: Any, head: Head, streams: Streams, *, shared: bool) -> None:
        self.model, self.head, self.shared = model, head, shared
        self._streams = streams
        self.tokens = 0

    def score(self, asked: Sequence[tuple[Tokens, Tokens]], *, longest: int, rows: int) -> list[Answer]:
        """Return (log-likelihood in nats, whether greedy decoding gives it) of every (context, continuation).

        longest: tokens that the model reads; what is longer loses its beginning. rows: of a batch, about.
        """
        cut = [_cut(place, pair, longest) for place, pair in enumerate(asked)]
        found: dict[int, Answer] = {}
        groups: dict[tuple[int, ...], list[Asked]] = {}
        for each in cut:
            groups.setdefault(tuple(each.context), []).append(each)
        together = [g for g in groups.values() if self.shared and len(g) > 1 and len(g[0].context) > SHORTEST]
        served = {each.place for group in together for each in group}
        room = self._room(rows, longest)
        with torch.inference_mode(), evaluating(self.model):
            for batch in _batched([each for each in cut if each.place not in served], _whole, room):
                found |= self._alone(batch, longest)
            for some in _batched(together, _before, replace(room, overhead=2 * room.overhead)):
                found |= self._together(some, room, longest)
        return [found[place] for place in range(len(cut))]

    def _alone(self, batch: Sequence[Asked], longest: int) -> dict[int, Answer]:
        inputs = [(each.context + each.continuation)[:-1] for each in batch]
        ids = _padded(inputs, longest).to(self.model.device)
        self.tokens += ids.numel()
        with only_text(_text(inputs, ids)):
            hidden = self._streams.run(ids, lambda read: _hidden(self.head.trunk(input_ids=read, use_cache=False)))
        starts = [len(each.context) - 1 for each in batch]
        return self._answers(hidden, batch, starts)

    def _room(self, rows: int, longest: int) -> Room:
        alone = 0 if rows == 1 else None
        return Room(rows * ROW, overhead_on(self.model.device.type), together=alone, longest=longest)

    def _together(self, groups: Sequence[Sequence[Asked]], room: Room, longest: int) -> dict[int, Answer]:
        """Return the answers of groups that share a context each; the contexts are one batch."""
        spare = max(len(each.continuation) for group in groups for each in group)
        read = self._read([group[0].context[:-1] for group in groups], longest - spare)
        owned = [(owner, each) for owner, group in enumerate(groups) for each in group]
        found: dict[int, Answer] = {}
        for part in _batched(owned, lambda one: len(one[1].continuation), room):
            found |= self._continued(read, part, longest)
        return found

    def _read(self, prefixes: Sequence[Tokens], longest: int) -> Prefixes:
        """Return contexts [P tokens, padded on the left] as the model has read them."""
        ids = _padded(prefixes, longest, left=True)
        lengths = _as_many(torch.tensor([len(prefix) for prefix in prefixes]), len(ids))
        mask = torch.arange(ids.shape[1])[None] >= ids.shape[1] - lengths[:, None]  # [contexts, P]
        self.tokens += ids.numel()
        with only_text(mask & (torch.arange(len(ids)) < len(prefixes))[:, None]):
            read = self._trunk(ids, mask, (mask.long().cumsum(1) - 1).clamp_min(0))
        return Prefixes(ids, mask, lengths, read.past_key_values)

    def _continued(self, read: Prefixes, batch: Sequence[tuple[int, Asked]], longest: int) -> dict[int, Answer]:
        """Return the answers of continuations, each with the place of its context among those that were read."""
        last = [[each.context[-1], *each.continuation[:-1]] for _, each in batch]
        ids = _padded(last, longest - read.mask.shape[1])  # [R, S]
        owners = _as_many(torch.tensor([owner for owner, _ in batch]), len(ids))  # [R]
        seen = torch.cat([read.mask[owners], torch.ones_like(ids, dtype=torch.bool)], 1)
        places = (read.lengths[owners][:, None] + torch.arange(ids.shape[1])[None]).clamp_max(longest - 1)

        def passed(ids: Tensor) -> Tensor:
            cache = copy.deepcopy(read.cache)
            cache.reorder_cache(owners.to(self.model.device))
            return _hidden(self._trunk(ids, seen, places, past_key_values=cache))

        self.tokens += ids.numel()
        with only_text(_text(last, ids)):
            hidden = self._streams.run(ids, passed, after=(read.ids, read.lengths, owners))
        return self._answers(hidden, [each for _, each in batch], [0] * len(batch))

    def _trunk(self, ids: Tensor, mask: Tensor, places: Tensor, **options: Any) -> Any:
        device = self.model.device
        return self.head.trunk(
            input_ids=ids.to(device),
            attention_mask=mask.long().to(device),
            position_ids=places.to(device),
            use_cache=True,
            **options,
        )

    def _answers(self, hidden: Tensor, batch: Sequence[Asked], starts: Sequence[int]) -> dict[int, Answer]:
        """Return the answers; `starts` say where in each row the first token of its continuation is predicted."""
        counts = [len(each.continuation) for each in batch]
        places = enumerate(zip(starts, counts, strict=True))
        rows = torch.cat([hidden[row, start : start + n] for row, (start, n) in places])  # [N, D]
        wanted = torch.tensor([token for each in batch for token in each.continuation], device=rows.device)
        values, right = self._judged(rows, wanted)
        split = zip(batch, torch.split(values, counts), torch.split(right, counts), strict=True)
        return {each.place: (float(value.sum()), bool(hit.all())) for each, value, hit in split}

    def _judged(self, rows: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-likelihoods float64 [N] and hits bool [N] of tokens `wanted` [N] after hidden states [N, D]."""
        shape = self.head.reading.shape if self.head.reading is not None else None
        most = CPU_VALUES if self.model.device.type == "cpu" else DEVICE_VALUES
        step = max(1, most // int(self.head.output.weight.shape[0]))
        values, hits = [], []
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            logits = self.head.output(even_rows(some, min(EVEN, step)))[: len(some)].float()  # [n, V]
            logits = logits if shape is None else shape(logits)
            tokens = wanted[start : start + step].to(logits.device)
            chosen = logits.gather(1, tokens[:, None])[:, 0]
            values.append((chosen - logsumexp(logits)).double().cpu())
            largest = chosen == logits.amax(1)
            largest[largest.clone()] = (
                logits[largest].argmax(1) == tokens[largest]
            )  # of equal ones the first is written
            hits.append(largest.cpu())
        return torch.cat(values), torch.cat(hits)


def likelihoods_for(model: Any, streams: Streams | None = None) -> Likelihoods | None:
    """Return what scores as the model's own plain forward does, sharing contexts if it can; None where nothing does.

    streams: of the model, shared with others that read text under edits.
    """
    try:
        head = Head(model)
    except (ArithmeticError, ValueError, RuntimeError):  # logits that are no numbers
        return None
    if head.reading is None or not hasattr(head.output, "weight"):
        return None
    for shared in (True, False):
        made = Likelihoods(model, head, streams or Streams(model), shared=shared)
        if _agrees(made):
            return made
    return None


def _agrees(made: Likelihoods) -> bool:
    model, size = made.model, int(made.head.output.weight.shape[0])
    stream = ((torch.arange(96) * 7919 + 11) % size).tolist()
    contexts = [stream[:13], stream[20:40], stream[45:48]]
    asked = [(context, stream[start : start + n]) for context in contexts for start, n in ((50, 1), (60, 4), (70, 2))]
    try:
        found = made.score(asked, longest=64, rows=8)
        with torch.inference_mode(), evaluating(model):
            for (context, continuation), (value, _) in zip(asked, found, strict=True):
                ids = torch.tensor([(context + continuation)[:-1]], device=model.device)
                logs = model(input_ids=ids, use_cache=False).logits[0, len(context) - 1 :].float().log_softmax(-1)
                true = float(logs.gather(1, torch.tensor(continuation, device=logs.device)[:, None]).sum())
                if not abs(value - true) <= TOLERANCE.get(model.dtype, 3e-2) * max(1.0, abs(true)):
                    return False
    except (TypeError, ValueError, AttributeError, LookupError, RuntimeError):  # no such cache, argument or mask
        return False
    return True


def _cut(place: int, pair: tuple[Tokens, Tokens], longest: int) -> Asked:
    context, continuation = pair
    if not 0 < len(continuation) <= longest:
        raise CellError(f"a continuation has {len(continuation)} tokens; expected 1 to the {longest} of the context")
    return Asked(place, context[-max(1, longest + 1 - len(continuation)) :], continuation)


def _batched(rows: Sequence[Row], length: Callable[[Row], int], room: Room) -> Iterator[list[Row]]:
    """Yield rows, of `length` tokens each, in batches by length that have room."""
    for places in by_length([length(row) for row in rows], room):
        yield [rows[place] for place in places]


def _whole(each: Asked) -> int:
    return len(each.context) + len(each.continuation) - 1


def _before(group: Sequence[Asked]) -> int:
    return len(group[0].context) - 1


def _padded(rows: Sequence[Tokens], longest: int, *, left: bool = False) -> Tensor:
    """Return rows as one tensor of an even size (`even_shape`): padded on the right or left, the last row repeated."""
    count, width = even_shape(len(rows), max(len(row) for row in rows), longest)
    padded = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        padded[place, where] = torch.tensor(row)
    return _as_many(padded, count)


def _as_many(rows: Tensor, count: int) -> Tensor:
    """Return `count` rows, the last one repeated."""
    return torch.cat([rows, rows[-1:].repeat(count - len(rows), *[1] * (rows.ndim - 1))])


def _text(rows: Sequence[Tokens], padded: Tensor) -> Tensor:
    """Return which tokens of rows that are padded on the right are text, bool; none of rows that were added."""
    lengths = [len(row) for row in rows] + [0] * (len(padded) - len(rows))
    return within(torch.tensor(lengths), padded.shape[1])


def _hidden(output: Any) -> Tensor:
    found = getattr(output, "last_hidden_state", None)
    return output[0] if found is None else found  # type: ignore[no-any-return]
