"""The run folder: what it remembers when a run ends badly, and what it takes away when one begins."""

import os
import time

import pytest

from nharness.errors import NharnessError, OutputError
from nharness.plugins import Plugins
from nharness.record.problems import Problem
from nharness.run.line import run
from nharness.run.plan.request import RunRequest
from nharness.run.results import folder as under_test
from nharness.run.results import writer
from nharness.run.results.folder import RunFolder
from nharness.spec import ControlSpec, CorpusSpec, ModelSpec, RunSpec


def test_a_full_disk_is_told_by_the_file_that_did_not_fit(tmp_path, monkeypatch):
    def full(path, _):
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(under_test, "write_json", full)
    with pytest.raises(OutputError, match=r"cannot write cells/a\.json"), RunFolder(tmp_path).remembering(list):
        raise OutputError("cannot write cells/a.json: No space left on device")
    with pytest.raises(OutputError, match=r"failed\.json"), RunFolder(tmp_path).remembering(list):
        pass


def test_what_a_killed_run_was_writing_is_gone_when_it_goes_on(tmp_path):
    request = RunRequest(spec=RunSpec(), out=tmp_path / "out")
    RunFolder(request.out).begin(request, request.spec)
    left = request.out / "records" / "lape-zero" / ".record.json.0a1b2c3d.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 60, time.time() - 60))
    RunFolder(request.out).begin(request, request.spec)
    assert not left.exists()


def test_a_record_that_is_not_valid_is_kept_aside_and_takes_no_valid_ones_place(
    tiny_model_folder, tmp_path, monkeypatch
):
    spec = RunSpec(
        model=ModelSpec(name=str(tiny_model_folder), max_length=64),
        corpus=CorpusSpec(detect_tokens=300, eval_tokens=60),
        languages=("en", "de"),
        controls=ControlSpec(draws=0, least=0),
    )
    ((path, _),) = run(RunRequest(spec, tmp_path / "run"), Plugins()).records.items()
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    monkeypatch.setattr(writer, "validate_bytes", lambda _: (None, [Problem("/cells/0", "made up")]))
    with pytest.raises(NharnessError, match="the record of lape-zero is not valid: /cells/0: made up"):
        run(RunRequest(spec, tmp_path / "run"), Plugins())
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    assert sorted(each.name for each in path.parent.parent.iterdir()) == ["lape-zero", "lape-zero.invalid.json"]
