"""A study as pytest's items: one a cell, one a claim; and what the fixture `nharness` gives.

Items are collected without a model. The first item that runs does its study's run, of the cells that are selected and
the random draws that go with them; the others read its outcome. Processes of pytest-xdist wait for each other and take
from the store what one of them computed.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import Unpack, override

from nharness.cells import Cell, CellOutcome
from nharness.claims import ClaimResult, check_claims
from nharness.cli.study import run_name
from nharness.cli.where import DEFAULT_OUT
from nharness.errors import NharnessError
from nharness.hookspecs import hookimpl
from nharness.interactive.results import Results
from nharness.interactive.running import run
from nharness.interactive.settings import Settings
from nharness.plugins import Plugins
from nharness.record.sources import Study
from nharness.run.line import RunResult
from nharness.run.line import run as run_line
from nharness.run.plan.planned import planned
from nharness.run.plan.request import RunRequest
from nharness.run.plan.study import load_study
from nharness.spec import Claim, RunSpec


class StudyModule(pytest.File):
    """A study's file; every run of it is a collector of its own."""

    @override
    def collect(self) -> Iterable[pytest.Collector]:
        """Yield the runs; raises `UsageError` with the line for what is no study."""
        study = load_study(self.path)
        given = self.config.getoption("--nharness-out")
        cache = getattr(self.config, "cache", None)
        base = Path(given) if given else cache.mkdir("nharness") if cache else DEFAULT_OUT
        described = Study(name=study.name, text=study.text, digest=study.digest)
        for place, spec in enumerate(study.runs):
            name = run_name(place, spec)
            request = RunRequest(
                spec,
                base / study.digest[:16] / name,
                store=base / "store",
                study=described,
                command=f"pytest {self.path.name}",
            )
            yield StudyRun.from_parent(self, name=name, request=request)

    @override
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **more: Any) -> Any:
        """Return the one sentence of an nharness error."""
        return _told(excinfo) or super().repr_failure(excinfo, *args, **more)


class StudyRun(pytest.Collector):
    """One run of a study: its cells, but for random draws, and its claims."""

    def __init__(self, *, request: RunRequest, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request, self._done = request, Once()

    @override
    def collect(self) -> Iterable[pytest.Item]:
        """Yield an item per cell and a claim; raises what planning raises."""
        _, plan = planned(self.request.spec, Plugins())
        for cell in plan.cells:
            if cell.role != "control":
                yield CellItem.from_parent(self, name=cell.id, cell=cell)
        for claim in self.request.spec.claims:
            yield ClaimItem.from_parent(self, name=_claim_name(claim), claim=claim)

    @override
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **more: Any) -> Any:
        """Return the one sentence of an nharness error."""
        return _told(excinfo) or super().repr_failure(excinfo, *args, **more)

    def result(self) -> RunResult:
        """Return what the run gave, run when it is first asked for, of the items that are selected."""
        mine = [item for item in self.session.items if item.parent is self]
        whole = any(isinstance(item, ClaimItem) for item in mine)
        chosen = None if whole else frozenset(item.cell for item in mine if isinstance(item, CellItem))
        return self._done(self.request, chosen, maxfail=int(self.config.getvalue("maxfail") or 0))


class StudyItem(pytest.Item):
    """A cell or a claim: reported under the study's file, its failure without a traceback."""

    @override
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **more: Any) -> Any:
        """Return the reason, without a traceback."""
        return _told(excinfo) or super().repr_failure(excinfo, *args, **more)

    @override
    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the file that the item is reported under, and its name."""
        return self.path, None, self.name


class CellItem(StudyItem):
    """One cell; it fails where the cell failed."""

    def __init__(self, *, cell: Cell, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cell = cell

    @override
    def runtest(self) -> None:
        """Take the cell's outcome from the run; raises `ItemFailedError` with its reason."""
        outcome = _of(self).result().outcomes.get(self.cell)
        if outcome is None or outcome.status == "skipped":
            pytest.skip(outcome.reason if outcome is not None else "the run stopped before it")
        _tell(self, outcome)
        if outcome.status == "failed":
            raise ItemFailedError(f"{self.cell.id}: {outcome.reason}")


class ClaimItem(StudyItem):
    """One claim; it fails where the records contradict it, and is skipped where they leave it undecided."""

    def __init__(self, *, claim: Claim, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.claim = claim

    @override
    def runtest(self) -> None:
        """Hold the claim against the run's records; raises `ItemFailedError` with the lines that fail."""
        result = _of(self).result()
        about = [each for each in result.claims if each.statement.strip() == self.claim.statement.strip()]
        mine = [each for each in about if self.claim.detector in {None, each.record} or not each.record]
        _require(mine, strict=_of(self).request.spec.strict_claims)


class ItemFailedError(AssertionError):
    """A cell that failed, or a claim that does not hold."""


@dataclass(frozen=True)
class Harness:
    """What the fixture `nharness` is: runs in a folder of the test's own, with the session's store."""

    folder: Path
    store: Path

    def run(self, study: str | Path | RunSpec | None = None, /, **settings: Unpack[Settings]) -> Results:
        """Return what `nharness.run` returns; raises `ItemFailedError` for a cell that failed."""
        taken = sum(path.is_dir() for path in self.folder.glob("run-*"))
        result = run(study, out=self.folder / f"run-{taken}", store=self.store, progress=False, **settings)
        if result.failed:
            raise ItemFailedError("; ".join(f"{cell}: {reason}" for cell, reason in result.failed.items()))
        return result

    def hold(self, result: Results, *claims: str, strict: bool = True) -> None:
        """Raise `ItemFailedError` unless all claims hold of the records; strict: one that is undecided does not."""
        wanted = [Claim(statement=text) for text in claims]
        _require(check_claims(wanted, result.records, Plugins().makers("claims")), strict=strict)


class Once:
    """Does a run once, and gives its result, or raises what it raised, whenever it is asked for."""

    def __init__(self) -> None:
        self._kept: RunResult | BaseException | None = None

    def __call__(self, request: RunRequest, chosen: frozenset[Cell] | None, *, maxfail: int) -> RunResult:
        """Return the result for the chosen cells, None for all."""
        if self._kept is None:
            try:
                self._kept = _run(request, chosen, maxfail)
            except NharnessError as error:
                self._kept = error
        if isinstance(self._kept, BaseException):
            raise self._kept
        return self._kept


@dataclass(frozen=True)
class _Chosen:
    """A plug-in of the run: leaves the chosen cells and the random draws of their targets."""

    cells: frozenset[Cell]

    @hookimpl
    def nharness_modify_cells(self, cells: list[Cell]) -> None:
        """Drop what was not selected."""
        cells[:] = [cell for cell in cells if _of_target(cell) in self.cells]


def _of_target(cell: Cell) -> Cell:
    """Return the cell that a random draw's cell is compared with, and any other as it is."""
    if cell.edition is None or cell.edition.control is None:
        return cell
    return Cell(replace(cell.edition, control=None), cell.task, cell.language)


def _run(request: RunRequest, chosen: frozenset[Cell] | None, maxfail: int) -> RunResult:
    plugins = Plugins()
    if chosen is not None:
        plugins.pm.register(_Chosen(chosen), name="pytest's selection")
    with _alone(request.out):
        return run_line(replace(request, maxfail=maxfail), plugins)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process does the same run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".pytest.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _of(item: pytest.Item) -> StudyRun:
    parent = item.parent
    if not isinstance(parent, StudyRun):
        raise TypeError(f"{item.nodeid} does not belong to a study")
    return parent


def _tell(item: pytest.Item, outcome: CellOutcome) -> None:
    """Put the numbers of a cell into reports such as JUnit's."""
    item.user_properties.append(("items", len(outcome.items)))
    item.user_properties.append(("tokens", outcome.tokens))


def _require(results: Sequence[ClaimResult], *, strict: bool) -> None:
    bad = [each.line for each in results if each.verdict == "fails" or (strict and each.verdict == "undecided")]
    if bad:
        raise ItemFailedError("\n".join(bad))
    if any(each.verdict == "undecided" for each in results):
        pytest.skip("; ".join(each.line for each in results if each.verdict == "undecided"))


def _claim_name(claim: Claim) -> str:
    return f"claim: {claim.statement.strip()}" + (f" ({claim.detector})" if claim.detector else "")


def _told(excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    known = isinstance(excinfo.value, ItemFailedError | NharnessError)
    return str(excinfo.value) if known else ""
