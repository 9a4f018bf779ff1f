"""The run folder: what it remembers when a run ends badly, and what it takes away when one begins."""

import os
import time

import pytest

from nharness.errors import OutputError
from nharness.run.plan.request import RunRequest
from nharness.run.results import folder as under_test
from nharness.run.results.folder import RunFolder
from nharness.spec import RunSpec


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
