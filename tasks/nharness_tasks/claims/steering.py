"""The claim that neurons can be switched towards a language, so that the model writes it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean

from nharness.claims import Finding, NamedClaim
from nharness.record.cells import CellResult
from nharness.record.model import Record
from nharness_tasks.claims.verdicts import all_above, in_every, measured

WRITTEN = "output_language"
Ends = tuple[float, float, float]


class SteeringMovesTarget(NamedClaim):
    """The effect of steering on the language steered towards."""

    name = "steering-moves-target"
    statement = "Switching neurons towards a language makes the model write more of it."
    paper = "Tang et al., ACL 2024, arXiv 2402.16438; Gurgurov et al. 2025"
    needs = "records of output_language whose intervention steers"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether the target's share of what is written grows, and more than others', in every record."""
        return in_every([record for record in records if record.intervention.purpose == "steer"], _steered)


def _steered(record: Record) -> Finding | None:
    """Return the finding of one record.

    The language that is led away from is none of the others: its fall is no sign that the target was met.
    """
    summary, gaps = record.summary_of(WRITTEN), list(_gaps(record))
    if summary is None or summary.on_target is None or not gaps:
        return None
    gap, low, high = (fmean(each) for each in zip(*gaps, strict=True))
    ends = (low, high) if math.isfinite(low) and math.isfinite(high) else None
    gain = summary.on_target
    rule = (
        "gain in the target's share of outputs above 0, by its interval, and above the mean gain of the languages that "
        "are neither the target nor the source, at the far ends of the cells' intervals"
    )
    numbers = {"gain in share": (gain.value, gain.interval), "more than others": (gap, ends)}
    return measured(all_above(numbers, 0.0, rule=rule), record, task=WRITTEN)


def _gaps(record: Record) -> Iterator[Ends]:
    """Yield each target's own gain less the mean gain of the others, with its far ends."""
    cells = {(cell.target, cell.language): cell for cell in record.cells if cell.task == WRITTEN}
    for target in record.targets:
        own = cells.get((target.name, target.language or ""))
        others = [
            cell
            for (name, tag), cell in cells.items()
            if name == target.name and tag not in {target.language, record.intervention.source}
        ]
        if own is not None and others and target.language != record.intervention.source and not target.share:
            value, low, high = _gain(own)
            mean, least, most = (fmean(each) for each in zip(*map(_gain, others), strict=True))
            yield value - mean, low - most, high - least


def _gain(cell: CellResult) -> Ends:
    """Return a cell's gain and its ends; without an interval nothing is excluded."""
    if cell.change is None:
        return 0.0, -math.inf, math.inf
    low, high = cell.interval or (-math.inf, math.inf)
    return cell.change, low, high
