"""How a model arranges parallel sentences: by language or by meaning (Zeng et al. 2025, arXiv 2410.11718).

Legend: `G` languages, `S` sentences (the same meanings in every language, row for row), `D` components, `L` layers.

With c(s, k; s', k') the cosine of the vectors of sentence s in language k and sentence s' in language k':

- LRDS = mean c over pairs of one language and different meanings, minus mean c over pairs of different languages and
  different meanings: how much a shared language draws sentences together.
- SADS = mean c over pairs of one meaning in different languages, minus the same second mean: how much a shared meaning
  does.

Both lie between -2 and 2. All pairs are used, not a sample of them: with unit vectors x and their sums per language,
`sum over s != s' of x_ks . x_ls' = (sum_s x_ks) . (sum_s x_ls) - sum_s x_ks . x_ls`, so that no S x S matrix is needed.
A vector of length 0 has cosine 0 with everything. The released code shifts meanings by one sentence per block of
languages; here row s is meaning s throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nharness.errors import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AlignmentScores:
    """The three mean cosines, and the two differences made of them."""

    same_language: float
    same_meaning: float
    neither: float

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


def alignment(vectors: Mapping[str, NDArray[np.floating]], layer_widths: Sequence[int]) -> Alignment:
    """Return LRDS and SADS from sentence vectors [S, D] per language, D the sum of the layer widths.

    Raises `UsageError` for fewer than two languages or sentences, unequal shapes, or values that are not finite.
    """
    stacked = _stacked(vectors, sum(layer_widths))
    ends = np.cumsum(layer_widths)
    parts = zip(ends - np.asarray(layer_widths), ends, strict=True)
    layers = tuple(_scores(stacked[:, :, start:end]) for start, end in parts)
    return Alignment(_scores(stacked), layers, stacked.shape[1])


def parallel(
    ids: Mapping[str, Sequence[str]], vectors: Mapping[str, NDArray[np.floating]]
) -> dict[str, NDArray[np.floating]]:
    """Return the vectors of the sentences that all languages have, in one order, that of the first language's ids.

    Raises `UsageError` when fewer than two ids are common to all, or an id comes twice in a language.
    """
    for tag, names in ids.items():
        if len(set(names)) != len(names):
            raise UsageError(f"a sentence id comes twice in {tag}; parallel sentences need one row an id")
    common = set.intersection(*(set(names) for names in ids.values())) if ids else set()
    if len(common) < 2:
        raise UsageError(f"{len(common)} sentences are common to {', '.join(ids)}; alignment needs parallel text")
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


def _scores(vectors: Floats) -> AlignmentScores:
    """Return the scores of vectors [G, S, D]."""
    languages, sentences, _ = vectors.shape
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    sums = unit.sum(axis=1)
    all_pairs = sums @ sums.T
    one_meaning = np.einsum("ksd,lsd->kl", unit, unit)
    other_meaning = all_pairs - one_meaning
    apart = ~np.eye(languages, dtype=bool)
    pairs, crossings = sentences * (sentences - 1), languages * (languages - 1)
    return AlignmentScores(
        same_language=float(np.trace(other_meaning) / (languages * pairs)),
        same_meaning=float(one_meaning[apart].sum() / (crossings * sentences)),
        neither=float(other_meaning[apart].sum() / (crossings * pairs)),
    )
