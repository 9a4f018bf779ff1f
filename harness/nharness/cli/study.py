"""`nharness run --study NAME|FILE`: every run of a study, one after the other, each in a folder of its own.

After the last run the study's findings, claims on the records of all runs together, are printed as one table.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nharness.claims import Held, finite, hold
from nharness.cli.cells_shown import show_runs
from nharness.cli.found import record_files
from nharness.cli.options import USUAL_VARIANT, changed
from nharness.cli.output import print_table, say, say_json, tell
from nharness.cli.where import DEFAULT_OUT
from nharness.errors import FileFormatError, UnknownNameError, UsageError, nearest
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.record.sources import Study
from nharness.record.validate import load_record
from nharness.run.plan.study import StudyFile, load_study
from nharness.run.results.folder import file_stem
from nharness.spec import RunSpec


def run_study(path: Path, plugins: Plugins, arguments: argparse.Namespace, *, strict: bool = False) -> int:
    """Run or, with `--collect-only`, price every run; return the worst exit code, that of a finding that fails too.

    strict: a finding that is undecided counts as one that fails.
    """
    study = load_study(study_file(path, arguments.variant, plugins))
    for name in study.findings:
        if name not in plugins.entries("claims"):
            raise UnknownNameError("claim", name, plugins.entries("claims"))
    base = getattr(arguments, "out", None) or DEFAULT_OUT / file_stem(study.name)
    if arguments.collect_only:
        runs = {_heading(study, n): (spec, base / run_name(n, spec)) for n, spec in enumerate(study.runs)}
        show_runs(runs, plugins, arguments)
        return 0
    from nharness.cli.session import run_and_report

    arguments = changed(arguments, store=arguments.store or base / "store")
    described = Study(name=study.name, text=study.text, digest=study.digest)
    codes = []
    for place, spec in enumerate(study.runs):
        say(f"\n{_heading(study, place)}")
        codes.append(run_and_report(spec, plugins, arguments, out=base / run_name(place, spec), study=described))
    if study.findings and not arguments.shard:
        strict = strict or any(spec.strict_claims for spec in study.runs)
        folders = [base / run_name(*each) for each in enumerate(study.runs)]
        codes.append(_found(study, folders, plugins, json=arguments.json, strict=strict))
    return max(codes)


def study_file(given: Path, variant: str | None, plugins: Plugins) -> Path:
    """Return the file of a study that is given by its path or by its registered name.

    Raises `UnknownNameError` for neither, `UsageError` for a variant that does not exist.
    """
    name = str(given)
    if given.is_file() or name not in plugins.entries("studies"):
        if variant is not None:
            raise UsageError(f"--variant chooses a variant of a named study; {name} is a file")
        if given.is_dir():
            raise UsageError(f"{name} is a folder; expected a study's TOML file, or a name of nharness list studies")
        if not given.suffix:
            raise UnknownNameError("study", name, plugins.entries("studies"))
        return given
    found: Path = plugins.resolve("studies", name)
    if not found.is_dir():
        if variant is not None:
            raise UsageError(f"study {name} has no variants; leave out --variant {variant}")
        return found
    variants = sorted(path.stem for path in found.glob("*.toml"))
    chosen = variant or USUAL_VARIANT
    if chosen not in variants:
        raise UsageError(
            f"study {name} has no variant {chosen!r}{nearest(chosen, variants)}; there are {', '.join(variants)}"
        )
    return found / f"{chosen}.toml"


def _found(study: StudyFile, folders: Sequence[Path], plugins: Plugins, *, json: bool, strict: bool) -> int:
    """Print the verdict on every finding; 1 where one fails, or, asked strictly, is undecided or about nothing."""
    records = [record for folder in folders for record in _records(folder)]
    held = hold(study.findings, records, plugins.makers("claims"))
    printed = [_row(each) for each in held if each.finding is not None]
    missing = [f"{each.claim.name}: not measured; it needs {each.claim.needs}" for each in held if each.finding is None]
    if json:
        say_json({"study": study.name, "findings": printed, "not measured": missing})
    else:
        say(f"\nstudy {study.name!r}: what the paper claims, and what {len(records)} records say")
        print_table(printed)
    for line in missing:
        tell(line)
    bad = {"fails", "undecided"} if strict else {"fails"}
    return int(bool(missing) or any(row["verdict"] in bad for row in printed))


def _row(held: Held) -> dict[str, object]:
    claim, found = held.claim, held.finding
    if found is None:
        return {}
    return {
        "claim": claim.name,
        "verdict": found.verdict,
        "number": next(iter(found.numbers.values()), None),
        "interval": finite(found.interval),
        "in the paper": claim.printed,
        "by model": ", ".join(f"{model} {each.verdict}" for model, each in held.by_model.items()),
        "what is claimed": claim.statement,
        "rule": f"{', '.join(f'{name} {value:.4g}' for name, value in found.numbers.items())}; {found.rule}",
    }


def _records(folder: Path) -> list[Record]:
    try:
        return [load_record(path) for path in record_files(folder)]
    except FileFormatError:
        return []  # no record was written, which the run has said


def run_name(place: int, spec: RunSpec) -> str:
    """Return the folder name of one run of a study."""
    return file_stem(f"{place + 1:02d}", Path(spec.model.name).name, Path(spec.corpus.name).stem, "+".join(spec.kinds))


def _heading(study: StudyFile, place: int) -> str:
    spec = study.runs[place]
    kinds = f", {'+'.join(spec.kinds)} neurons" if spec.kinds else ""
    return f"study {study.name!r}, run {place + 1} of {len(study.runs)}: {spec.model.name} on {spec.corpus.name}{kinds}"
