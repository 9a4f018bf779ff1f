"""The front page: which detector finds neurons that belong to one language, answered in five seconds.

One page per model, of one set of records that differ in the detector alone: those with a headline if there are any,
else the largest set at one budget, which is shown but not ranked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from scipy.stats import spearmanr

from nharness.languages import display_name
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness_leaderboard.ranks import Standings
from nharness_leaderboard.results import Entry, slug
from nharness_leaderboard.site.agreement import Agreement, agreement
from nharness_leaderboard.site.care import care
from nharness_leaderboard.site.drawing import Point, scatter, share_lines, slopes
from nharness_leaderboard.site.front_rows import Row, row_of
from nharness_leaderboard.site.shown import TOY, Shown, shown_sets
from nharness_leaderboard.site.text import NONE, intervention_text, number, percent, selection_text, share
from nharness_leaderboard.verdicts import of_a_study

FEWEST_COMMON, OLDER = 3, 12


@dataclass(frozen=True)
class Older:
    """A record that no front page shows: a line in the list of unranked records at its foot."""

    slug: str
    detector: str
    model: str
    asked: str
    selectivity: float | None
    created: str


@dataclass(frozen=True)
class Front:
    """Everything the front page of one model needs."""

    model: str
    label: str
    page: str
    ranked: bool
    harm: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    cautions: tuple[str, ...]
    languages: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    scatter: Markup
    lines: Markup
    slopes: Markup
    slopes_note: str
    agreement: Agreement | None

    @property
    def known(self) -> list[Row]:
        """Rows of detectors that were scored against known neurons, best first."""
        found = [(row.known, row) for row in self.rows if row.known is not None]
        return [row for _, row in sorted(found, key=lambda pair: (-pair[0][0], pair[1].detector))]


def fronts(entries: Sequence[Entry], placed: Standings) -> list[Front]:
    """Return the front pages in the order of `shown_sets`; empty without a record of perplexity."""
    sets = shown_sets(entries)
    summaries = {name: found.entry.summary for name, found in Plugins().entries("detectors").items()}
    return [_front(each, sets, summaries, placed, total=len(entries)) for each in sets]


def older(entries: Sequence[Entry]) -> tuple[list[Older], int]:
    """Return the newest records on neither a front page nor a study's page, and their number in all."""
    shown = {entry.slug for each in shown_sets(entries) for entry in each.entries}
    rest = sorted(
        (entry for entry in entries if entry.slug not in shown and not of_a_study(entry.record)),
        key=lambda entry: (entry.record.identity.created, entry.slug),
        reverse=True,
    )
    return [_older(entry) for entry in rest[:OLDER]], len(rest)


def _older(entry: Entry) -> Older:
    record = entry.record
    first = next((each.selectivity for each in record.summary if each.selectivity is not None), None)
    return Older(
        slug=entry.slug,
        detector=record.detector.name,
        model=record.model.name,
        asked=", ".join([intervention_text(record), *selection_text(record.selection)]),
        selectivity=first.value if first else None,
        created=record.identity.created[:10],
    )


def _front(own: Shown, sets: Sequence[Shown], summaries: Mapping[str, str], placed: Standings, *, total: int) -> Front:
    record = own.model
    rows = tuple(row_of(own, entry, summaries, placed.of(entry.slug)) for entry in own.entries)
    drawn, agreed, common = _orders(own, [each for each in sets if each is not own and each.ranked == own.ranked])
    first = sets[0] is own
    return Front(
        model=record.model.name,
        label=label_of(record),
        page="index.html" if first else f"board-{slug(record.model.name)}.html",
        ranked=own.ranked,
        harm=percent(record.headline.harm) if record.headline else "",
        lead=_lead(own),
        facts=tuple(_facts(own, total)),
        cautions=care(own, agreed, common),
        languages=tuple((tag, display_name(tag)) for tag in own.languages),
        rows=rows,
        scatter=scatter([Point(row.detector, row.own or 0.0, row.others or 0.0, row.random) for row in rows]),
        lines=share_lines([(row.detector, row.shares) for row in rows if len(row.shares) == 3]),
        slopes=drawn,
        slopes_note="; ".join(f"Spearman {found:.2f} with {model}" for model, found in agreed)
        + f", over {common} detectors that all have.",
        agreement=agreement(own.entries),
    )


def label_of(record: Record) -> str:
    """Return what to call a model: its name, with a word for toys."""
    millions = record.model.parameters / 1e6
    name = record.model.name
    return f"{name}, an embedded toy of {millions:.1f} M parameters" if record.model.parameters < TOY else name


def _lead(own: Shown) -> str:
    """Return in two or three sentences what was done."""
    headline = own.model.headline
    how = {"zero": "set them to zero"}.get(
        own.model.intervention.name, f"applied {own.model.intervention.name} to them"
    )
    if own.ranked and headline is not None:
        return (
            f"We {how.replace('them', 'a detector’s best neurons', 1)}, a few more each time, until the model predicts "
            f"their language {headline.harm:.0%} worse, and read how much of that harm stays in the language. "
            "A good method hurts one language and spares the rest."
        )
    selection = own.model.selection
    counts = [n for n in own.model.neurons.per_language.values() if n]
    size = f"{max(counts):,}" if counts else "no"
    named = f"{size} neurons per language" + (f" ({share(selection.budget)})" if selection.budget else "")
    others = len(own.languages) - 1
    many = {7: "seven", 9: "nine"}.get(others, str(others))
    return (
        f"Each method names {named}. We {how} and measure how much worse the model predicts that language, and the "
        f"other {many}. A good method hurts the first and spares the rest."
    )


def _facts(own: Shown, total: int) -> Iterator[tuple[str, str]]:
    record = own.model
    documents = [each.items for each in record.baseline if each.task == own.task]
    repeats = max((entry.record.headline.repeats for entry in own.entries if entry.record.headline), default=0)
    reproduced = sum(entry.record.identity.badge == "reproduced" for entry in own.entries)
    yield str(len(own.entries)), "detectors"
    yield str(len(record.languages)), "languages"
    least, most = min(documents), max(documents)
    yield str(least) if least == most else f"{least}\N{EN DASH}{most}", "documents in each"
    yield str(repeats), "repeat of the detection" if repeats == 1 else "repeats of the detection"
    yield f"{reproduced} of {len(own.entries)}", "reproduced"
    yield str(total), "records in all"
    yield max(entry.record.identity.created for entry in own.entries)[:10], "updated"


def _orders(own: Shown, others: Sequence[Shown]) -> tuple[Markup, list[tuple[str, float]], int]:
    """Return the slope chart of the models' orders, and Spearman's correlation with each over how many detectors.

    Only detectors measured on all of the models count; a model with fewer than three in common is left out.
    """
    kept: list[Shown] = []
    common = own.detectors
    for other in others:
        both = [name for name in common if name in other.detectors]
        if len(both) >= FEWEST_COMMON:
            kept, common = [*kept, other], both
    if not kept:
        return Markup(""), [], 0
    orders = [(each.model.model.name, [name for name in each.detectors if name in common]) for each in (own, *kept)]
    places = [[order.index(name) for name in common] for _, order in orders]
    agreed = [
        (name, float(spearmanr(places[0], there).statistic))
        for (name, _), there in zip(orders[1:], places[1:], strict=True)
    ]
    return slopes(orders), agreed, len(common)


def changes(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return what was published when, newest first, a line per day and model."""
    days: dict[tuple[str, str], int] = {}
    for entry in entries:
        key = entry.record.identity.created[:10], entry.record.model.name
        days[key] = days.get(key, 0) + 1
    ordered = sorted(days.items(), reverse=True)[:OLDER]
    return [
        (day, f"{count} records on {model}" if count > 1 else f"a record on {model}") for (day, model), count in ordered
    ]


def ratio_text(value: float | None) -> str:
    """Return a perplexity ratio as a factor, with a multiplication sign and three significant digits."""
    return NONE if value is None else f"\N{MULTIPLICATION SIGN}{number(value, 3)}"


def leak_text(value: float | None) -> str:
    """Return a leaked share in whole percent, `> 999 %` at the most."""
    if value is None:
        return NONE
    return ">\N{NARROW NO-BREAK SPACE}999\N{NARROW NO-BREAK SPACE}%" if value > 9.99 else percent(value)
