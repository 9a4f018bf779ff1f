"""What to read with care on the front page, from the flags and warnings of its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nharness.analysis.headline import HINGE
from nharness.analysis.kept_share import NO_EFFECT, NOT_REACHED
from nharness.languages import display_name
from nharness.record.cautions import cautions, shortfall_text
from nharness_leaderboard.results import Entry
from nharness_leaderboard.site.shown import Shown

FEW = 20
MOST = 6


def care(own: Shown, agreed: Sequence[tuple[str, float]], common: int) -> tuple[str, ...]:
    """Return the sentences, the gravest first.

    agreed: other models with Spearman's correlation of the orders of as many detectors as they have in common.
    """
    return tuple(_sentences(own, agreed, common))[:MOST]


def _sentences(own: Shown, agreed: Sequence[tuple[str, float]], common: int) -> Iterator[str]:
    yield from _thin_text(own)
    if own.ranked:
        yield from _ladders(own)
    else:
        yield "These records were measured at one budget: they are listed by selectivity and not ranked."
    if any("overlap" in cell.flags for entry in own.entries for cell in entry.record.cells):
        yield "Some of the evaluation text was also used for detection."
    for model, found in agreed:
        which = f"All {common}" if common == len(own.detectors) else f"Only {common} of the {len(own.detectors)}"
        yield f"{which} detectors are measured on {model} too; their orders agree at Spearman {found:.2f}."
    yield from list(dict.fromkeys(text for entry in own.entries for text in _told(entry)))[:3]


def _thin_text(own: Shown) -> Iterator[str]:
    baseline = [each for each in own.model.baseline if each.task == own.task]
    few = [(each.language, each.items) for each in baseline if each.items < FEW]
    if few:
        least = min(items for _, items in few)
        names = ", ".join(display_name(tag) for tag, items in few if items == least)
        verb = "is" if "," not in names else "are each"
        yield (
            f"{len(few)} of {len(own.model.languages)} languages rest on fewer than {FEW} documents: "
            f"{names} {verb} measured on {least}."
        )


def _ladders(own: Shown) -> Iterator[str]:
    """Yield a sentence for each flag of headlines, counted over detectors."""
    headlines = [entry.record.headline for entry in own.entries if entry.record.headline]
    if not any(headline.repeats for headline in headlines):
        yield "Intervals cover the choice of evaluation text only: no detection was repeated on other text."
    flags = [flag for headline in headlines for each in headline.languages.values() for flag in each.flags]
    tried = sum(headline.of for headline in headlines)
    level = f"{headlines[0].harm:.0%}" if headlines else ""
    for flag, what in (
        (NOT_REACHED, f"never reach {level} harm and count for what they show"),
        (NO_EFFECT, "show no effect beyond noise or random neurons and count as 0"),
        (HINGE, "owe more than a third of their harm to one neuron"),
    ):
        if flags.count(flag):
            yield f"{flags.count(flag)} of {tried} pairs of detector and language {what}."


def _told(entry: Entry) -> Iterator[str]:
    """Yield each record's cautions, those of a single detector with its name."""
    own = shortfall_text(entry.record)
    for text in cautions(entry.record):
        named = f"{entry.record.detector.name}: {text}" if own and text.startswith(own) else text
        yield named if named.endswith(".") else f"{named[:1].upper()}{named[1:]}."
