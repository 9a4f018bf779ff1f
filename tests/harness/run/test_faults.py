"""A run that is killed, starved of disk space, or shares its store ends as an undisturbed one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 50
CELLS = 14


def mountable(place):
    """Tell whether this process may mount a file system."""
    if os.geteuid() != 0:
        return False
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True).returncode:
        return False
    return subprocess.run(["umount", place], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    place = tmp_path_factory.mktemp("small")
    command = [sys.executable, Path(__file__).with_name("forked_runs.py"), folder, str(KILLS), "7"]
    done = subprocess.run(
        [*command, *([place] if mountable(place) else [])], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_killed_at_fifty_moments_every_run_ends_the_same(found):
    assert found["code"] == 0
    trials = found["killed"]
    assert len(trials) == KILLS
    assert [trial for trial in trials if not trial["same"]] == []
    assert [trial for trial in trials if trial["rewritten"]] == []  # what was stored was not made again
    assert [trial for trial in trials if trial["reused"] != trial["stored"]] == []  # and none of it was lost
    assert len({trial["stored"] for trial in trials}) > 3  # the moments lay before, within and after the cells


@pytest.mark.slow
def test_asked_to_stop_a_run_ends_in_order_and_goes_on_with_what_it_says(found):
    trials = found["stopped"]
    assert [trial for trial in trials if trial["codes"] != [2, 0] or not trial["same"]] == []
    assert [trial for trial in trials if trial["rewritten"] or trial["unfinished"]] == []
    assert len({trial["stored"] for trial in trials}) > 2


@pytest.mark.slow
def test_a_store_that_is_emptied_under_a_run_changes_nothing(found):
    assert found["pruned"]["removed"] > 0
    assert (found["pruned"]["code"], found["pruned"]["same"]) == (0, True)


@pytest.mark.slow
def test_two_runs_at_once_on_one_store_both_end_the_same(found):
    assert found["sharing"] == [{"code": 0, "same": True}] * 2


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(found):
    if "starved" not in found:
        pytest.skip("mounting a small file system needs root")
    trials = found["starved"]
    assert [trial for trial in trials if not trial["same"] or trial["rewritten"]] == []
    full = [trial for trial in trials if trial["first"] != 0]
    assert len(full) > 3
    assert [trial for trial in full if trial["first"] != 4 or "No space left" not in trial["said"][0]] == []
    assert len({trial["stored"] for trial in full}) > 2
