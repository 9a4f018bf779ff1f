"""Claims about the number of neurons, their kinds, and their overlap between languages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from statistics import fmean, stdev

from scipy import stats

from nharness.analysis.structure.layers import fifth
from nharness.claims import Finding, NamedClaim
from nharness.record.detection import KindCounts
from nharness.record.model import Record
from nharness_tasks.claims.verdicts import above, in_every, state

NORMAL = 1.959963984540054


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return Student's 95 % interval of a mean; None below three values."""
    if len(values) < 3:
        return None
    half = _quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def pairs_interval(pairs: Mapping[tuple[int, int], float]) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean over pairs of languages; None below four languages.

    Pairs that share a language are not independent; hence a jackknife over languages.
    """
    members = sorted({each for pair in pairs for each in pair})
    count = len(members)
    if count < 4:
        return None
    without = [fmean(value for pair, value in pairs.items() if each not in pair) for each in members]
    spread = math.sqrt((count - 1) / count * sum((value - fmean(without)) ** 2 for value in without))
    mean, half = fmean(pairs.values()), _quantile(count - 1) * spread
    return mean - half, mean + half


def _quantile(freedom: int) -> float:
    return float(stats.t.ppf(0.975, freedom))


class LittleOverlap(NamedClaim):
    """Languages share few neurons."""

    name = "little-overlap"
    statement = "Languages share less than 5 % of their neurons."
    paper = "Kojima et al., NAACL 2024, arXiv 2404.02431"
    place = "abstract"
    printed = "< 5 %"
    needs = "records of three languages or more that have neurons"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether the mean Jaccard overlap of two languages is below 0.05, over all pairs."""
        return in_every(records, _overlap)


def _overlap(record: Record) -> Finding | None:
    pairs = combinations(range(len(record.languages)), 2)
    known = {(i, j): value for i, j in pairs if (value := record.neurons.overlap[i][j]) is not None}
    if not known:
        return None
    rule = "mean Jaccard overlap over pairs of languages below 0.05, by its interval over the languages"
    mean, ends = fmean(known.values()), pairs_interval(known)
    found = above(-mean, None if ends is None else (-ends[1], -ends[0]), -0.05, name="mean overlap", rule=rule)
    return Finding(found.verdict, {"mean overlap": mean}, found.rule, ends)


class DenserWithTraining(NamedClaim):
    """Key neurons of the first layers grow in number along the states of a model's training."""

    name = "denser-with-training"
    statement = "The longer a model is trained, the more key neurons of its languages lie in the first layers."
    paper = "Zeng et al., COLING 2025, arXiv 2410.11718"
    place = "abstract"
    needs = "records of two or more states of the study's first model, in its order, by one detector"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether neurons in the first fifth of the layers grow, last model less first, paired by language."""
        models = list(dict.fromkeys(map(state, records)))
        first = {state(record): record for record in reversed(records)}
        widths = records[0].model.layer_widths if records else ()
        models = [name for name in models if first[name].model.layer_widths == widths]
        if len(models) < 2:
            return None
        states = [_in_first_layers(first[name]) for name in models]
        start, end = states[0], states[-1]
        grown = [float(end[tag] - start[tag]) for tag in start if tag in end]
        rule = (
            f"neurons per language in the first fifth of the layers, {models[-1]} less {models[0]}, above 0 by the "
            "interval over languages"
        )
        found = above(fmean(grown), mean_interval(grown), 0.0, name="mean growth in neurons", rule=rule)
        falls = sum(sum(later.values()) < sum(earlier.values()) for earlier, later in pairwise(states))
        return Finding(found.verdict, {**found.numbers, "steps at which they fall": float(falls)}, rule, found.interval)


def _in_first_layers(record: Record) -> dict[str, int]:
    """Return, per language, its neurons in the first fifth of the depth."""
    depth = fifth(len(record.model.layer_widths))
    return {tag: sum(counts[:depth]) for tag, counts in record.neurons.layers.languages.items()}


class AlignmentMakesRelated(NamedClaim):
    """Alignment training turns neurons of one language into neurons of several, more than its control does."""

    name = "alignment-makes-related"
    statement = "Alignment training turns language-specific into language-related neurons."
    paper = "Zhang et al., AAAI 2026, arXiv 2505.21505"
    needs = "records of one model aligned and of its control, named NAME-aligned and NAME-continued, by one detector"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return whether related neurons are a larger share of assigned ones after alignment than in its control."""
        named = {end: [r for r in records if r.model.name.endswith(f"-{end}")] for end in ("aligned", "continued")}
        if not all(named.values()):
            return None
        (one, n), (other, m) = (_related(named[end][0]) for end in ("aligned", "continued"))
        if not n or not m:
            return None
        half = NORMAL * math.sqrt(one * (1 - one) / n + other * (1 - other) / m)
        rule = (
            "share of related among assigned neurons, aligned less control, above 0 by its binomial interval, "
            "of these two models on this text"
        )
        gap = one - other
        found = above(gap, (gap - half, gap + half), 0.0, name="difference in share", rule=rule)
        numbers = {**found.numbers, "aligned": one, "control": other}
        return Finding(found.verdict, numbers, rule, found.interval)


def _related(record: Record) -> tuple[float, int]:
    """Return the share of related neurons among those of any language, over all candidates, and their number."""
    counts: KindCounts = record.neurons.kinds_all or record.neurons.kinds_selected
    assigned = counts.specific + counts.related + counts.general
    return (counts.related / assigned if assigned else 0.0), assigned
