"""`nharness run --study FILE`: every run of a study, one after the other, each in a folder of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.cli import options
from nharness.cli.collect import collect_runs
from nharness.cli.output import say
from nharness.cli.where import DEFAULT_OUT
from nharness.plugins import Plugins
from nharness.record.sources import Study
from nharness.run.plan.study import StudyFile, load_study
from nharness.run.results.folder import file_stem
from nharness.spec import RunSpec


def run_study(path: Path, plugins: Plugins, arguments: argparse.Namespace) -> int:
    """Run or, with `--collect-only`, price every run; return the worst exit code."""
    study = load_study(path)
    base = getattr(arguments, "out", None) or DEFAULT_OUT / file_stem(study.name)
    if arguments.collect_only:
        runs = {_heading(study, n): (spec, base / run_name(n, spec)) for n, spec in enumerate(study.runs)}
        collect_runs(runs, plugins, arguments)
        return 0
    from nharness.cli.session import run_and_report

    shared = options.changed(arguments, store=arguments.store or base / "store")
    described = Study(name=study.name, text=study.text, digest=study.digest)
    codes = []
    for place, spec in enumerate(study.runs):
        say(f"\n{_heading(study, place)}")
        codes.append(run_and_report(spec, plugins, shared, out=base / run_name(place, spec), study=described))
    return max(codes)


def run_name(place: int, spec: RunSpec) -> str:
    """Return the folder name of one run of a study."""
    return file_stem(f"{place + 1:02d}", Path(spec.model.name).name, Path(spec.corpus.name).stem, "+".join(spec.kinds))


def _heading(study: StudyFile, place: int) -> str:
    spec = study.runs[place]
    kinds = f", {'+'.join(spec.kinds)} neurons" if spec.kinds else ""
    return f"study {study.name!r}, run {place + 1} of {len(study.runs)}: {spec.model.name} on {spec.corpus.name}{kinds}"
