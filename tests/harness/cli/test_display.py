"""What is shown while a run runs: shares, rates and times by a clock made for the test, and a real run on a terminal."""

import io
import os
import pty
import re
import threading

import pytest
from rich.console import Console

from nharness.cells import Cell, CellOutcome, Edition
from nharness.cli.display import PlainDisplay
from nharness.cli.live import LiveDisplay
from nharness.cli.main import main
from nharness.cli.pace import Pace, duration
from nharness.events import CellFinished, Collected, Noted, StageAdvanced, StageFinished, StageStarted


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self):
        return self.now


def collected(cells, whole, languages=("en", "de")):
    return Collected(cells, whole, 2, 8, 12345, ("lape",), ("zero",), ("ppl",), languages)


def cell(target="en", language="de", control=None):
    return Cell(Edition("lape", target, "zero", control), "ppl", language)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (7, "0:07"), (750, "12:30"), (3750, "1:02:30"), (183_840, "2 d 03:04")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_rate_and_time_left():
    clock = Clock()
    pace = Pace(1000, "tokens", clock)
    assert (pace.share, pace.text) == (0, "")
    clock.now = 2
    pace.advance(200, 400)
    assert (pace.share, pace.text) == (0.2, "200 tokens/s, 0:08 left")
    clock.now = 4
    pace.advance(900, 0)
    assert (pace.share, pace.text) == (1, "100 tokens/s")
    assert Pace(0, "", clock).share is None


def test_what_came_out_of_the_store_at_once_does_not_promise_a_swift_end():
    clock = Clock()
    pace = Pace(1000, "cells", clock)
    for _ in range(500):
        pace.advance(1, 0)
    for _ in range(200):
        clock.now += 1
        pace.advance(1, 10)
    assert re.fullmatch(r"10 tokens/s, [45]:\d\d left", pace.text)


def test_lines_come_ever_more_seldom():
    clock = Clock()
    pace = Pace(1, "tokens", clock)
    told = []
    while clock.now < 7 * 86_400:
        clock.now += 5
        if pace.due():
            told.append(clock.now)
    assert told[:3] == [10, 20, 30]
    assert len(told) < 110


def test_a_piped_stage_says_how_far_it_is():
    clock, stream = Clock(), io.StringIO()
    display = PlainDisplay(stream=stream, clock=clock, columns=80)
    display(StageStarted("record", 300_000, "tokens"))
    for _ in range(6):
        clock.now += 5
        display(StageAdvanced("record", 30_000, 30_000))
    display(StageFinished("record", 30.0, False, "180,000 tokens"))
    assert stream.getvalue().splitlines() == [
        "record: [ 20%] 6,000 tokens/s, 0:40 left",
        "record: [ 40%] 6,000 tokens/s, 0:30 left",
        "record: [ 60%] 6,000 tokens/s, 0:20 left",
        "record: 180,000 tokens (30.0 s)",
    ]


def test_letters_end_with_the_share_like_pytests():
    clock, stream = Clock(), io.StringIO()
    display = PlainDisplay(stream=stream, clock=clock, columns=70)
    display(collected(100, 114))
    display(StageStarted("evaluate", 100, "cells"))
    for number in range(50):
        clock.now += 0.1
        display(StageAdvanced("evaluate", 1, 100))
        display(
            CellFinished(cell(), CellOutcome("failed" if number == 3 else "skipped" if number == 4 else "passed"), None)
        )
    display(Noted("warning", "something"))
    clock.now += 100
    display(StageAdvanced("evaluate", 1, 100))
    display(CellFinished(cell(), CellOutcome("passed"), None))
    display.close()
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith(
        "collected 114 cells / 14 deselected / 100 selected: 2 baselines, 90 of targets, 8 of random controls; at most 12,345"
    )
    assert lines[1] == "detectors: lape; interventions: zero; tasks: ppl; languages: en, de"
    assert lines[2] == "...Fs......................... [ 30%] 1,000 tokens/s, 0:07 left"
    assert lines[3] == "....................           [ 50%] 1,000 tokens/s, 0:05 left"
    assert lines[4] == "warning: something"
    assert lines[5].startswith("." + " " * 29 + " [ 51%] ")  # slow cells end their line early
    assert max(map(len, lines[2:])) <= 70


def test_time_left_is_a_bound_where_cells_may_not_be_needed():
    clock, stream = Clock(), io.StringIO()
    display = PlainDisplay(stream=stream, clock=clock, columns=70)
    display(StageStarted("evaluate", 100, "cells at most"))
    for _ in range(30):
        clock.now += 0.1
        display(StageAdvanced("evaluate", 1, 100))
        display(CellFinished(cell(), CellOutcome("passed"), None))
    display.close()
    assert stream.getvalue().splitlines() == [30 * "." + " [ 30%] 1,000 tokens/s, under 0:07 left"]


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [(-1, ["warning: w"]), (1, ["lape[en]/zero::ppl[de] PASSED +0.2500 (reused) [ 50%]", "warning: w", "note: n"])],
)
def test_quiet_and_verbose(verbosity, shown):
    stream = io.StringIO()
    display = PlainDisplay(verbosity=verbosity, stream=stream, clock=Clock())
    display(StageStarted("evaluate", 2, "cells"))
    display(StageAdvanced("evaluate", 1))
    display(CellFinished(cell(), CellOutcome("passed", reused=True), 0.25))
    display(Noted("warning", "w"))
    display(Noted("note", "n"))
    display.close()
    assert stream.getvalue().splitlines() == shown


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("number", [2, 10, 30])
def test_the_live_matrix_fits_any_terminal(width, number):
    languages = [f"{chr(97 + place // 20)}{chr(97 + place % 20)}" for place in range(number)]
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=24, force_terminal=True, color_system=None)
    display = LiveDisplay(console)
    display(collected(19, 19, tuple(languages)))
    display(StageStarted("evaluate", number * number, "cells"))
    for target in languages:
        for place, language in enumerate(languages):
            display(StageAdvanced("evaluate", 1, 10))
            display(CellFinished(cell(target, language), CellOutcome("passed" if place else "failed"), 0.125))
    display.close()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n")
    assert max(map(len, plain.splitlines())) <= width
    assert "lape/zero::ppl (change so far)" in plain
    assert f"{number**2:,}/{number**2:,} cells" in plain
    assert ("+0.125" in plain) == ((width >= 80 and number <= 10) or number == 2)
    assert "FAILED lape[aa]/zero::ppl[aa]" in plain


def test_a_run_on_a_terminal_shows_its_own_bars_and_no_others(tiny_run, tmp_path, monkeypatch, capsys):
    """The real thing on a pseudo-terminal: everything it writes is read back."""
    master, slave = pty.openpty()
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(iter(lambda: os.read(master, 65536), b"end")))
    reader.start()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        assert main([*tiny_run[:-1], "--out", str(tmp_path / "o")]) == 0
        monkeypatch.undo()
        terminal.flush()
        capsys.readouterr()
        threading.Event().wait(0.2)
        terminal.write("end")
        terminal.flush()
        reader.join(10)
    os.close(master)
    text = b"".join(seen).decode()
    assert "Loading weights" not in text
    assert "collected 14 cells: 2 baselines, 4 of targets, 8 of random controls" in text
    assert "float32 on cpu" in text
    assert "evaluate" in text
    assert "\x1b[" in text
