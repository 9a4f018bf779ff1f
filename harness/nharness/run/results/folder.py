"""The run folder: what was asked for, what failed last, where records and their files lie. Written by atomic rename."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nharness.atomic import check_writable, remove_abandoned, write_json
from nharness.cells import Cell
from nharness.errors import NothingCollectedError, OutputError, UsageError
from nharness.record.sources import Study
from nharness.run.plan.parts import read_part
from nharness.run.plan.plan import Plan
from nharness.run.plan.request import RunRequest
from nharness.spec import RunSpec

FAILED = "failed.json"
EVALUATED_BY, RECORDED_BY = "identity.json", "recording.json"
"""Who made the numbers of a run, and who found its neurons where that was a model of another number type."""


class RunFolder:
    """A folder that holds `run.json`, `records/`, and, unless it is shared, `store/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def records(self) -> Path:
        """Where records and the files beside them lie."""
        return self.path / "records"

    @property
    def store(self) -> Path:
        """Where the run's products lie: in the folder, or where the run was told to keep them."""
        named = (self._read("run.json") or {}).get("store")
        return Path(named) if named else self.path / "store"

    def begin(self, request: RunRequest, spec: RunSpec) -> RunRequest:
        """Write down what is run; raises `OutputError` for a folder that cannot be written, `UsageError` if taken.

        A folder belongs to one specification, and to one part of it if it was begun with one: going on is free,
        anything else needs another folder. Returns the request with the command, study and part the run was begun with,
        and its store unless another one is named.
        """
        check_writable(self.path)
        remove_abandoned(self.path)
        before = self._read("run.json")
        document = {"spec": spec.model_dump(mode="json"), "command": request.command}
        if before is None:
            if request.study is not None:
                document["study"] = request.study.model_dump(mode="json")
            if request.store is not None:
                document["store"] = str(request.store.absolute())
            if request.shard is not None:
                document["part"] = {"shard": str(request.shard), "expression": request.expression}
            write_json(self.path / "run.json", document)
            return request
        if before.get("spec") != document["spec"]:
            raise UsageError(f"{self.path} holds a run with another specification; choose another --out")
        study, part, store = before.get("study"), before.get("part"), before.get("store")
        begun = replace(
            request,
            command=str(before["command"]),
            study=request.study or (Study(**study) if study else None),
            store=request.store or (Path(store) if store else None),
        )
        if part is None:
            return begun
        asked = {"shard": str(request.shard or part["shard"]), "expression": request.expression}
        if asked != part:
            chosen = f" of -k {part['expression']!r}" if part["expression"] else ""
            raise UsageError(f"{self.path} holds part {part['shard']}{chosen}; choose another --out for other cells")
        return replace(begun, shard=read_part(part["shard"]))

    def remember_identity(self, identity: Mapping[str, Any], *, name: str = EVALUATED_BY) -> None:
        """Keep what model and software numbers are made by, for `nharness collect`; name: of the file."""
        write_json(self.path / name, dict(identity))

    @contextmanager
    def remembering(self, failed: Callable[[], Sequence[Cell]]) -> Iterator[None]:
        """Keep the ids of failed cells for `--lf`, however the work inside ends; its error comes first."""
        try:
            yield
        except BaseException:  # boundary: re-raised, whether or not the list can be written
            with suppress(OutputError):
                self._remember(failed())
            raise
        self._remember(failed())

    def _remember(self, failed: Sequence[Cell]) -> None:
        write_json(self.path / FAILED, sorted(cell.id for cell in failed))

    def last_failed(self, plan: Plan) -> Plan:
        """Return the plan cut to the cells that failed last time, with their baselines; all when none did."""
        failed = set(self._read(FAILED) or ())
        if not failed:
            return plan
        chosen = [cell for cell in plan.cells if cell.id in failed]
        if not chosen:
            raise NothingCollectedError(f"none of the {len(failed)} cells that failed last time is in this plan")
        return plan.narrowed(chosen)

    def _read(self, name: str) -> Any:
        path, expected = self.path / name, list if name == FAILED else dict
        if not path.exists():
            return None
        found = read_json(path)
        if not isinstance(found, expected):
            raise UsageError(f"{path} was not written by a run; choose another --out")
        return found


def read_run(path: Path) -> Mapping[str, Any]:
    """Return the `run.json` at `path`; raises `UsageError` for one that is damaged or says nothing of a run."""
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("spec"), dict):
        raise UsageError(f"{path}: damaged (it holds no specification of a run)")
    return found


def read_json(path: Path) -> Any:
    """Return a file's JSON document; raises `UsageError` for what cannot be read as one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: damaged ({getattr(error, 'strerror', None) or error})") from error
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply to be read") from error


def file_stem(*parts: str) -> str:
    """Return parts joined by `-`, in letters, digits, dots, dashes and underscores only."""
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-.") for part in parts if part) or "run"
