"""Several edits of a model in one forward pass, each in rows of its own.

A pass holds the same text once for every edit that takes part: rows 0 to B - 1 under the first of them, the next B
under the second, and so on. Only scales and shifts of dense layers can be told apart by row (`fit_in_rows`); nothing is
folded into weights, since all rows share them.

Legend: `E` edits that take part, `B` rows of text, `S` tokens of the pass, `I` neurons of a segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from nharness.models.edit import AnyEdit, Edit, EditReport, plan_edits
from nharness.models.edits import layers_touched
from nharness.models.neuron_map import NeuronMap
from nharness.models.padding import how_many
from nharness.models.streams import layers_edited
from nharness.models.taps import SiteValues, visit_sites
from nharness.models.trace import is_compiled

BACKEND = "hook"


def fit_in_rows(model: nn.Module, neuron_map: NeuronMap, edits: Sequence[AnyEdit]) -> bool:
    """Tell whether the edits can be kept to some rows of a pass: they scale and shift, in layers that see [B, T, D]."""
    segments = [segment for edit in edits for segment in neuron_map.layers[edit.layer].segments]
    plain = all(not each.routed and not each.time_first and each.passes == 1 for each in segments)
    return plain and all(isinstance(edit, Edit) for edit in edits) and not is_compiled(model)


class EditedRows:
    """Edits under way, by number; `of` says which of them take part in a pass. reports: of each, what it did."""

    def __init__(self, neuron_map: NeuronMap, sets: Sequence[Sequence[AnyEdit]]) -> None:
        self._map = neuron_map
        self._plans = [plan_edits(neuron_map, edits) for edits in sets]
        self.reports = [EditReport(BACKEND) for _ in sets]
        self._chosen = range(0)
        self._vectors: dict[tuple[range, int, str, int], tuple[Tensor, Tensor | None]] = {}

    def __len__(self) -> int:
        return len(self._plans)

    @property
    def sites(self) -> list[tuple[int, str]]:
        """Layers and sites that some edit touches, ascending."""
        return sorted({at for plan in self._plans for at in plan})

    @contextmanager
    def of(self, chosen: range) -> Iterator[None]:
        """Let the passes inside hold their text once for each of these edits, in this order."""
        with ExitStack() as stack:
            for number in chosen:
                stack.enter_context(layers_edited(layers_touched(self._map, self._plans[number], BACKEND)))
            self._chosen = chosen
            try:
                yield
            finally:
                self._chosen = range(0)

    def __call__(self, seen: SiteValues) -> Tensor | None:
        """Return the edited values [S, I], or None when no edit that takes part touches these units."""
        at, chosen = (seen.layer.index, seen.site), self._chosen
        segment = seen.segment
        inside = slice(segment.first_unit, segment.first_unit + segment.units)
        touched = {n: int(self._plans[n][at].touched[inside].sum()) for n in chosen if at in self._plans[n]}
        if not any(touched.values()):
            return None
        tokens = how_many(len(seen.values)) // len(chosen)
        for number, units in touched.items():
            self.reports[number].add(units * tokens)
        scale, shift = self._at(seen, at, inside)
        apart = seen.values.reshape(len(chosen), -1, seen.values.shape[-1])
        edited = apart * scale if shift is None else torch.addcmul(shift, apart, scale)
        return edited.reshape(seen.values.shape)

    def _at(self, seen: SiteValues, at: tuple[int, str], inside: slice) -> tuple[Tensor, Tensor | None]:
        """Return scale and shift, each [E, 1, I]; None where nothing is shifted."""
        key = (self._chosen, *at, inside.start)
        if key not in self._vectors:
            like = seen.values
            scale = torch.ones(len(self._chosen), 1, like.shape[-1])
            shift = torch.zeros_like(scale)
            for place, number in enumerate(self._chosen):
                if at in self._plans[number]:
                    plan = self._plans[number][at]
                    scale[place, 0], shift[place, 0] = plan.scale[inside], plan.shift[inside]
            moved = shift.to(like.device, like.dtype) if bool((shift != 0).any()) else None
            self._vectors[key] = (scale.to(like.device, like.dtype), moved)
        return self._vectors[key]


@contextmanager
def apply_in_rows(model: nn.Module, neuron_map: NeuronMap, sets: Sequence[Sequence[AnyEdit]]) -> Iterator[EditedRows]:
    """Keep each set of edits to rows of its own inside the context; outside `EditedRows.of` the model is unedited.

    Sets must fit (`fit_in_rows`). Raises ModelError as `plan_edits`.
    """
    rows = EditedRows(neuron_map, sets)
    with visit_sites(model, [(neuron_map.layers[layer], site) for layer, site in rows.sites], rows):
        yield rows
