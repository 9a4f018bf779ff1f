"""Languages among themselves: which share neurons, and whether kin and script say which.

Legend: `G` languages that have neurons.

The distance of two languages is 1 - Jaccard of their neurons; average linkage (SciPy) joins them to a tree. Beside it
stands what is known of the languages: 0 for one branch of a family (Romance, Germanic), 1/2 for one family
(Indo-European), 1 for two families, and 0 or 1 for one script or two; the mean of both. Branches are those of Glottolog
at the level at which textbooks name them, in `BRANCHES`; a language that is not in it is left out of the comparison.

Mantel's test (1967): Pearson's r of the two distances over all pairs; p is the share of relabellings of the languages
with an r at least as large, all of them up to seven languages, else 1 999 seeded ones and the one there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage, to_tree
from scipy.spatial.distance import squareform

from nharness.analysis.structure.relabelling import MOST_EXACT, orders_of
from nharness.languages import primary, script

_FAMILIES = {
    "Indo-European": {
        "Germanic": "af da de en is lb nb nl nn no sv yi",
        "Romance": "ca es fr gl ht it la oc pt ro",
        "Slavic": "be bg bs cs hr mk pl ru sk sl sr uk",
        "Baltic": "lt lv",
        "Indo-Aryan": "as bn gu hi mr ne or pa sa si ur",
        "Iranian": "fa ku ps tg",
        "Celtic": "br cy ga gd",
        "Greek": "el",
        "Armenian": "hy",
        "Albanian": "sq",
    },
    "Sino-Tibetan": {"Sinitic": "yue zh", "Burmese-Lolo": "my", "Tibetic": "bo"},
    "Afro-Asiatic": {"Semitic": "am ar he mt ti", "Chadic": "ha", "Cushitic": "om so"},
    "Austronesian": {"Malayo-Polynesian": "ceb id jv mg mi ms su tl fil"},
    "Austroasiatic": {"Vietic": "vi", "Khmeric": "km"},
    "Uralic": {"Finnic": "et fi", "Ugric": "hu"},
    "Turkic": {"Turkic": "az kk ky tr tt ug uz"},
    "Dravidian": {"Dravidian": "kn ml ta te"},
    "Atlantic-Congo": {"Bantu": "nso rw sn st sw xh zu", "Volta-Congo": "ak ee ig tw yo", "Atlantic": "ff wo"},
    "Tai-Kadai": {"Tai": "lo th"},
    "Japonic": {"Japonic": "ja"},
    "Koreanic": {"Koreanic": "ko"},
    "Kartvelian": {"Kartvelian": "ka"},
    "Mongolic": {"Mongolic": "mn"},
    "Basque": {"Basque": "eu"},
    "Quechuan": {"Quechuan": "qu"},
}
BRANCHES = {
    tag: (family, branch)
    for family, branches in _FAMILIES.items()
    for branch, tags in branches.items()
    for tag in tags.split()
}
FEWEST = 4
Distances = NDArray[np.float64]


@dataclass(frozen=True)
class Mantel:
    """Correlation of two distances, -1 to 1, p of no more than chance, 0 to 1, and the languages compared."""

    r: float
    p: float
    languages: tuple[str, ...]


def neuron_distances(membership: NDArray[np.bool_]) -> Distances:
    """Return 1 - Jaccard [G, G] of languages that all have neurons, from membership [G, M]."""
    held = membership.astype(np.int64)
    shared = held @ held.T
    sizes = np.diag(shared)
    distances: Distances = 1.0 - shared / (sizes[:, None] + sizes[None, :] - shared)
    return distances


def kin_distance(one: str, other: str) -> float:
    """Return the distance of two languages by branch, family and script, 0 to 1."""
    first, second = BRANCHES[primary(one)], BRANCHES[primary(other)]
    kin = 0.0 if first == second else 0.5 if first[0] == second[0] else 1.0
    return (kin + float(script(one) != script(other))) / 2


def is_known(tag: str) -> bool:
    """Tell whether the family of a language is known here."""
    return primary(tag) in BRANCHES


def tree(distances: Distances, languages: Sequence[str]) -> str:
    """Return the languages joined by average linkage in Newick's notation: `((en,de),zh)`; empty for fewer than two."""
    if len(languages) < 2:
        return ""
    root = to_tree(linkage(squareform(distances, checks=False), method="average"))
    written: dict[int, str] = {}
    waiting = [root]
    while waiting:
        node = waiting[-1]
        left, right = node.get_left(), node.get_right()
        if left is None or right is None:
            written[waiting.pop().get_id()] = languages[node.get_id()]
        elif left.get_id() in written and right.get_id() in written:
            written[waiting.pop().get_id()] = f"({written[left.get_id()]},{written[right.get_id()]})"
        else:
            waiting += [each for each in (left, right) if each.get_id() not in written]
    return written[root.get_id()]


def mantel(first: Distances, second: Distances, languages: Sequence[str], *, seed: int) -> Mantel | None:
    """Return Mantel's test of two distances [G, G]; None for fewer than four languages or equal pairs."""
    count = len(languages)
    upper = np.triu_indices(count, 1)
    if count < FEWEST or min(np.ptp(first[upper]), np.ptp(second[upper])) < 1e-12:
        return None
    given = _standard(second[upper])
    observed = float(given @ _standard(first[upper]))
    orders = orders_of(count, seed)
    found = np.array([given @ _standard(first[np.ix_(order, order)][upper]) for order in orders])
    large = int((found >= observed - 1e-12).sum())
    p = large / len(orders) if count <= MOST_EXACT else (1 + large) / (1 + len(orders))
    return Mantel(observed, p, tuple(languages))


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean()
    scaled: NDArray[np.float64] = centred / np.sqrt((centred**2).sum())
    return scaled
