"""Writing that is all or nothing: killed before any of its lines, it leaves the old content or the new one."""

import json
import os
import subprocess
import sys
import textwrap
import time

import pytest

from nharness import atomic
from nharness.atomic import recover_folder, replaced_folder

SCRIPT = """
    import json
    import os
    import signal
    import sys
    from pathlib import Path

    from nharness import atomic

    path, old, new = Path(sys.argv[1]), b"old" * 10_000, b"new!" * 10_000
    found = []
    while True:
        path.write_bytes(old)
        pid = os.fork()
        if not pid:
            lines = 0

            def trace(frame, event, argument):
                global lines
                if frame.f_code.co_filename != atomic.__file__:
                    return None
                lines += 1
                if lines > len(found):
                    os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)
            atomic.write_bytes(path, new)
            sys.settrace(None)
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        content = path.read_bytes()
        found.append("old" if content == old else "new" if content == new else "torn")
        if not killed:
            break
    print(json.dumps(found))
"""


def test_killed_before_any_line_the_file_is_whole(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), tmp_path / "file.json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 10
    assert found == sorted(found, reverse=True)  # old until it is new, and never torn
    assert set(found) == {"old", "new"}
    assert len(list(tmp_path.glob(".file.json.*.part"))) < len(found)  # what a killed writer leaves is no entry


def test_the_mode_is_the_processes_own_and_its_mask_is_never_touched(tmp_path, monkeypatch):
    before = os.umask(0o027)
    monkeypatch.setattr(os, "umask", None)  # for a moment every thread would make files for everybody
    try:
        atomic.write_bytes(tmp_path / "file", b"x")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def old(path):
    os.utime(path, (time.time() - 60, time.time() - 60))


def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_stays(tmp_path):
    abandoned, other = tmp_path / ".file.json.0a1b2c3d.part", tmp_path / ".other.json.0a1b2c3d.part"
    written, fresh = tmp_path / ".file.json.aaaaaaaa.part", tmp_path / ".file.json.bbbbbbbb.part"
    for path in (abandoned, other, written, fresh):
        path.write_bytes(b"half")
    for path in (abandoned, other, written):
        old(path)
    with written.open("rb") as handle:
        atomic.fcntl.flock(handle, atomic.fcntl.LOCK_EX)
        atomic.write_bytes(tmp_path / "file.json", b"whole")
        assert sorted(tmp_path.iterdir()) == sorted([other, written, fresh, tmp_path / "file.json"])
        atomic.remove_abandoned(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([written, fresh, tmp_path / "file.json"])


def test_an_interrupted_writer_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_bytes(tmp_path / "file", b"x")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    goal = tmp_path / "record"
    with replaced_folder(goal) as folder:
        (folder / "a").write_text("first")

    def failing():
        with replaced_folder(goal) as folder:
            (folder / "a").write_text("second")
            raise ValueError("not valid")

    with pytest.raises(ValueError, match="not valid"):
        failing()
    assert (goal / "a").read_text() == "first"
    with replaced_folder(goal) as folder:
        (folder / "b").write_text("third")
    assert [path.name for path in goal.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_a_folder_moved_aside_by_a_killed_process_comes_back(tmp_path):
    old = tmp_path / ".record.old"
    old.mkdir()
    (old / "a").write_text("first")
    recover_folder(tmp_path / "record")
    assert (tmp_path / "record" / "a").read_text() == "first"
    assert not old.exists()
