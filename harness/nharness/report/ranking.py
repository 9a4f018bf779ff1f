"""Detectors by the share of harm that stays in the language: the table at the end of a run, of `report` and `compare`.

The columns are those of the board's front page: + is harm, `own` and `others` in bits per byte at the given selection,
`leaked` is others / own; ranks are the intervals of `nharness.analysis.ranking`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nharness.analysis.ranking import Ranking, Resampled, ranked, resampled_from, unranked
from nharness.record.cells import largest_targets
from nharness.record.model import Record

LEGEND = (
    "kept share: of the harm at the crossing, 1 all stays in the language, 0 the others suffer as much; "
    "rank: 95 %, all pairs at once; own, others: + is harm, bits per byte"
)


@dataclass(frozen=True)
class Ranked:
    """Records with a headline, best first, the ranking of those that can be ranked, and why the others cannot."""

    records: Mapping[str, Record]
    ranking: Ranking
    why: Mapping[str, str]

    def rows(self) -> Sequence[Mapping[str, str]]:
        """Return one row per record."""
        return [self._row(name, record) for name, record in self.records.items()]

    def differences(self) -> Sequence[Mapping[str, str]]:
        """Return one row for every two that are ranked: the difference of their headlines, and whether it is sure."""
        return [
            {
                "first minus second": f"{first} - {second}",
                "kept share": f"{value:+.3f}",
                "interval": f"[{low:+.3f}, {high:+.3f}]",
                "": "" if low > 0 or high < 0 else "cannot be told apart",
            }
            for (first, second), (value, low, high) in self.ranking.differences.items()
        ]

    def reasons(self) -> Sequence[str]:
        """Return why records have no rank, a line each."""
        return [f"{name} has no rank: {reason}" for name, reason in self.why.items()]

    def _row(self, name: str, record: Record) -> Mapping[str, str]:
        headline = record.headline
        summary = record.summary_of(headline.task) if headline else None
        own, others = (_value(part) for part in ((summary.on_target, summary.off_target) if summary else (None, None)))
        return {
            "rank": place(self.ranking.ranks.get(name)),
            "detector": name,
            "kept share": _kept(record),
            "reached": f"{headline.reached} of {headline.of}" if headline else "-",
            "own": _signed(own),
            "perplexity": _times(ratio_of(record, headline.task) if headline else None),
            "others": _signed(others),
            "leaked": "-" if own is None or others is None or own <= 0 else f"{max(0.0, others / own):.0%}",
        }


def rank_records(records: Mapping[Path, Record]) -> Sequence[Ranked]:
    """Return the rankings of records by the paths of their files, one for each text that several were measured on.

    Of several records of one detector and intervention the first counts: ladders climb whole lists, whatever the
    budget. Records without a headline are left out.
    """
    known: dict[str, tuple[Record, Resampled | None]] = {}
    named = list(_named(records.values()))
    for (path, record), name in zip(records.items(), named, strict=True):
        if record.headline is not None and name not in known:
            known[name] = record, resampled_from(record, path.parent)
    texts: dict[str, list[str]] = {}
    for name, (record, drawn) in known.items():
        texts.setdefault(_alike(record, drawn), []).append(name)
    return [_ranked({name: known[name] for name in names}) for names in texts.values() if len(names) > 1]


def place(ranks: tuple[int, int] | None) -> str:
    """Return a rank interval as text: `1-3`, a single rank, or a dash."""
    if ranks is None:
        return "-"
    return f"{ranks[0]}" if ranks[0] == ranks[1] else f"{ranks[0]}-{ranks[1]}"


def ratio_of(record: Record, task: str) -> float | None:
    """Return the geometric mean of the own languages' perplexity ratios, edited over intact; None without any."""
    whole = largest_targets(record.targets)
    owners = {target.name: target.language for target in record.targets if target.name in whole}
    found = [
        math.log(cell.perplexity_ratio)
        for cell in record.cells
        if cell.task == task and owners.get(cell.target) == cell.language and cell.perplexity_ratio
    ]
    return math.exp(sum(found) / len(found)) if found else None


def _ranked(known: Mapping[str, tuple[Record, Resampled | None]]) -> Ranked:
    why = {name: reason for name, (record, drawn) in known.items() if (reason := unranked(record, drawn)) is not None}
    able = {name: drawn for name, (_, drawn) in known.items() if drawn is not None and name not in why}
    records = {name: record for name, (record, _) in sorted(known.items(), key=lambda item: -_headline(item[1][0]))}
    return Ranked(records, ranked(able), why)


def _alike(record: Record, drawn: Resampled | None) -> str:
    text = record.corpus.fingerprint if drawn is None else drawn.text
    return f"{record.model.fingerprint} {record.intervention.name} {'+'.join(record.selection.kinds)} {text}"


def _named(records: Iterable[Record]) -> Iterable[str]:
    """Yield what to call each record: its detector, with the intervention where there are several."""
    held = list(records)
    several = len({record.intervention.name for record in held}) > 1
    models = len({record.model.fingerprint for record in held}) > 1
    for record in held:
        name = f"{record.detector.name}/{record.intervention.name}" if several else record.detector.name
        yield f"{name} on {record.model.name}" if models else name


def _headline(record: Record) -> float:
    return record.headline.estimate.value if record.headline and record.headline.estimate else -1.0


def _kept(record: Record) -> str:
    estimate = record.headline.estimate if record.headline else None
    if estimate is None:
        return "-"
    ends = f" [{estimate.interval[0]:.2f}, {estimate.interval[1]:.2f}]" if estimate.interval else ""
    return f"{estimate.value:.2f}{ends}"


def _value(estimate: object) -> float | None:
    return getattr(estimate, "value", None)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"x{value:.2f}"
