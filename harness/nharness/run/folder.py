"""The run folder: what was asked for, what failed last, where records and their files lie. Written by atomic rename."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nharness.atomic import check_writable, write_json
from nharness.errors import NothingCollectedError, UsageError
from nharness.run.cells import Cell
from nharness.run.plan import Plan
from nharness.spec import RunSpec


class RunFolder:
    """A folder that holds `run.json`, `records/`, and, unless it is shared, `store/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def records(self) -> Path:
        """Where records and the files beside them lie."""
        return self.path / "records"

    def begin(self, spec: RunSpec, command: str) -> str:
        """Write down what is run; raises `OutputError` for a folder that cannot be written, `UsageError` if taken.

        A folder belongs to one specification: going on with it is free, another one needs another folder. Returns the
        command that the run was begun with.
        """
        check_writable(self.path)
        before = self._read("run.json")
        document = {"spec": spec.model_dump(mode="json"), "command": command}
        if before is not None and before.get("spec") != document["spec"]:
            raise UsageError(f"{self.path} holds a run of another specification; choose another --out")
        if before is not None:
            return str(before["command"])
        write_json(self.path / "run.json", document)
        return command

    def remember_failed(self, cells: Sequence[Cell]) -> None:
        """Keep the ids of failed cells for `--lf`."""
        write_json(self.path / "failed.json", sorted(cell.id for cell in cells))

    def last_failed(self, plan: Plan) -> Plan:
        """Return the plan cut to the cells that failed the last time, with their baselines; all when none did."""
        failed = set(self._read("failed.json") or ())
        if not failed:
            return plan
        chosen = [cell for cell in plan.cells if cell.id in failed]
        if not chosen:
            raise NothingCollectedError(f"none of the {len(failed)} cells that failed the last time is in this plan")
        return plan.narrowed(chosen)

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path / name} cannot be read ({error}); choose another --out") from error


def file_stem(*parts: str) -> str:
    """Return parts joined by `-`, in letters, digits, dots, dashes and underscores only."""
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-.") for part in parts if part) or "run"
