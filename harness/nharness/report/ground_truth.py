"""Detectors against known neurons, and how well they repeat, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from nharness.record.model import Record
from nharness.record.results import GroundTruth, Stability

LEGEND = (
    "AUROC: chance that a true neuron scores above another (0.5 is chance); P@k: true ones among as many best-scored "
    "as there are; rank: Spearman of score and effect. Means over languages."
)


def truth_table(records: Sequence[Record]) -> Table | None:
    """Return detectors by truths, best first; None when no record was held against any truth."""
    scores = {record.detector.name: record.ground_truth or () for record in records}
    truths = list(dict.fromkeys(found.truth for several in scores.values() for found in several))
    if not truths:
        return None
    table = Table(title="Against known neurons", title_justify="left", header_style="bold", title_style="bold")
    table.add_column("detector")
    for truth in truths:
        for name in ("AUROC", "P@k", "rank"):
            table.add_column(f"{truth}\n{name}", justify="right")
    by_truth = {name: {found.truth: found for found in several} for name, several in scores.items()}
    for name in sorted(scores, key=lambda each: (-_first(by_truth[each], truths), each)):
        cells = [cell for truth in truths for cell in _cells(by_truth[name].get(truth))]
        table.add_row(name, *cells)
    return table


def stability_rows(records: Sequence[Record]) -> list[Mapping[str, str]]:
    """Return one row per detector and way of repeating; empty when nothing was repeated."""
    seen: dict[tuple[str, str], Stability] = {}
    for record in records:
        for found in record.stability or ():
            seen.setdefault((record.detector.name, found.kind), found)
    return [
        {
            "detector": name,
            "repeated on": kind.replace("_", " "),
            "times": str(found.repeats),
            "Jaccard": _number(found.jaccard),
            "rank correlation": _number(found.rank_correlation),
            "specific neurons": _specific(found),
        }
        for (name, kind), found in seen.items()
    ]


def _specific(found: Stability) -> str:
    count = next((each for each in found.shuffled if each.what == "specific"), None)
    return "-" if count is None else f"{count.observed}, shuffled {count.mean:.1f} (p {count.p:.2f})"


def _first(found: Mapping[str, GroundTruth], truths: Sequence[str]) -> float:
    values = [found[truth].auroc for truth in truths if truth in found]
    return next((value for value in values if value is not None), -1.0)


def _cells(found: GroundTruth | None) -> Sequence[Text]:
    if found is None:
        return [Text("-", style="dim")] * 3
    return [_coloured(found.auroc, 0.5), _coloured(found.precision_at_k, 0.0), _coloured(found.rank_correlation, 0.0)]


def _coloured(value: float | None, chance: float) -> Text:
    """Return the number; bold from nine tenths of the way between chance and 1, dim where it is near chance."""
    if value is None:
        return Text("-", style="dim")
    way = (value - chance) / (1 - chance)
    return Text(f"{value:.3f}", style="bold" if way >= 0.9 else "dim" if way < 0.1 else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
