"""The submission gate: every reason not to publish a results folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from nharness.errors import FileFormatError, UsageError
from nharness.record.model import Record, configuration_key
from nharness.record.problems import Problem
from nharness.record.reproduction import REPRODUCTION_NAME
from nharness.record.store import RECORD_NAME
from nharness_leaderboard.curves import curve_problems
from nharness_leaderboard.deep import deep_problems
from nharness_leaderboard.limits import MAX_FILE, MAX_FOLDER, MAX_RECORD
from nharness_leaderboard.pinned import detector_problems, disagreements
from nharness_leaderboard.reproduction import earned, read_reproduction
from nharness_leaderboard.results import Entry, Results, place, read_results

FEWEST_ITEMS = 2


@dataclass(frozen=True)
class Verdict:
    """What the gate found: problems by file, which of the valid records are new, and which record files are gone."""

    results: Results
    problems: dict[Path, list[Problem]]
    new: tuple[Entry, ...]
    removed: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything may be published."""
        return not any(self.problems.values())


def check(folder: Path, *, base: str | None = None, reproduced: bool = False) -> Verdict:
    """Check a results folder.

    base: a git revision; only records that differ from where this branch left it are recomputed and count as new,
        while names and duplicates are checked in all.
    reproduced: a maintainer says that new records may carry the badge 'reproduced'; without it, and without a
        reproduction beside the record that earned it, that is a problem.

    Raises `UsageError` when git does not know the revision, `FileFormatError` without a folder.
    """
    results = read_results(folder, schema=True, files=True)
    changed = None if base is None else _changed(folder, base)
    problems: dict[Path, list[Problem]] = {path: list(found) for path, found in results.problems.items()}
    new = tuple(e for e in results.entries if changed is None or _is_within(e.folder, changed))
    everything = [entry.record for entry in results.entries]
    for entry in results.entries:
        found = [*_folder_problems(folder, entry), *_required(entry.record)]
        if entry in new:
            found += [*_badge(entry, allowed=reproduced), *deep_problems(entry.record, entry.folder)]
            found += [*curve_problems(entry.record, everything, whole=True), *detector_problems(entry.record)]
        if found:
            problems.setdefault(entry.folder / RECORD_NAME, []).extend(found)
    for entry, problem in disagreements(results.entries, new):
        problems.setdefault(entry.folder / RECORD_NAME, []).append(problem)
    for path, problem in [*_duplicates(results.entries), *_strays(folder)]:
        problems.setdefault(path, []).append(problem)
    removed = [path for path in changed or () if path.name == RECORD_NAME and not path.exists()]
    return Verdict(results, problems, new, tuple(path.relative_to(folder.resolve()).as_posix() for path in removed))


def _required(record: Record) -> Iterator[Problem]:
    roles = {entry.role for entry in record.files}
    for role in ("items", "neurons"):
        if role not in roles:
            yield Problem("/files", f"a published record comes with its {role} file, so that anyone can recompute it")
    if any(each.items < FEWEST_ITEMS for each in record.baseline):
        yield Problem("/baseline", f"a published record is measured on at least {FEWEST_ITEMS} items in every language")
    if all("empty_target" in cell.flags for cell in record.cells):
        yield Problem("/cells", "no language has a neuron here, so that nothing was switched off and nothing is said")
    elif record.controls is None or not record.controls.draws:
        yield Problem("/controls", "a published record is compared with random neurons; run it with --controls")


def _badge(entry: Entry, *, allowed: bool) -> Iterator[Problem]:
    where = "/identity/badge"
    try:
        proven = earned(entry.record, read_reproduction(entry.folder))
    except FileFormatError as error:
        yield Problem(where, str(error).removeprefix(f"{entry.folder}/"))
        return
    if entry.record.identity.badge == "reproduced" and not proven:
        yield Problem(where, "no reproduction beside the record earned it; nharness leaderboard reproduce makes one")
    elif entry.record.identity.badge == "reproduced" and not allowed:
        yield Problem(
            "/identity/badge", "only a maintainer gives the badge 'reproduced', and says so with --reproduced"
        )


def _folder_problems(root: Path, entry: Entry) -> Iterator[Problem]:
    expected = place(entry.record)
    if entry.folder.relative_to(root) != expected:
        yield Problem("", f"this record belongs in {expected.as_posix()}")
    sizes = {path: path.lstat().st_size for path in sorted(entry.folder.rglob("*")) if _is_file(path)}
    listed = {RECORD_NAME, REPRODUCTION_NAME, *(file.name for file in entry.record.files)}
    for path, size in sizes.items():
        name = path.relative_to(entry.folder).as_posix()
        limit = MAX_RECORD if name == RECORD_NAME else MAX_FILE
        if name not in listed:
            yield Problem("/files", f"file {name[:80]!r} lies beside the record, but the record does not list it")
        if path.is_symlink():
            yield Problem("/files", f"{name[:80]!r} is a link; only plain files are published")
        if size > limit:
            yield Problem("/files", f"{name[:80]!r} has {size} bytes; at most {limit} are published")
    if sum(sizes.values()) > MAX_FOLDER:
        yield Problem("", f"the folder has {sum(sizes.values())} bytes; at most {MAX_FOLDER} are published")


def _duplicates(entries: Sequence[Entry]) -> Iterator[tuple[Path, Problem]]:
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(configuration_key(entry.record), entry)
        if other is not entry:
            message = f"asks the same as {other.slug} in {other.folder.parent.name}; keep one of the two"
            yield entry.folder / RECORD_NAME, Problem("", message)


def _strays(folder: Path) -> Iterator[tuple[Path, Problem]]:
    """Yield files that belong to no record, but for plain ones at the top that a repository has of its own."""
    homes = {path.parent for path in folder.rglob(RECORD_NAME)}
    for path in sorted(folder.rglob("*")):
        own = path.parent == folder and path.name in {"README.md", ".gitignore", ".gitattributes"}
        if not _is_file(path) or (own and path.is_file() and not path.is_symlink()):
            continue
        if not any(home == path.parent or home in path.parents for home in homes):
            yield path, Problem("", "this file belongs to no record")


def _is_file(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()


def _changed(folder: Path, base: str) -> list[Path]:
    git = which("git")
    if git is None:
        raise UsageError("--base needs git, which is not installed")
    if base.startswith("-"):
        raise UsageError(f"{base!r} is not a git revision")
    root = folder.resolve()
    top = Path(_git(git, root, "rev-parse", "--show-toplevel").strip())
    listed = [
        _git(git, root, "diff", "--name-only", "--no-renames", "--merge-base", "-z", base, "--", "."),
        _git(git, root, "ls-files", "--others", "--exclude-standard", "-z", "--", "."),
    ]
    names = [name for text in listed[:1] for name in text.split("\0") if name]
    return [top / name for name in names] + [root / name for name in listed[1].split("\0") if name]


def _git(git: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed program; the revision is checked and follows options
        [git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed"]
        raise UsageError(f"git {arguments[0]}: {lines[0]}")
    return done.stdout


def _is_within(folder: Path, changed: Iterable[Path]) -> bool:
    home = folder.resolve()
    return any(home == path or home in path.parents for path in changed)
