"""Passing on the activations of one batch: in slices of counted rows, to every accumulator of the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nharness.models import Observation
from nharness.recording.accumulator import Accumulator, Activations, Scratch
from nharness.recording.selection import Selection

Needed = tuple[str, str]
"""A statistic and the site it is asked for at."""


class Dispatch:
    """Gives what is observed in one batch to the accumulators of its site."""

    def __init__(
        self,
        selection: Selection,
        made: Mapping[Needed, Accumulator],
        starts: Sequence[int],
        home: torch.device,
        scratch: Scratch,
    ) -> None:
        self._selection, self._starts, self._home, self._scratch = selection, starts, home, scratch
        self._groups: dict[str, list[tuple[bool, list[Accumulator]]]] = {}
        by_site: dict[str, list[Accumulator]] = {}
        for (_, site), accumulator in made.items():
            by_site.setdefault(type(accumulator).observes(site), []).append(accumulator)
        for site, found in by_site.items():
            apart = [[a for a in found if a.by_document], [a for a in found if not a.by_document]]
            together = selection.in_slices  # slices are of one document anyway: cut once for all
            self._groups[site] = [
                (any(a.by_document for a in group), group) for group in ([found] if together else apart) if group
            ]
        self.sites = tuple(by_site)
        self.passed: set[tuple[str, int]] = set()

    def __call__(self, seen: Observation, gradient: Tensor | None = None) -> None:
        """Cut one observation into slices and add each to every accumulator of the site."""
        self.passed.add((seen.site, seen.layer))
        first = self._starts[seen.layer] + seen.first_unit
        values, rows = seen.values.to(self._home), seen.rows
        for by_document, group in self._groups[seen.site]:
            slices = self._selection.cut(values, rows, by_document=by_document)
            slopes = None
            if gradient is not None:
                slopes = self._selection.cut(gradient.to(self._home), rows, by_document=by_document)
            for document, part in slices:
                slope = next(slopes)[1] if slopes is not None else None
                activations = Activations(self._widened(part), first, document, slope)
                for accumulator in group:
                    accumulator.add(activations)

    def _widened(self, values: Tensor) -> Tensor:
        """Return half precision values as float32 on a CPU, where sums are matrix products in the values' own type."""
        if values.device.type != "cpu" or values.dtype in {torch.float32, torch.float64}:
            return values
        return self._scratch.like(values, slot=1, dtype=torch.float32).copy_(values)
