"""Where a run is kept by default."""

from __future__ import annotations

from pathlib import Path

from nharness.run.results.folder import file_stem
from nharness.spec import RunSpec

DEFAULT_OUT = Path("nharness-runs")
NAMED_IN_FOLDER = 3  # detectors; the names of more make no folder name


def default_out(spec: RunSpec) -> Path:
    """Return the run folder of a specification: the same specification has the same folder."""
    names = [detector.name for detector in spec.detectors]
    detectors = "-".join(names if len(names) <= NAMED_IN_FOLDER else [names[0], "and", str(len(names) - 1), "more"])
    return DEFAULT_OUT / file_stem(detectors, Path(spec.model.name).name, spec.digest()[:8])
