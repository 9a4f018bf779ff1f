"""Which records are ranked together, the interval of each one's rank, and why a record has none.

Records are ranked together when nothing but the detector differs: model, component, corpus, languages, task, kinds of
neurons, intervention, and the text measured. Of several records of one detector with the same options the newest is
ranked. The formula is that of `nharness.analysis.ranking`; each record's resamples are made once and kept beside the
results.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nharness import atomic
from nharness.analysis.ranking import Resampled, ranked, resampled_from, unranked
from nharness.analysis.two_level import Scatter
from nharness.errors import OutputError
from nharness.record.model import Record
from nharness.record.store import find
from nharness.sources import package_digest
from nharness_leaderboard.results import Entry
from nharness_leaderboard.ties import comparable_key, digest_of, edit_of

MAX_ITEMS = 500_000_000
CACHE = Path(".cache") / "resamples"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Standing:
    """A record's place: the set it is in, its rank interval among `of` ranked ones, or why it has none."""

    group: str
    ranks: tuple[int, int] | None
    of: int
    reason: str | None = None

    @property
    def text(self) -> str:
        """The interval in words: `1-3 of 15`, a single rank alone; empty without a rank."""
        return "" if self.ranks is None else f"{self.interval} of {self.of}"

    @property
    def interval(self) -> str:
        """The interval alone: `1-3`, or a single rank; empty without a rank."""
        if self.ranks is None:
            return ""
        low, high = self.ranks
        return str(low) if low == high else f"{low}\N{EN DASH}{high}"


@dataclass(frozen=True)
class Standings:
    """Every record's standing by its short name, and the difference of headlines of every two ranked together.

    A difference is the first minus the second, with its interval; the intervals of one set hold jointly.
    """

    placed: Mapping[str, Standing] = field(default_factory=dict)
    differences: Mapping[Pair, tuple[float, float, float]] = field(default_factory=dict)

    def of(self, slug: str) -> Standing | None:
        """Return a record's standing; None if it was not placed."""
        return self.placed.get(slug)

    def difference(self, first: str, second: str) -> tuple[float, float, float] | None:
        """Return the first record's headline minus the second's, and the ends of its interval; None if not ranked."""
        there = self.differences.get((first, second))
        back = self.differences.get((second, first))
        return there if there is not None or back is None else (-back[0], -back[2], -back[1])


def set_key(record: Record) -> str:
    """Return the key of the set that a record is ranked in."""
    headline = record.headline
    task, harm = ("ppl", None) if headline is None else (headline.task, headline.harm)
    return digest_of(comparable_key(record, task), record.selection.kinds, edit_of(record), harm)


def standings(entries: Sequence[Entry], headlines: Mapping[str, Resampled | None]) -> Standings:
    """Return the standings of records; headlines: each one's, resampled, by short name."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(set_key(entry.record), []).append(entry)
    placed: dict[str, Standing] = {}
    differences: dict[Pair, tuple[float, float, float]] = {}
    for key, members in groups.items():
        found = _ranked(key, members, headlines)
        placed |= found.placed
        differences |= found.differences
    return Standings(placed, differences)


def resampled_headlines(entries: Sequence[Entry], results: Path | None = None) -> dict[str, Resampled | None]:
    """Return every record's headline under the resamples of its text, by short name; None if there are no items.

    results: the results folder, beside which resamples are cached so that only new records are read; None: no cache.
    """
    cache = None if results is None else results.resolve().parent / CACHE
    return {entry.slug: _resampled(entry, cache) if entry.record.headline else None for entry in entries}


def _ranked(key: str, members: Sequence[Entry], headlines: Mapping[str, Resampled | None]) -> Standings:
    """Return the standings of one set: rank intervals among those of one text, the largest such group."""
    why = {entry.slug: unranked(entry.record, headlines.get(entry.slug)) for entry in members}
    newest: dict[str, str] = {}
    for entry in sorted(members, key=lambda each: (each.record.identity.created, each.slug)):
        if why[entry.slug] is None:
            newest[digest_of(entry.record.detector.name, entry.record.detector.options)] = entry.slug
    able = {slug: held for slug in newest.values() if (held := headlines[slug]) is not None}
    texts = Counter(held.text for held in able.values())
    text = max(texts, key=lambda digest: (texts[digest], digest), default="")
    ranking_of = ranked({slug: held for slug, held in able.items() if held.text == text})
    count = len(ranking_of.names)

    def standing(slug: str) -> Standing:
        if slug in ranking_of.ranks:
            return Standing(key, ranking_of.ranks[slug], count)
        other = "its text is not that of the other records of the set"
        older = "a newer record of the same detector is ranked"
        return Standing(key, None, count, why[slug] or (other if slug in able else older))

    return Standings({slug: standing(slug) for slug in why}, ranking_of.differences)


def _resampled(entry: Entry, cache: Path | None) -> Resampled | None:
    path = None if cache is None else cache / f"{_covering(entry.record)}.npz"
    found = None if path is None else _kept(path)
    if found is None:
        found = resampled_from(entry.record, entry.folder, max_bytes=MAX_ITEMS)
        if found is not None and path is not None:
            _keep(path, found)
    return found


def _covering(record: Record) -> str:
    """Return a cache name that covers a record, its items, and the code that resamples them."""
    digests = [file.sha256 for role in ("items", "ladder") if (file := find(record.files, role)) is not None]
    return digest_of(record.identity.id, digests, package_digest("nharness"), length=32)


def _kept(path: Path) -> Resampled | None:
    try:
        with np.load(path, allow_pickle=False) as held:
            telling, repeats, clusters = map(int, held["resampled_from"])
            scatter = Scatter(held["text"], held["detection"], telling, repeats)
            return Resampled(float(held["value"]), scatter, clusters, str(held["digest"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(path: Path, found: Resampled) -> None:
    """Write resamples to the cache; if it cannot be written, they are made again."""
    held = io.BytesIO()
    np.savez_compressed(
        held,
        value=found.value,
        text=found.scatter.text,
        detection=found.scatter.detection,
        resampled_from=np.array([found.scatter.clusters, found.scatter.repeats, found.clusters]),
        digest=np.array(found.text),
    )
    try:
        atomic.write_bytes(path, held.getvalue())
    except OutputError:
        return
