"""The headline of a record: the mean kept share over languages, with what stands beside it and its interval.

Legend: `T` languages that have a ladder, `B` resamples, `R` repeats, `P` rungs, `C` clusters.

The interval resamples documents, the same in all languages of parallel text, through every step from the items to the
mean (kept_share.py), and the repeats of the detection where there are any (two_level.py). A language's own harm must
be above what its paired interval leaves to chance and above what matched random draws do, or its share is 0, in every
resample as in the estimate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nharness.analysis.bootstrap import FEW_CLUSTERS, ClusterBootstrap, Totals, resample, too_few
from nharness.analysis.kept_share import NO_EFFECT, NOT_REACHED, Climb, LadderReading, read_ladder
from nharness.analysis.ladder import LEVEL, LEVELS
from nharness.analysis.rounding import known, rounded
from nharness.analysis.two_level import Design, Scatter, scatter
from nharness.record.headline import HARDLY_KNOWN, Headline, Hinge, LanguageHeadline, Leak, Rung
from nharness.record.results import AnalysisSettings
from nharness.record.types import Estimate

Floats = NDArray[np.float64]
FEWEST_DRAWS = 3
HINGE, HINGE_SHARE = "hinge", 1 / 3
"""The flag of a language of which one unit carries more than this share of the harm where its ladder is read."""
HINGE_AT_CUT = "hinge_at_cut"
"""The flag of a language whose strongest unit is not among the best as many in every repeat of the detection."""


@dataclass(frozen=True)
class Without:
    """A rung without one of its units: how many it has with it, the unit's flat index, and the own harm left."""

    units: int
    unit: int
    harm: float


@dataclass(frozen=True)
class Climbed:
    """All ladders of one detection.

    climbs: by language. empty: languages whose target has no unit at all. left_out: languages whose text the tokenizer
    hardly knows, which are in none of the others and in no mean. repeats: the climbs of each repeat of the
    detection, a language without units absent. design: how repeats vary the text. chance: by language and number of
    units, the own harm of random draws matched to the target, as shares. without: by language, the rung that is read
    without its strongest unit.
    """

    climbs: Mapping[str, Climb]
    empty: Sequence[str] = ()
    left_out: Sequence[str] = ()
    repeats: Sequence[Mapping[str, Climb]] = ()
    design: Design = "folds"
    chance: Mapping[str, Mapping[int, Sequence[float]]] = field(default_factory=dict)
    without: Mapping[str, Without] = field(default_factory=dict)

    @property
    def clusters(self) -> int:
        """Clusters of the language that has fewest."""
        return min((climb.fewest_clusters for climb in self.climbs.values()), default=0)


def headline_of(
    found: Climbed, settings: AnalysisSettings, task: str = "ppl", held: Mapping[str, int | None] | None = None
) -> Headline:
    """Return the record's headline; without a climbed language it is 0 of 0, and has no estimate.

    held: by language, in how many repeats the strongest unit is among the best as many; the items do not tell.
    """
    readings = {tag: read_ladder(climb.harms()) for tag, climb in found.climbs.items()}
    limits = {tag: _limit(climb, readings[tag], found.chance.get(tag, {})) for tag, climb in found.climbs.items()}
    shares = {tag: _shown(readings[tag], limits[tag]) for tag in found.climbs} | dict.fromkeys(found.empty, 0.0)
    withheld = too_few(found.clusters)
    spread = kept_scatter(found, settings) if withheld is None and found.climbs else None
    digits, reached = settings.precision, sum(bool(reading.reached) for reading in readings.values())
    languages = {
        tag: _language(climb, readings[tag], limits[tag], _ends(spread, place, shares[tag], settings), digits)
        for place, (tag, climb) in enumerate(found.climbs.items())
    }
    languages = {tag: _beside(language, found, tag, digits) for tag, language in languages.items()}
    hinges = {tag: _hinge(found, tag, readings[tag], (held or {}).get(tag), digits) for tag in found.without}
    languages |= {
        tag: _hung(languages[tag], hinge, len(found.repeats)) for tag, hinge in hinges.items() if hinge is not None
    }
    languages |= {tag: LanguageHeadline(kept=0.0, flags=(NO_EFFECT,)) for tag in found.empty}
    languages |= {tag: LanguageHeadline(flags=(HARDLY_KNOWN,)) for tag in found.left_out}
    estimate = None
    if shares:
        mean = float(np.mean(list(shares.values())))
        ends = _ends(spread, len(found.climbs), mean, settings)
        estimate = Estimate(value=known(mean, digits), interval=ends, withheld=withheld)
    eligible = 2 * reached >= len(shares) > 0 and found.clusters >= FEW_CLUSTERS
    return Headline(
        task=task,
        harm=LEVEL,
        estimate=estimate,
        reached=reached,
        of=len(shares),
        repeats=len(found.repeats),
        rank_eligible=eligible,
        languages=languages,
    )


def kept_mean(found: Climbed) -> float:
    """Return the headline's value: the mean kept share over the languages of a detection, 0 to 1."""
    return float(_shares(found.climbs, list(found.climbs), None, {}, found)[0, -1])


def kept_scatter(found: Climbed, settings: AnalysisSettings) -> Scatter:
    """Return the scatter of every climbed language's kept share, and last of the headline, [T + 1].

    The resamples are a function of the clusters' names, of the seed and of the number of repeats alone, so that
    records of one text are resampled alike and can be compared one by one.
    """
    everything = [*found.climbs.values(), *(climb for repeat in found.repeats for climb in repeat.values())]
    names = sorted({name for climb in everything for name in climb.clusters})
    rows = {name: row for row, name in enumerate(names)}
    present = np.zeros((len(names), len(found.climbs)), dtype=bool)
    for column, climb in enumerate(found.climbs.values()):
        present[[rows[name] for name in climb.clusters], column] = True
    counts = resample(present, resamples=settings.bootstrap_draws, seed=settings.seed)
    tags = list(found.climbs)
    value, drawn = (_shares(found.climbs, tags, part, rows, found) for part in (None, counts))
    repeats = [_shares(repeat, tags, counts, rows, found) for repeat in found.repeats]
    return scatter(
        value[0],
        drawn,
        np.stack(repeats) if repeats else None,
        clusters=found.clusters,
        design=found.design,
        seed=settings.seed,
    )


def _shares(
    climbs: Mapping[str, Climb], tags: Sequence[str], counts: Floats | None, rows: Mapping[str, int], found: Climbed
) -> Floats:
    """Return kept shares and their mean [B, T + 1], B = 1 without counts; a language that was not climbed has 0."""
    length = 1 if counts is None else len(counts)
    shares = np.zeros((length, len(tags)))
    for column, tag in enumerate(tags):
        if tag not in climbs:
            continue
        climb = climbs[tag]
        whole = read_ladder(climb.harms())
        limit = _limit(climb, whole, found.chance.get(tag, {}))
        at = None if counts is None else counts[:, [rows[name] for name in climb.clusters]]
        harms = climb.harms(at)
        reading = whole if at is None else read_ladder(np.nan_to_num(harms))
        own = harms.reshape(length, -1, harms.shape[-1])[:, int(whole.upper), 0]
        shares[:, column] = np.where(own > limit, reading.kept, 0.0)
    mean = shares.sum(axis=1, keepdims=True) / (len(tags) + len(found.empty))
    return np.concatenate([shares, mean], axis=1)


def _limit(climb: Climb, reading: LadderReading, chance: Mapping[int, Sequence[float]]) -> float:
    """Return the own harm above which an effect is shown: more than noise, and more than random draws do."""
    rung = int(reading.upper)
    totals = Totals(climb.change[rung, 0][:, None], climb.base[0][:, None])
    found = ClusterBootstrap(totals, resamples=999).intervals()
    noise = float(found.high[0] - found.estimate[0])
    drawn = np.asarray(chance.get(climb.units[rung], ()), dtype=np.float64)
    random = -math.inf
    if drawn.size >= FEWEST_DRAWS:
        wide = float(stats.t.ppf(0.975, drawn.size - 1)) * math.sqrt(1 + 1 / drawn.size)
        random = float(drawn.mean() + wide * drawn.std(ddof=1))
    return max(noise if math.isfinite(noise) else -math.inf, random, 0.0)


def _shown(reading: LadderReading, limit: float) -> float:
    return float(reading.kept) if _own_at(reading) > limit else 0.0


def _own_at(reading: LadderReading) -> float:
    return float(reading.read)


def _language(
    climb: Climb, reading: LadderReading, limit: float, ends: tuple[float, float] | None, digits: int
) -> LanguageHeadline:
    harms = climb.harms()
    worst = int(reading.languages.argmax())
    flags = [] if reading.reached else [NOT_REACHED]
    flags += [] if _own_at(reading) > limit else [NO_EFFECT]
    flags += ["few_clusters"] if climb.fewest_clusters < FEW_CLUSTERS else []
    return LanguageHeadline(
        kept=known(_shown(reading, limit), digits),
        interval=ends,
        units=rounded(_units(climb, reading), digits) if reading.reached else None,
        own=known(float(reading.own), digits),
        others=known(float(reading.others), digits),
        worst=Leak(language=climb.languages[1 + worst], share=known(float(reading.languages[worst]), digits)),
        flags=tuple(flags),
        ladder=tuple(
            Rung(units=n, own=known(float(row[0]), digits), others=known(float(row[1:].mean()), digits))
            for n, row in zip(climb.units, harms, strict=True)
        ),
    )


def _beside(language: LanguageHeadline, found: Climbed, tag: str, digits: int) -> LanguageHeadline:
    """Return the language with what is read at the other levels, by the same rule: 0 where no effect is shown."""
    climb, chance = found.climbs[tag], found.chance.get(tag, {})
    readings = [read_ladder(climb.harms(), level) for level in (LEVELS[0], LEVELS[-1])]
    less, more = (known(_shown(reading, _limit(climb, reading, chance)), digits) for reading in readings)
    return language.model_copy(update={"at_5": less, "at_25": more})


def _hinge(found: Climbed, tag: str, reading: LadderReading, held: int | None, digits: int) -> Hinge | None:
    """Return what the strongest unit of the rung that is read carries of its harm; None where that is no harm."""
    less, own = found.without[tag], _own_at(reading)
    if tag not in found.climbs or less.units != found.climbs[tag].units[int(reading.upper)] or own <= 0:
        return None
    share = known((own - less.harm) / own, digits)
    return Hinge(unit=less.unit, share=share, repeats_with=held)


def _hung(language: LanguageHeadline, hinge: Hinge, repeats: int) -> LanguageHeadline:
    """Return the language with its hinge, flagged where too much hangs on it, or where repeats do without it."""
    flags = language.flags + ((HINGE,) if hinge.share > HINGE_SHARE else ())
    if hinge.repeats_with is not None and hinge.repeats_with < repeats:
        flags += (HINGE_AT_CUT,)
    return language.model_copy(update={"hinge": hinge, "flags": flags})


def _units(climb: Climb, reading: LadderReading) -> float:
    """Return the number of units at the crossing, interpolated between the rungs beside it."""
    upper = int(reading.upper)
    below = climb.units[upper - 1] if upper else 0
    return below + float(reading.share) * (climb.units[upper] - below)


def _ends(spread: Scatter | None, at: int, value: float, settings: AnalysisSettings) -> tuple[float, float] | None:
    """Return the interval of one share, within 0 and 1."""
    if spread is None:
        return None
    half = float(spread.half_width(settings.confidence)[at])
    return known(max(0.0, value - half), settings.precision), known(min(1.0, value + half), settings.precision)
