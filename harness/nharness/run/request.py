"""What is run and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nharness.record.sources import Study
from nharness.spec import RunSpec


@dataclass(frozen=True)
class RunRequest:
    """Specification, run folder, store, and how cells are chosen and spread."""

    spec: RunSpec
    out: Path
    store: Path | None = None
    command: str = "nharness run"
    study: Study | None = None
    expression: str = ""
    last_failed: bool = False
    maxfail: int = 0
    executor: str = "local"
    workers: int = 1
