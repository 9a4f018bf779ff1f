"""The rows of the front page's table: one per detector, every number as in its record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from nharness.languages import display_name
from nharness.record.cells import largest_targets
from nharness.record.headline import LanguageHeadline
from nharness.record.model import Record
from nharness.report.ranking import ratio_of
from nharness_leaderboard.ranks import Standing
from nharness_leaderboard.results import Entry, slug
from nharness_leaderboard.site.drawing import sparkline
from nharness_leaderboard.site.shown import Shown
from nharness_leaderboard.site.text import NONE, against_random, fixed, harm_percent, whole
from nharness_leaderboard.site.text import kept as kept_text

DARKEST = 3.0  # bits per byte from which a cell is no darker


@dataclass(frozen=True)
class FrontCell:
    """One language: its own harm and, with a headline, the share that stays in it; texts, shades, a note."""

    language: str
    value: float | None
    text: str
    shade: int
    side: str
    kept: float | None
    kept_text: str
    kept_shade: int
    note: str


@dataclass(frozen=True)
class Row:
    """One detector: rank, kept share, harms in bits per byte (ratio: of perplexities), a cell per language.

    Numbers are None, and texts empty, where the record has none.
    """

    slug: str
    detector: str
    page: str
    summary: str
    random: bool
    reproduced: bool
    rank: str
    reason: str
    kept: float | None
    kept_ends: str
    reached: str
    shares: tuple[float, ...]
    own: float | None
    ratio: float | None
    others: float | None
    leaked: float | None
    selectivity: float | None
    interval: str
    p: str
    known: tuple[float, float | None] | None
    cells: tuple[FrontCell, ...]
    layers: Markup


def row_of(own: Shown, entry: Entry, summaries: Mapping[str, str], standing: Standing | None) -> Row:
    """Return a detector's row."""
    record, summary, headline = entry.record, own.summary(entry), entry.record.headline
    on = summary.on_target.value if summary and summary.on_target else None
    off = summary.off_target.value if summary and summary.off_target else None
    selectivity = summary.selectivity if summary else None
    control = summary.control_selectivity if summary else None
    estimate = headline.estimate if headline else None
    truth = record.ground_truth[0] if record.ground_truth else None
    return Row(
        slug=entry.slug,
        detector=record.detector.name,
        page=slug(record.detector.name),
        summary=summaries.get(record.detector.name, ""),
        random=record.detector.name == "random",
        reproduced=record.identity.badge == "reproduced",
        rank=(standing.interval or NONE) if standing else NONE,
        reason=(standing.reason or "") if standing else "",
        kept=estimate.value if estimate else None,
        kept_ends=_between(estimate.interval) if estimate else "",
        reached=f"{headline.reached} of {headline.of} reach it" if headline and headline.reached < headline.of else "",
        shares=tuple(_shares(record)),
        own=on,
        ratio=ratio_of(record, own.task),
        others=off,
        leaked=None if on is None or off is None or on <= 0 else max(0.0, off / on),
        selectivity=selectivity.value if selectivity else None,
        interval=_ends(selectivity.interval if selectivity else None),
        p=against_random(control),
        known=(truth.auroc, truth.precision_at_k) if truth and truth.auroc is not None else None,
        cells=tuple(_cells(own, record)),
        layers=sparkline(_layers(record)),
    )


def _shares(record: Record) -> Iterator[float]:
    """Yield the kept share at 5 %, at the headline's harm and at 25 %, means over languages; nothing without them."""
    languages = [each for each in (record.headline.languages if record.headline else {}).values() if each.counts]
    for name in ("at_5", "kept", "at_25"):
        values = [getattr(each, name) for each in languages]
        if values:
            yield float(np.mean([0.0 if value is None else value for value in values]))


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{kept_text(interval[0])}\N{EN DASH}{kept_text(interval[1])}"


def _ends(interval: tuple[float, float] | None, *, places: int = 3) -> str:
    return "" if interval is None else f"{fixed(interval[0], places)} to {fixed(interval[1], places)}"


def _cells(own: Shown, record: Record) -> Iterator[FrontCell]:
    summary, whole_targets = record.summary_of(own.task), largest_targets(record.targets)
    rows = {row.language: row for row in (summary.rows if summary else ()) if row.target in whole_targets}
    headline = record.headline.languages if record.headline else {}
    for tag in own.languages:
        row, part = rows.get(tag), headline.get(tag)
        value = row.on_target.value if row and row.on_target else None
        others = row.off_target.value if row and row.off_target else None
        share = part.kept if part else None
        shade = 0 if value is None else min(100, round(100 * math.sqrt(min(abs(value), DARKEST) / DARKEST)))
        yield FrontCell(
            language=tag,
            value=value,
            text=NONE if value is None else fixed(value, 2),
            shade=shade,
            side="failed" if value is None else "harm" if value >= 0 else "gain",
            kept=share,
            kept_text=kept_text(share),
            kept_shade=0 if share is None else round(100 * share**2),
            note=f"{record.detector.name}, {display_name(tag)}: {_note(value, others, part)}",
        )


def _note(own: float | None, others: float | None, part: LanguageHeadline | None) -> str:
    text = f"own {fixed(own)}, others {fixed(others)} bits per byte"
    if part is None:
        return text
    if not part.counts:
        return f"the tokenizer hardly knows it, and the headline leaves it out; as selected {text}"
    read = f"keeps {kept_text(part.kept)} at {harm_percent(part.own)} harm (others {harm_percent(part.others)})"
    units = "" if part.units is None else f", {whole(part.units)} neurons needed"
    worst = f", most beside it {part.worst.language} {harm_percent(part.worst.share)}" if part.worst else ""
    hinge = f", one neuron carries {part.hinge.share:.0%}" if part.hinge else ""
    flags = "".join(f", {flag.replace('_', ' ')}" for flag in part.flags)
    return f"{read}{units}{worst}{hinge}{flags}; as selected {text}"


def _layers(record: Record) -> list[float]:
    """Return the share of each layer's neurons that belong to some language, summed over languages."""
    counts = np.array(list(record.neurons.layers.languages.values()), dtype=np.float64).sum(axis=0)
    return [float(v) for v in counts / np.maximum(1, np.array(record.model.layer_widths))]
