"""What is run and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nharness.record.sources import Study
from nharness.run.plan.parts import Part
from nharness.spec import RunSpec


@dataclass(frozen=True)
class RunRequest:
    """Specification, run folder, store, and how cells are chosen and spread.

    shard: only this part of the plan, every draw of it; a part writes no records.
    """

    spec: RunSpec
    out: Path
    store: Path | None = None
    command: str = "nharness run"
    study: Study | None = None
    expression: str = ""
    last_failed: bool = False
    maxfail: int = 0
    shard: Part | None = None
    executor: str = "local"
    workers: int = 1
    executor_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> bool:
        """Whether only some of the cells are run, so that no record is written."""
        return self.shard is not None or self.last_failed
