"""Where nharness keeps what can be made again: converted models, fingerprints, how fast models ran."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for what can be made again: `$NHARNESS_CACHE`, else the user's cache folder."""
    named = os.environ.get("NHARNESS_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nharness"
