"""Whether a record was made by a release of nharness as it was released, as far as the record says what made it."""

from __future__ import annotations

from typing import Literal

from nharness.record.model import Record
from nharness.record.sources import Source
from nharness.sources import released_digests

Origin = Literal["as released", "modified", "not a release", "not stated"]
OWN = "nharness"


def origin(record: Record) -> Origin:
    """Return what a record's digests of source code come to, held against those of the releases.

    *modified*: a release's version over other source, or files that are not those installed. What is asserted can be
    false; that a true record is reproduced is what `leaderboard reproduce` shows.
    """
    source = record.identity.source
    if source is None:
        return "not stated"
    known = released_digests().get(source.nharness.version)
    if source.nharness.modified or (known is not None and any(digest not in known for digest in _own(source))):
        return "modified"
    return "not a release" if known is None else "as released"


def origin_text(record: Record) -> str:
    """Return it in words: version, the digest's beginning, and what they come to."""
    found, source = origin(record), record.identity.source
    if source is None:
        return f"nharness {record.identity.nharness}, source {found}"
    digest = source.nharness.digest
    return f"nharness {source.nharness.version}, source {digest[:12] if digest else 'unknown'}, {found}"


def _own(source: Source) -> list[str]:
    """Return the digests of what is released with nharness."""
    plugins = [each.digest for each in source.plugins if each.distribution == OWN]
    return [digest for digest in (source.nharness.digest, *plugins) if digest is not None]
