"""How a model arranges parallel sentences: by language or by meaning (Zeng et al. 2025, arXiv 2410.11718).

Legend: `G` languages, `S` sentences (the same meanings in every language, row for row), `D` components, `L` layers.

With c(s, k; s', k') the cosine of the vectors of sentence s in language k and sentence s' in language k':

- LRDS = mean c over pairs of one language and different meanings, minus mean c over pairs of different languages and
  different meanings: how much a shared language draws sentences together.
- SADS = mean c over pairs of one meaning in different languages, minus the same second mean: how much a shared meaning
  does.

Both lie between -2 and 2. All pairs are used, not a sample of them: with unit vectors x and their sums per language,
`sum over s != s' of x_ks . x_ls' = (sum_s x_ks) . (sum_s x_ls) - sum_s x_ks . x_ls`, so that no S x S matrix is needed.
A vector of length 0 has cosine 0 with everything. Intervals are percentiles over resampled sentences: sentence s counts
w_s times, a pair of sentences w_s w_s' times, and copies of one sentence are one meaning still.

*Retrieval*, which is no mean of cosines: the share of sentences whose nearest neighbour in another language is their
own translation, over all ordered pairs of languages; a tie is a miss; chance is 1 / S.

The released code shifts meanings by one sentence per block of languages; here row s is meaning s throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nharness.errors import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AlignmentScores:
    """The three mean cosines, and the two differences made of them, with the ends of their intervals where drawn."""

    same_language: float
    same_meaning: float
    neither: float
    lrds_interval: tuple[float, float] | None = None
    sads_interval: tuple[float, float] | None = None

    @property
    def lrds(self) -> float:
        """same_language - neither."""
        return self.same_language - self.neither

    @property
    def sads(self) -> float:
        """same_meaning - neither."""
        return self.same_meaning - self.neither


@dataclass(frozen=True)
class Alignment:
    """Over vectors of the whole model, and over each layer's part of them [L]."""

    whole: AlignmentScores
    layers: tuple[AlignmentScores, ...]
    sentences: int


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn: resamples of the sentences, their seed, and the share of them inside."""

    resamples: int = 200
    seed: int = 0
    confidence: float = 0.95

    def ends(self, values: Floats) -> tuple[float, float]:
        """Return the percentile interval of resampled values."""
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)


def alignment(
    vectors: Mapping[str, NDArray[np.floating]], layer_widths: Sequence[int], resampling: Resampling | None = None
) -> Alignment:
    """Return LRDS and SADS from sentence vectors [S, D] per language, D the sum of the layer widths.

    Intervals are drawn where a resampling is given. Raises `UsageError` for fewer than two languages or sentences,
    unequal shapes, or values that are not finite.
    """
    stacked = _stacked(vectors, sum(layer_widths))
    layers = tuple(_scores(part, resampling) for part in _layers(stacked, layer_widths))
    return Alignment(_scores(stacked, resampling), layers, stacked.shape[1])


def _layers(stacked: Floats, layer_widths: Sequence[int]) -> list[Floats]:
    return np.split(stacked, np.cumsum(layer_widths)[:-1], axis=2)


@dataclass(frozen=True)
class Retrieval:
    """Top-1 accuracy of finding a sentence's translation, whole model and per layer [L], with intervals, and chance.

    hits: per sentence [S], whole model, the share of ordered pairs of languages in which it was found.
    """

    whole: float
    interval: tuple[float, float]
    layers: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    chance: float
    hits: Floats


def retrieval(
    vectors: Mapping[str, NDArray[np.floating]], layer_widths: Sequence[int], settings: Resampling
) -> Retrieval:
    """Return how often a sentence's nearest neighbour in another language is its translation; raises as `alignment`."""
    stacked = _stacked(vectors, sum(layer_widths))
    rng = np.random.default_rng(settings.seed)
    order = rng.integers(0, stacked.shape[1], (settings.resamples, stacked.shape[1]))
    parts = [_hits(_unit(part)) for part in (stacked, *_layers(stacked, layer_widths))]
    ends = [settings.ends(hits[order].mean(axis=1)) for hits in parts]
    means = [float(hits.mean()) for hits in parts]
    return Retrieval(means[0], ends[0], tuple(means[1:]), tuple(ends[1:]), 1 / stacked.shape[1], parts[0])


def _hits(unit: Floats) -> Floats:
    """Return, per sentence [S], the share of ordered pairs of languages in which its translation is the nearest."""
    languages, sentences, _ = unit.shape
    found = np.zeros(sentences)
    for one in range(languages):
        for other in range(one + 1, languages):
            cosines = unit[one] @ unit[other].T
            own = np.diag(cosines).copy()
            np.fill_diagonal(cosines, -np.inf)
            found += (own > cosines.max(axis=1)).astype(float) + (own > cosines.max(axis=0))
    shares: Floats = found / (languages * (languages - 1))
    return shares


def parallel(
    ids: Mapping[str, Sequence[str]], vectors: Mapping[str, NDArray[np.floating]]
) -> dict[str, NDArray[np.floating]]:
    """Return the vectors of the sentences that all languages have, in one order, that of the first language's ids.

    Raises `UsageError` when fewer than two ids are common to all, or an id comes twice in a language.
    """
    for tag, names in ids.items():
        if len(set(names)) != len(names):
            raise UsageError(f"a sentence id is repeated in {tag}; parallel sentences need one row per id")
    common = set.intersection(*(set(names) for names in ids.values())) if ids else set()
    if len(common) < 2:
        raise UsageError(f"{len(common)} sentences are shared by {', '.join(ids)}; alignment needs parallel text")
    order = [name for name in next(iter(ids.values())) if name in common]
    rows = {tag: {name: row for row, name in enumerate(names)} for tag, names in ids.items()}
    return {tag: vectors[tag][[rows[tag][name] for name in order]] for tag in ids}


def _stacked(vectors: Mapping[str, NDArray[np.floating]], width: int) -> Floats:
    shapes = {np.shape(rows) for rows in vectors.values()}
    if len(vectors) < 2 or len(shapes) != 1:
        raise UsageError(f"alignment compares two or more languages of one shape [S, {width}]; got {sorted(shapes)}")
    stacked = np.stack([np.asarray(rows, dtype=np.float64) for rows in vectors.values()])
    if stacked.ndim != 3 or stacked.shape[1] < 2 or stacked.shape[2] != width:
        raise UsageError(f"sentence vectors are {stacked.shape[1:]} per language; expected [2 or more, {width}]")
    if not np.isfinite(stacked).all():
        raise UsageError("a sentence vector holds NaN or infinity")
    return stacked


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    unit: Floats = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit


def _scores(vectors: Floats, resampling: Resampling | None) -> AlignmentScores:
    """Return the scores of vectors [G, S, D]."""
    unit, sentences = _unit(vectors), vectors.shape[1]
    one_meaning = np.einsum("ksd,lsd->skl", unit, unit, optimize=True)
    found = _weighted(unit, one_meaning, np.ones(sentences))
    if resampling is None:
        return found
    rng = np.random.default_rng(resampling.seed)
    drawn = rng.multinomial(sentences, np.full(sentences, 1 / sentences), resampling.resamples).astype(float)
    scores = [_weighted(unit, one_meaning, weights) for weights in drawn if (weights > 0).sum() > 1]
    return replace(
        found,
        lrds_interval=resampling.ends(np.array([each.lrds for each in scores])),
        sads_interval=resampling.ends(np.array([each.sads for each in scores])),
    )


def _weighted(unit: Floats, one_meaning: Floats, weights: Floats) -> AlignmentScores:
    """Return the scores of unit vectors [G, S, D], their products at one meaning [S, G, G], sentences weighted [S]."""
    languages = len(unit)
    sums = np.einsum("s,ksd->kd", weights, unit, optimize=True)
    other_meaning = sums @ sums.T - np.einsum("s,skl->kl", weights**2, one_meaning)
    meaning = np.einsum("s,skl->kl", weights, one_meaning)
    apart = ~np.eye(languages, dtype=bool)
    pairs, crossings = weights.sum() ** 2 - (weights**2).sum(), languages * (languages - 1)
    return AlignmentScores(
        same_language=float(np.trace(other_meaning) / (languages * pairs)),
        same_meaning=float(meaning[apart].sum() / (crossings * weights.sum())),
        neither=float(other_meaning[apart].sum() / (crossings * pairs)),
    )


@dataclass(frozen=True)
class AlignmentChange:
    """A number before and after, and the interval of the difference, paired over the same sentences."""

    before: float
    after: float
    interval: tuple[float, float]


def alignment_change(
    before: Mapping[str, NDArray[np.floating]], after: Mapping[str, NDArray[np.floating]], resampling: Resampling
) -> dict[str, AlignmentChange]:
    """Return how LRDS, SADS and retrieval of the whole model changed, over sentences [S, D] that both have.

    Both are resampled alike, sentence by sentence. Raises `UsageError` as `alignment`, and for unequal sentences.
    """
    widths = [next(iter(each.values())).shape[1] for each in (before, after)]
    units = [_unit(_stacked(each, width)) for each, width in zip((before, after), widths, strict=True)]
    sentences = units[0].shape[1]
    if units[1].shape[:2] != units[0].shape[:2]:
        raise UsageError(f"a change compares the same languages and sentences; got {[u.shape[:2] for u in units]}")
    products = [np.einsum("ksd,lsd->skl", unit, unit, optimize=True) for unit in units]
    hits = [_hits(unit) for unit in units]
    rng = np.random.default_rng(resampling.seed)
    drawn = rng.multinomial(sentences, np.full(sentences, 1 / sentences), resampling.resamples).astype(float)
    weights = [np.ones(sentences), *(each for each in drawn if (each > 0).sum() > 1)]
    found: dict[str, list[tuple[float, float]]] = {"lrds": [], "sads": [], "retrieval": []}
    for weight in weights:
        first, last = (_weighted(unit, product, weight) for unit, product in zip(units, products, strict=True))
        found["lrds"].append((first.lrds, last.lrds))
        found["sads"].append((first.sads, last.sads))
        found["retrieval"].append((float(weight @ hits[0] / weight.sum()), float(weight @ hits[1] / weight.sum())))
    return {
        name: AlignmentChange(*pairs[0], resampling.ends(np.array([after - before for before, after in pairs[1:]])))
        for name, pairs in found.items()
    }
