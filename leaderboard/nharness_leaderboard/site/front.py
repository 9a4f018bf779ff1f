"""The front page: which detector finds neurons that belong to one language, answered in five seconds.

One page a model, of the one set of records that are alike but for the detector: those with a headline where there are
any, else the largest set at one budget, which is shown and not ranked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup
from scipy.stats import spearmanr

from nharness.languages import display_name
from nharness.plugins import Plugins
from nharness.record.cautions import cautions, shortfall_text
from nharness.record.cells import largest_targets
from nharness.record.model import Record
from nharness.record.results import TaskSummary
from nharness_leaderboard.ranks import Standing, Standings, set_key
from nharness_leaderboard.results import Entry, slug
from nharness_leaderboard.site.agreement import Agreement, agreement
from nharness_leaderboard.site.drawing import Point, scatter, slopes, sparkline
from nharness_leaderboard.site.text import NONE, fixed, number, p_value, percent
from nharness_leaderboard.ties import alike_key

TOY = 50_000_000  # parameters below which a model is a toy
FEW = 20


@dataclass(frozen=True)
class Cell:
    """One language's own harm, or share kept: its number, how it is written, its shade, what there is to say of it."""

    language: str
    value: float | None
    text: str
    shade: int
    side: str
    note: str


@dataclass(frozen=True)
class Row:
    """One detector."""

    slug: str
    detector: str
    page: str
    summary: str
    random: bool
    reproduced: bool
    rank: str
    kept: float | None
    kept_text: str
    own: float | None
    ratio: float | None
    others: float | None
    leaked: float | None
    selectivity: float | None
    interval: str
    p: str
    known: float | None
    cells: tuple[Cell, ...]
    layers: Markup


@dataclass(frozen=True)
class Front:
    """Everything the front page of one model needs."""

    model: str
    label: str
    page: str
    ranked: bool
    known: bool
    lead: str
    facts: tuple[tuple[str, str], ...]
    cautions: tuple[str, ...]
    languages: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    scatter: Markup
    slopes: Markup
    slopes_note: str
    agreement: Agreement | None


@dataclass(frozen=True)
class _Set:
    """The records of one model that are shown: one a detector, best first."""

    model: Record
    entries: tuple[Entry, ...]
    ranked: bool

    @property
    def task(self) -> str:
        """Name of the task that harm is measured by."""
        return next(task.name for task in self.model.tasks if task.metric == "bits_per_byte")

    def summary(self, entry: Entry) -> TaskSummary | None:
        """Return the summary that numbers are read from."""
        return entry.record.summary_of(self.task)


def fronts(entries: Sequence[Entry], placed: Standings) -> list[Front]:
    """Return the front pages, real models before toys, larger ones first; empty without a record of perplexity."""
    sets = sorted(_sets(entries), key=lambda each: (each.model.model.parameters < TOY, -each.model.model.parameters))
    summaries = {name: found.entry.summary for name, found in Plugins().entries("detectors").items()}
    return [_front(each, sets, summaries, placed, index=index, total=len(entries)) for index, each in enumerate(sets)]


def _sets(entries: Sequence[Entry]) -> Iterator[_Set]:
    def model_of(entry: Entry) -> str:
        return f"{entry.record.model.name}\0{entry.record.model.fingerprint}"

    for _, group in groupby(sorted(entries, key=model_of), key=model_of):
        alike: dict[tuple[bool, str], dict[str, Entry]] = {}
        for entry in sorted(group, key=lambda each: each.record.identity.created):
            record = entry.record
            task = next((t for t in record.tasks if t.metric == "bits_per_byte"), None)
            summary = record.summary_of(task.name) if task else None
            if task is None or summary is None or summary.selectivity is None:
                continue
            key = set_key(record) if record.headline else alike_key(record, task.name)
            alike.setdefault((record.headline is not None, key), {})[record.detector.name] = entry
        if alike:
            (ranked, _), chosen = max(alike.items(), key=lambda item: (item[0][0], len(item[1]), item[0][1]))
            best = sorted(chosen.values(), key=_order)
            yield _Set(best[0].record, tuple(best), ranked)


def _order(entry: Entry) -> tuple[float, str]:
    record = entry.record
    if record.headline is not None:
        return -(record.headline.estimate.value if record.headline.estimate else -1.0), record.detector.name
    found = next((s for s in record.summary if s.selectivity is not None), None)
    return -(found.selectivity.value if found and found.selectivity else -math.inf), record.detector.name


def _front(
    own: _Set, sets: Sequence[_Set], summaries: Mapping[str, str], placed: Standings, *, index: int, total: int
) -> Front:
    record, task = own.model, own.task
    tags = next(each.languages for each in record.tasks if each.name == task)
    rows = tuple(_row(own, entry, tags, summaries, placed.of(entry.slug)) for entry in own.entries)
    other = next((each for each in sets if each is not own), None)
    drawn, note, correlation = _compared(own, other)
    return Front(
        model=record.model.name,
        label=_label(record),
        page="index.html" if index == 0 else f"board-{slug(record.model.name)}.html",
        ranked=own.ranked,
        known=any(row.known is not None for row in rows),
        lead=_lead(own, len(tags)),
        facts=tuple(_facts(own, total)),
        cautions=tuple(_cautions(own, correlation)),
        languages=tuple((tag, display_name(tag)) for tag in tags),
        rows=rows,
        scatter=scatter([Point(row.detector, row.own or 0.0, row.others or 0.0, row.random) for row in rows]),
        slopes=drawn,
        slopes_note=note,
        agreement=agreement(own.entries),
    )


def _label(record: Record) -> str:
    millions = record.model.parameters / 1e6
    name = record.model.checkpoint or record.model.name
    return f"{name}, an embedded toy of {millions:.1f} M parameters" if record.model.parameters < TOY else name


def _lead(own: _Set, languages: int) -> str:
    """Return in two sentences what was done."""
    selection = own.model.selection
    counts = [n for n in own.model.neurons.per_language.values() if n]
    size = f"{max(counts):,}" if counts else "no"
    named = f"{size} neurons per language" + (f" ({percent_of(selection.budget)})" if selection.budget else "")
    how = {"zero": "set them to zero"}.get(
        own.model.intervention.name, f"applied {own.model.intervention.name} to them"
    )
    many = {8: "seven", 10: "nine"}.get(languages, str(languages - 1))
    return (
        f"Each method names {named}. We {how} and measure how much worse the model predicts that language, and the "
        f"other {many}. A good method hurts the first and spares the rest."
    )


def percent_of(share: float) -> str:
    """Return a share as percent, with as many digits as it has."""
    return f"{100 * share:.3g}\N{NO-BREAK SPACE}%"


def _facts(own: _Set, total: int) -> Iterator[tuple[str, str]]:
    record = own.model
    documents = sum(each.items for each in record.baseline if each.task == own.task)
    repeats = len(record.repeats.parts) if record.repeats else 1
    reproduced = sum(entry.record.identity.badge == "reproduced" for entry in own.entries)
    yield str(len(own.entries)), "detectors"
    yield str(len(record.languages)), "languages"
    yield f"{documents:,}", "documents measured"
    yield str(repeats), "detection" if repeats == 1 else "detections on other text"
    yield f"{reproduced} of {len(own.entries)}", "reproduced"
    yield str(total), "records in all"
    yield max(entry.record.identity.created for entry in own.entries)[:10], "updated"


def _cautions(own: _Set, correlation: float | None) -> Iterator[str]:
    """Yield what a reader should know first, from the flags and warnings of what is shown."""
    record = own.model
    few = [(each.language, each.items) for each in record.baseline if each.task == own.task and each.items < FEW]
    if few:
        least = min(items for _, items in few)
        names = ", ".join(display_name(tag) for tag, items in few if items == least)
        verb = "is" if "," not in names else "are each"
        yield (
            f"{len(few)} of {len(record.languages)} languages rest on fewer than {FEW} documents: "
            f"{names} {verb} measured on {least}."
        )
    if not own.ranked:
        yield "These records are of one budget: they are shown in order of selectivity and not ranked."
    if any("overlap" in cell.flags for entry in own.entries for cell in entry.record.cells):
        yield "Some of the text that is measured was also seen by the detection."
    failed = sum(cell.status == "failed" for entry in own.entries for cell in entry.record.cells)
    if failed:
        yield f"{failed} cells failed."
    if correlation is not None:
        yield f"The order agrees with that on the other model at Spearman {correlation:.2f}."
    yield from list(dict.fromkeys(text for entry in own.entries for text in _told(entry)))[:3]


def _told(entry: Entry) -> Iterator[str]:
    """Yield a record's cautions, those of one detector with its name."""
    own = shortfall_text(entry.record)
    for text in cautions(entry.record):
        yield f"{entry.record.detector.name}: {text}" if own and text.startswith(own) else text


def _compared(own: _Set, other: _Set | None) -> tuple[Markup, str, float | None]:
    """Return the slope chart of two models' orders, a sentence on it, and Spearman's correlation."""
    if other is None:
        return Markup(""), "", None
    first, second = ([entry.record.detector.name for entry in each.entries] for each in (own, other))
    common = [name for name in first if name in second]
    if len(common) < 3:
        return Markup(""), "", None
    there = [name for name in second if name in common]
    found = float(spearmanr(range(len(common)), [there.index(name) for name in common]).statistic)
    titles = own.model.model.name, other.model.model.name
    return slopes(common, there, titles), f"Spearman {found:.2f} over {len(common)} detectors.", found


def _row(
    own: _Set,
    entry: Entry,
    tags: Sequence[str],
    summaries: Mapping[str, str],
    standing: Standing | None,
) -> Row:
    record, summary = entry.record, own.summary(entry)
    on = summary.on_target.value if summary and summary.on_target else None
    off = summary.off_target.value if summary and summary.off_target else None
    selectivity = summary.selectivity if summary else None
    control = summary.control_selectivity if summary else None
    headline = record.headline
    kept = headline.estimate.value if headline and headline.estimate else None
    truth = record.ground_truth[0].auroc if record.ground_truth else None
    return Row(
        slug=entry.slug,
        detector=record.detector.name,
        page=slug(record.detector.name),
        summary=summaries.get(record.detector.name, ""),
        random=record.detector.name == "random",
        reproduced=record.identity.badge == "reproduced",
        rank=(standing.interval or NONE) if standing else NONE,
        kept=kept,
        kept_text=_kept(record),
        own=on,
        ratio=_ratio(record, own.task),
        others=off,
        leaked=None if on is None or off is None or on <= 0 else max(0.0, off / on),
        selectivity=selectivity.value if selectivity else None,
        interval=_ends(selectivity.interval if selectivity else None),
        p=p_value(control.p if control else None),
        known=truth,
        cells=tuple(_cells(record, own.task, tags)),
        layers=sparkline(_layers(record)),
    )


def _kept(record: Record) -> str:
    headline = record.headline
    if headline is None or headline.estimate is None:
        return NONE
    ends = _ends(headline.estimate.interval, places=2)
    reached = f"{headline.reached} of {headline.of} languages reach {percent(headline.harm)}"
    return f"{ends}; {reached}" if ends else reached


def _ends(interval: tuple[float, float] | None, *, places: int = 3) -> str:
    return "" if interval is None else f"{fixed(interval[0], places)} to {fixed(interval[1], places)}"


def _ratio(record: Record, task: str) -> float | None:
    """Return the geometric mean of the own languages' perplexity ratios."""
    owners = {
        target.name: target.language for target in record.targets if target.name in largest_targets(record.targets)
    }
    found = [
        math.log(cell.perplexity_ratio)
        for cell in record.cells
        if cell.task == task and owners.get(cell.target) == cell.language and cell.perplexity_ratio
    ]
    return math.exp(sum(found) / len(found)) if found else None


def _cells(record: Record, task: str, tags: Sequence[str]) -> Iterator[Cell]:
    """Yield each language's own harm."""
    summary = record.summary_of(task)
    whole = largest_targets(record.targets)
    rows = {row.language: row for row in (summary.rows if summary else ()) if row.target in whole}
    found = {tag: rows[tag].on_target.value for tag in tags if tag in rows and rows[tag].on_target}  # type: ignore[union-attr]
    for tag in tags:
        value = found.get(tag)
        row = rows.get(tag)
        others = row.off_target.value if row and row.off_target else None
        note = f"{record.detector.name}, {display_name(tag)}: own {fixed(value)}, others {fixed(others)} bits per byte"
        shade = 0 if value is None else min(100, round(100 * math.sqrt(min(abs(value), 3.0) / 3.0)))
        side = "failed" if value is None else "harm" if value >= 0 else "gain"
        yield Cell(tag, value, NONE if value is None else fixed(value, 2), shade, side, note)


def _layers(record: Record) -> list[float]:
    """Return the share of each layer's neurons that belong to some language, summed over languages."""
    counts = np.array(list(record.neurons.layers.languages.values()), dtype=np.float64).sum(axis=0)
    return [float(v) for v in counts / np.maximum(1, np.array(record.model.layer_widths))]


def changes(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return what was published when, newest first, a line a day and model."""
    days: dict[tuple[str, str], int] = {}
    for entry in entries:
        key = entry.record.identity.created[:10], entry.record.model.name
        days[key] = days.get(key, 0) + 1
    ordered = sorted(days.items(), reverse=True)[:12]
    return [
        (day, f"{count} records on {model}" if count > 1 else f"a record on {model}") for (day, model), count in ordered
    ]


def leak_text(value: float | None) -> str:
    """Return a leaked share in percent; more than all of it is said as such."""
    if value is None:
        return NONE
    return ">\N{NARROW NO-BREAK SPACE}999\N{NARROW NO-BREAK SPACE}%" if value > 9.99 else percent(value)


def ratio_text(value: float | None) -> str:
    """Return a perplexity ratio as one reads it."""
    return NONE if value is None else f"\N{MULTIPLICATION SIGN}{number(value)}"
