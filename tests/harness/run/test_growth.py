"""What a run holds on to does not grow with its cells: no handle, and next to no memory."""

import resource
from pathlib import Path

import pytest

from nharness.events import CellFinished
from nharness.plugins import Plugins
from nharness.run.line import run
from nharness.run.plan.request import RunRequest
from nharness.spec import ControlSpec, CorpusSpec, ModelSpec, Named, RunSpec

BEGUN, CELLS, EACH = 200, 1200, 10 * 1024
"""Cells after which everything is warm, cells in all, and the most bytes that one more may keep: 50 MB in 5,000."""


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="the system does not tell")
def test_handles_and_memory_do_not_grow_with_the_cells(tiny_model_folder, tmp_path):
    draws = CELLS // 4
    spec = RunSpec(
        model=ModelSpec(name=str(tiny_model_folder), max_length=64),
        corpus=CorpusSpec(detect_tokens=400, eval_tokens=60),
        languages=("en", "de"),
        detectors=(Named(name="lape", options={"top_rate": 0.2}),),
        controls=ControlSpec(draws=draws, least=draws, eval_tokens=40),
    )
    seen = []

    def listen(event):
        if isinstance(event, CellFinished):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seen.append((len(list(Path("/proc/self/fd").iterdir())), pages * resource.getpagesize()))

    run(RunRequest(spec, tmp_path / "run"), Plugins(), listen=listen)
    assert len(seen) >= CELLS
    (handles, before), (now, after) = seen[BEGUN], seen[-1]
    assert now == handles
    assert (after - before) / (len(seen) - BEGUN) < EACH
