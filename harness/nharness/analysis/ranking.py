"""Which of several detections keeps more of its harm: differences of headlines under one resampling, and their ranks.

Legend: `B` resamples, `s` records.

1. Every record's ladders are drawn `B` times: clusters of text, and repeats of the detection where it has any
   (headline.py). The resamples are a function of the clusters' names, those of repeats of their number, so that all
   records of one text see the same: what is easy or hard for all of them falls out of their differences. A detection
   that was not repeated is taken to scatter as the others do on average.
2. All pairs' differences get intervals that hold at once (two_level.py). A record ranks behind those that are surely
   higher and before those that are surely lower; two whose pair's interval holds 0 cannot be told apart.

Board, compare page, `nharness compare` and the table at the end of a run all rank by this. `random` is drawn like any
other. A record has no rank where fewer than half of its languages reach the harm, or where a language was judged on
fewer than 20 clusters. A language of which the tokenizer does not know more than 5 % counts in no headline.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from nharness.analysis.bootstrap import FEW_CLUSTERS, FEWEST_CLUSTERS
from nharness.analysis.headline import Climbed, kept_mean, kept_scatter
from nharness.analysis.joint import SETTINGS
from nharness.analysis.ladder_items import climbed_of
from nharness.analysis.measurements import from_items
from nharness.analysis.two_level import Differences, Scatter, differences_from_draws
from nharness.errors import FileFormatError, UsageError
from nharness.record.cautions import unranked_languages
from nharness.record.items import MAX_BYTES, read_items
from nharness.record.model import Record
from nharness.record.store import find, inside

_AGREES = 1e-6


@dataclass(frozen=True)
class Resampled:
    """A record's headline under the resamples that all records of one text share.

    value: the headline, 0 to 1. scatter: of it alone, [B, 1]; its clusters are as many as equal ones would have to be.
    clusters: of the language that has fewest. text: a digest of what was drawn from; records of one digest can be
    compared one by one.
    """

    value: float
    scatter: Scatter
    clusters: int
    text: str

    @classmethod
    def of(cls, found: Climbed) -> Resampled | None:
        """Return the headline of ladders, drawn; None without a ladder, or with too few clusters for an interval."""
        if not found.climbs or found.clusters < FEWEST_CLUSTERS:
            return None
        spread = kept_scatter(found, SETTINGS)
        last = np.zeros((spread.text.shape[1], 1))
        last[-1] = 1.0
        told = replace(spread.contrasts(last), clusters=_telling(found))
        return cls(kept_mean(found), told, found.clusters, _text(found))


@dataclass(frozen=True)
class Ranking:
    """Records of one text, by name, best first, and all their differences."""

    names: Sequence[str]
    apart: Differences

    @cached_property
    def ranks(self) -> dict[str, tuple[int, int]]:
        """Between which ranks each record lies, 1 the highest, all of them at once with 95 % confidence."""
        return dict(zip(self.names, self.apart.ranks(), strict=True))

    @cached_property
    def differences(self) -> dict[tuple[str, str], tuple[float, float, float]]:
        """Every pair's difference, first minus second, and its interval; all intervals hold at once."""
        return {
            (self.names[first], self.names[second]): (float(value), float(value - half), float(value + half))
            for (first, second), value, half in zip(self.apart.pairs, self.apart.value, self.apart.half, strict=True)
        }


def ranked(held: Mapping[str, Resampled]) -> Ranking:
    """Return the ranking of records by name; raises `UsageError` where they were not drawn alike.

    Best first, equals by their resamples, so that one set of records has one answer, whatever they are called.
    """
    texts = {each.text for each in held.values()}
    if len(texts) > 1:
        raise UsageError(f"records of {len(texts)} texts cannot be ranked together")
    names = sorted(held, key=lambda name: (-held[name].value, float(np.abs(held[name].scatter.text).sum())))
    drawn = [held[name] for name in names]
    if not drawn:
        return Ranking((), differences_from_draws((), Scatter(np.zeros((1, 0)), np.zeros((1, 0)), 0, 0)))
    together = Scatter(
        np.concatenate([each.scatter.text for each in drawn], axis=1),
        np.concatenate([each.scatter.detection for each in drawn], axis=1),
        min(each.scatter.clusters for each in drawn),
        min((each.scatter.repeats for each in drawn if each.scatter.repeats), default=0),
    )
    return Ranking(names, differences_from_draws([each.value for each in drawn], together))


def unranked(record: Record, drawn: Resampled | None) -> str | None:
    """Return why a record has no rank; None where it can have one."""
    headline = record.headline
    if headline is None:
        return "measured at one budget: without ladders there is no headline to rank by"
    if unranked_languages(record.corpus) >= set(record.languages):
        return "the tokenizer hardly knows the text of any of its languages"
    if drawn is None:
        return "the items of its ladders are missing or do not give its headline"
    if drawn.clusters < FEW_CLUSTERS:
        return f"a language was judged on {drawn.clusters} sources; a rank needs {FEW_CLUSTERS} in every one"
    if 2 * headline.reached < headline.of:
        reached = f"{headline.reached} of {headline.of} languages reach {headline.harm:.0%} harm"
        return f"{reached}; a rank needs half of them"
    return None if headline.rank_eligible else "its headline is marked as not eligible for a rank"


def resampled_from(record: Record, folder: Path, *, max_bytes: int = MAX_BYTES) -> Resampled | None:
    """Return a record's headline, drawn again from the items beside it; None where they are absent or do not give it.

    max_bytes: of text that a file of items may have.
    """
    task = record.task(record.headline.task) if record.headline else None
    items, ladder = (find(record.files, role) for role in ("items", "ladder"))
    told = record.headline.estimate if record.headline else None
    if task is None or told is None or items is None or ladder is None:
        return None
    try:
        intact = [item for item in read_items(inside(folder, items.name), max_bytes=max_bytes) if item.target is None]
        rungs = read_items(inside(folder, ladder.name), max_bytes=max_bytes)
        apart = unranked_languages(record.corpus)
        found = Resampled.of(climbed_of(from_items([*intact, *rungs]), task, record.languages, apart))
    except (FileFormatError, UsageError):
        return None
    return found if found is not None and math.isclose(found.value, told.value, abs_tol=_AGREES) else None


def _telling(found: Climbed) -> int:
    """Return how many clusters of one size would tell as much of a variance as those of the language with fewest do.

    A variance summed over clusters of weight w has `(sum w^2)^2 / sum w^4` degrees of freedom (Satterthwaite): of 40
    documents whose lengths scatter by a half, 15. Among all pairs of a board the largest difference is far out, where
    that matters.
    """
    least = min((climb.base for climb in found.climbs.values()), key=lambda base: (base > 0).sum(axis=1).min())
    squares = least**2
    freedom = squares.sum(axis=1) ** 2 / np.maximum((squares**2).sum(axis=1), np.finfo(np.float64).tiny)
    return 1 + max(1, int(freedom.min()))


def _text(found: Climbed) -> str:
    """Return a digest of the clusters that are drawn from, and of the languages that are left out."""
    everything = [*found.climbs.values(), *(climb for repeat in found.repeats for climb in repeat.values())]
    clusters = sorted({name for climb in everything for name in climb.clusters})
    drawn = repr((clusters, sorted(found.left_out)))
    return hashlib.sha256(drawn.encode("utf-8", "surrogatepass")).hexdigest()[:16]
