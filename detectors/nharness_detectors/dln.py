"""DLN: distribution-aware language neurons (Kim et al., EMNLP 2026, arXiv 2609.10993).

Legend: `G` languages (K in the formulas), `M` neurons, `B` neurons of one block, `S` histogram bins, `P` = G(G-1)/2
pairs of languages. Site gate.

1. P_k = histogram of g_j over language k's tokens, S bins and two outer ones, divided by its sum.
2. Overlap S[k, k'] = sum over bins of min(P_k, P_k'), 0 to 1.
3. For every neuron the split of the languages into A and B, |A| <= |B|, that minimises the largest overlap across the
   split; that overlap is the score. This is single linkage stopped at two clusters: the smallest edge of the maximum
   spanning tree of the overlaps is the score, and cutting it gives the split.
4. tau = the floor(top_rate * M * P)-th smallest (at least the first) of all pair overlaps of all neurons.
5. A neuron with score <= tau is selected; it belongs to the languages of A.

Where several splits tie, or |A| = |B|, A is the smallest group left when all tied edges are cut, and of equally small
groups the most active one (the released code takes the side of the first language, so that its result depends on
their order). A neuron that no token of some language reached (mixtures of experts) is never selected. Overlaps are in
single precision, as in the released code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import Detection
from nharness.statistics import Statistics
from nharness_detectors.selection import blocks

HISTOGRAM_BLOCK = 64  # neurons whose histograms fit the cache
SPLIT_VALUES = 1_600_000  # similarities of a block, G * G * B


class DlnOptions(DetectorOptions):
    """Share of all pair overlaps that counts as low."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of all pair overlaps that counts as low")


class Dln(Detector):
    """Neurons whose activation is distributed differently in few languages."""

    name = "dln"
    Options = DlnOptions
    options: DlnOptions

    def needs(self) -> tuple[Need, ...]:
        """Return histograms at the gate."""
        return (Need("histogram", "gate"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return the selected neurons; score = largest overlap across the best split [M], inf without evidence."""
        recorded = evidence.statistics("gate")
        overlap, level = _overlaps(recorded)
        reached = np.isfinite(level).all(axis=0)
        pairs = overlap[:, reached]
        rank = max(1, int(pairs.size * self.options.top_rate)) - 1
        tau = float(np.partition(pairs, rank, axis=None)[rank]) if pairs.size else 0.0
        del pairs
        score = np.full(recorded.size, np.inf, dtype=np.float32)
        candidates = np.zeros((len(recorded.languages), recorded.size), dtype=bool)
        for block in blocks(recorded.size, max(1, SPLIT_VALUES // len(recorded.languages) ** 2)):
            score[block], candidates[:, block] = best_split(overlap[:, block], level[:, block])
        score[~reached] = np.inf
        candidates[:, ~reached] = False
        return self.detection(
            evidence,
            membership=candidates & (score <= tau),
            score=score,
            best="lowest",
            candidates=candidates,
            notes={"overlap_bar": tau, "selected": int((score <= tau).sum())},
        )


def _overlaps(recorded: Statistics) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the overlap of every pair of languages [P, M] and the mean bin number of every language [G, M].

    The mean bin is NaN where no token reached the neuron.
    """
    tags = recorded.languages
    counts = [recorded.get("histogram", "count", tag) for tag in tags]
    bins = counts[0].shape[1]
    overlap = np.empty((len(tags) * (len(tags) - 1) // 2, recorded.size), dtype=np.float32)
    level = np.empty((len(tags), recorded.size), dtype=np.float32)
    numbers = np.arange(bins, dtype=np.float32)
    shares = np.empty((len(tags), HISTOGRAM_BLOCK, bins), dtype=np.float32)  # [G, B, S + 2], used again and again
    minima = np.empty_like(shares)
    for block in blocks(recorded.size, HISTOGRAM_BLOCK):
        share, minimum = (buffer[:, : block.stop - block.start] for buffer in (shares, minima))
        for row, count in zip(share, counts, strict=True):
            row[:] = count[block]
        total = share.sum(axis=2)
        share *= np.divide(1, total, out=np.zeros_like(total), where=total > 0)[:, :, None]
        level[:, block] = np.where(total > 0, share @ numbers, np.nan)
        first = 0
        for k in range(len(tags) - 1):
            lesser = np.minimum(share[k], share[k + 1 :], out=minimum[k + 1 :])
            overlap[first : first + len(lesser), block] = np.einsum("gbs->gb", lesser)  # faster than sum()
            first += len(lesser)
    return overlap, level


def best_split(
    overlap: NDArray[np.float32], level: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the largest overlap across the best split [B] and the members of its smaller side [G, B].

    Prim's algorithm lists the languages along the maximum spanning tree. A language that joins by an edge above the
    smallest was nearest to one listed since the last smallest edge, so cutting the list at its smallest edges gives
    the groups.
    """
    languages, size = level.shape
    column = np.arange(size)
    similarity = _square(overlap, languages)  # [G, G, B]
    nearest = similarity[0].copy()
    nearest[0] = -np.inf
    order = np.zeros((languages, size), dtype=np.int64)
    edge = np.full((languages, size), np.inf, dtype=np.float32)
    for step in range(1, languages):
        joined = nearest.argmax(axis=0)
        order[step], edge[step] = joined, nearest[joined, column]
        inside = np.isneginf(nearest)
        np.maximum(nearest, similarity[joined, :, column].T, out=nearest)
        nearest[inside] = -np.inf
        nearest[joined, column] = -np.inf
    least = edge.min(axis=0)
    group = np.empty_like(order)
    np.put_along_axis(group, order, np.cumsum(edge == least, axis=0), axis=0)
    return least, _smallest_group(group, level)


def _square(overlap: NDArray[np.float32], languages: int) -> NDArray[np.float32]:
    similarity = np.full((languages, languages, overlap.shape[1]), -np.inf, dtype=np.float32)
    upper = np.triu_indices(languages, 1)
    similarity[upper] = overlap
    similarity[upper[1], upper[0]] = overlap
    return similarity


def _smallest_group(group: NDArray[np.int64], level: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the languages [G, B] of the smallest group; of equally small groups, the most active."""
    together = group[:, None] == group[None, :]  # [G, G, B]
    size = together.sum(axis=1)
    activity = np.where(together, np.nan_to_num(level)[None], 0.0).sum(axis=1) / size
    activity[size > size.min(axis=0)] = -np.inf
    chosen = activity.argmax(axis=0)
    return np.asarray(group == group[chosen, np.arange(group.shape[1])])
