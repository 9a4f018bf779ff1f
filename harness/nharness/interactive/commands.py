"""What other commands do, from Python: evaluation of neurons, comparison, claims, and every command by its words."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nharness.analysis.compare import TaskComparison
from nharness.claims import ClaimResult
from nharness.claims import check_claims as check
from nharness.cli.compare import compare_records
from nharness.cli.found import neurons_file, record_files
from nharness.cli.main import answer
from nharness.errors import UsageError
from nharness.interactive.files import load_record
from nharness.interactive.results import Results
from nharness.interactive.running import run
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.spec import Claim

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from nharness.interactive.settings import Settings


@dataclass(frozen=True)
class Printed:
    """What a command printed, and the exit code that it ended with (0, or 1: a problem, a claim that fails)."""

    text: str
    exit_code: int

    @property
    def document(self) -> Any:
        """The text read as JSON, for a command with `--json`."""
        return json.loads(self.text)


def evaluate(neurons: str | Path, /, *, out: str | Path | None = None, **settings: Unpack[Settings]) -> Results:
    """Return the records of a neurons file (or of a record's or run's folder): switched off, measured, compared.

    settings: as for `nharness.run`, but for those of detection. Raises what `run` raises, and `UsageError` for a
    detector beside the file.
    """
    if "detector" in settings:
        raise UsageError(f"{neurons} is evaluated; leave out detector")
    settings["detector"] = f"file:{neurons_file(Path(neurons))}"
    return run(out=out, **settings)


def compare(first: str | Path, second: str | Path) -> tuple[TaskComparison, ...]:
    """Return what two records (files, or folders with one) differ in, first minus second, paired item by item.

    Raises `FileFormatError` for a record that is not valid or without items, `UsageError` for a folder of several.
    """
    return compare_records(_only(first), _only(second))


def check_claims(records: Record | Iterable[Record | str | Path], *claims: str) -> tuple[ClaimResult, ...]:
    """Return what becomes of claims (statements, or names of registered ones) on records or their files.

    Raises `UsageError` for a claim that is about none of the records.
    """
    given = [records] if isinstance(records, Record) else records
    loaded = [each if isinstance(each, Record) else load_record(each) for each in given]
    wanted = [Claim(statement=text) for text in claims]
    return tuple(check(wanted, loaded, Plugins().makers("claims")))


def command(*words: str) -> Printed:
    """Return what `nharness WORDS` prints: `command("list", "detectors", "--json").document`.

    For what has no call of its own. Raises the error that the command would have told.
    """
    printed, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
        try:
            code = answer(words)
        except SystemExit as stopped:  # --help, and what does not parse
            if stopped.code:
                raise UsageError(told.getvalue().strip().removeprefix("nharness ")) from None
            code = 0
    return Printed(printed.getvalue(), code)


def _only(path: str | Path) -> Path:
    found: Sequence[Path] = record_files(Path(path))
    if len(found) > 1:
        raise UsageError(f"{path} holds {len(found)} records; name one of them: {', '.join(map(str, found[:5]))}")
    return found[0]
