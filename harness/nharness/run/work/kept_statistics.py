"""Statistics in the store: one file per site, and an entry written after them that names them with their SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nharness.errors import FileFormatError
from nharness.record.store import sha256_of
from nharness.run.store import Store
from nharness.statistics import Statistics
from nharness.statistics import load as load_statistics


@dataclass(frozen=True)
class NotedStatistics:
    """Statistics by site, and what was noted with them."""

    sites: Mapping[str, Statistics]
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class KeptStatistics:
    """Statistics of one kind in a store: `entries` is the kind of the entries, `files` that of the tables."""

    store: Store
    entries: str
    files: str

    def get(self, key: str) -> NotedStatistics | None:
        """Return what was kept under a key, None when any of it is absent, damaged or another's."""
        entry = self.store.get(self.entries, key, _read)
        if entry is None:
            return None
        digests, notes = entry
        files = {site: self._file(key, site) for site in digests}
        try:  # another run, or nharness cache prune, may take a file away at any moment
            if any(sha256_of(path) != digests[site] for site, path in files.items()):
                return None
            return NotedStatistics({site: load_statistics(path) for site, path in files.items()}, notes)
        except FileFormatError:
            return None

    def put(self, key: str, sites: Mapping[str, Statistics], **notes: Any) -> None:
        """Keep statistics by site with some notes."""
        for site, table in sites.items():
            table.save(self._file(key, site))
        digests = {site: sha256_of(self._file(key, site)) for site in sites}
        self.store.put(self.entries, key, {"sites": digests, "notes": notes})

    def _file(self, key: str, site: str) -> Path:
        return self.store.path(self.files, f"{key}-{site}", "safetensors")


def _read(entry: Any) -> tuple[dict[str, str], dict[str, Any]]:
    return dict(entry["sites"]), dict(entry["notes"])
