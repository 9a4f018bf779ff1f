"""Language or script? Claims about harm to other languages, and to one language in two scripts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean

from nharness.claims import Finding, NamedClaim
from nharness.languages import primary, script
from nharness.record.cells import CellResult
from nharness.record.model import Record
from nharness_tasks.claims.verdicts import LEVEL, TASK, above, in_every, whole

OWN = "a control of our own; the natural experiment is Serbian in both scripts in NTREX-128 (Federmann et al. 2022)"
Ends = tuple[float, float, float]


class SameScriptTakesTheHarm(NamedClaim):
    """The split of off-diagonal harm by script."""

    name = "same-script-takes-the-harm"
    statement = "A language's neurons harm other languages of its script more than languages of another."
    paper = OWN
    needs = "records of perplexity with the section structure and two languages or more in one of several scripts"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether harm to the same script exceeds that to others by more than reshuffled scripts do."""
        return in_every((record for record in records if record.intervention.purpose == "harm"), whole(_split))


def _split(record: Record) -> Finding | None:
    held = {m.name: m for m in (record.structure.measures if record.structure else ()) if m.kind is None}
    found = [held.get(f"{name}:{TASK}") for name in ("script-difference", "same-script", "other-script")]
    if any(each is None or each.value is None for each in found):
        return None
    gap, same, other = (each for each in found if each is not None)
    numbers = {"difference": gap.value or 0.0, "same script": same.value or 0.0, "another": other.value or 0.0}
    rule = "harm as a share of the intact value, same script less another, p of reshuffled scripts below 0.05"
    if gap.p is None:
        return Finding("undecided", numbers, f"{rule}; scripts cannot be reshuffled here")
    if gap.p < LEVEL and (gap.value or 0.0) > 0:
        return Finding("holds", numbers, rule)
    return Finding("fails" if gap.p > 1 - LEVEL else "undecided", numbers, f"{rule}; fails above 0.95")


class LanguageCrossesScripts(NamedClaim):
    """One language written in two scripts."""

    name = "language-crosses-scripts"
    statement = "A language's neurons harm the same language in another script more than other languages in its own."
    paper = OWN
    needs = "records of perplexity with one language in two scripts, and others in one of them"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether own language in the other script takes more harm than other languages in the same script."""
        return in_every((record for record in records if record.intervention.purpose == "harm"), whole(_crossing))


def _crossing(record: Record) -> Finding | None:
    gaps = list(_gaps(record))
    if not gaps:
        return None
    value, low, high = (fmean(each) for each in zip(*gaps, strict=True))
    rule = (
        "harm as a share of the intact value: the language in its other script less the mean of other languages in the "
        "target's script, mean over targets, above 0 at the far ends of the cells' intervals"
    )
    ends = (low, high) if math.isfinite(low) and math.isfinite(high) else None
    return above(value, ends, 0.0, name="difference", rule=rule)


def _gaps(record: Record) -> Iterator[Ends]:
    """Yield the difference of each target whose language is also there in another script, with its outer ends."""
    cells = {(cell.target, cell.language): cell for cell in record.cells if cell.task == TASK}
    for target in record.targets:
        own = target.language
        if own is None or target.share:
            continue
        other = [tag for tag in record.languages if tag != own and primary(tag) == primary(own)]
        alike = [tag for tag in record.languages if primary(tag) != primary(own) and script(tag) == script(own)]
        crossed = [_relative(cells[target.name, tag]) for tag in other if (target.name, tag) in cells]
        stayed = [_relative(cells[target.name, tag]) for tag in alike if (target.name, tag) in cells]
        if crossed and stayed:
            (one, low, high), (mean, least, most) = (_mean(each) for each in (crossed, stayed))
            yield one - mean, low - most, high - least


def _mean(found: Sequence[Ends]) -> Ends:
    value, low, high = (fmean(each) for each in zip(*found, strict=True))
    return value, low, high


def _relative(cell: CellResult) -> Ends:
    """Return a cell's harm and its ends relative to the intact value; infinite ends without an interval."""
    if cell.change is None or not cell.baseline:
        return 0.0, -math.inf, math.inf
    low, high = cell.interval or (-math.inf, math.inf)
    return cell.change / cell.baseline, low / cell.baseline, high / cell.baseline
