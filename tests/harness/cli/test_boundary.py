"""What others write, and what the machine does, ends in a sentence: no internal error, no text that does anything."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nharness.cli
from nharness.cli.main import main
from nharness.cli.output import plain, say, say_json
from nharness.errors import UsageError
from nharness.run.plan.request import RunRequest
from nharness.run.results.folder import RunFolder
from nharness.spec import RunSpec

STUDY = '[study]\nmodels = ["babel"]\nlanguages = ["en", "de"]\n'


def shell(script, cwd, **options):
    command = f'nharness() {{ "{sys.executable}" -m nharness "$@"; }}; {script}'
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, cwd=cwd, timeout=120, **{"encoding": "utf-8", **options}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bits\x1b[31m per byte", r"bits\x1b[31m per byte"),
        ("a\rb\nc\r\nd", "a\\rb\nc\r\nd"),
        ("\x9b31m \u202eabc", r"\x9b31m \u202eabc"),
        ("::error::x\n \t::set-output name=a::b", "\\::error::x\n\\ \t::set-output name=a::b"),
        ("ok\n##[error]x", "ok\n#\\#[error]x"),
        ("baseline::ppl[en] \u200d é 中", "baseline::ppl[en] \u200d é 中"),
    ],
)
def test_text_of_others_moves_nothing_and_commands_nobody(text, expected, capsys):
    assert plain(text) == expected
    assert plain(expected) == expected
    say(text, end="")
    say_json({"text": text})
    printed = capsys.readouterr().out
    assert printed.startswith(expected)
    assert "\x1b" not in printed
    assert json.loads(printed.removeprefix(expected)) == {"text": text}


def test_only_one_module_prints():
    printing = re.compile(r"(?<![\w.])print\(")
    folder = Path(nharness.cli.__file__).parent
    assert [path.name for path in folder.glob("*.py") if printing.search(path.read_text())] == ["output.py"]


def test_a_table_on_a_terminal_shows_text_as_text(monkeypatch, capsys):
    from rich.text import Text

    from nharness.cli.terminal import console

    on = console()
    on.print(Text("unit \x1b]0;title\x07"))
    on.print(Text("::error::x"))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\n::" not in printed
    assert r"unit \x1b]0;title" in printed


def test_streams_that_are_closed_or_full_and_a_folder_that_is_gone(tmp_path):
    (tmp_path / "gone").mkdir()
    found = shell(
        "nharness list detectors >&-; echo $? >&2; "
        "nharness list detectors 2>&- >/dev/null; echo $? >&2; "
        "nharness list detectors >/dev/full; echo $? >&2; "
        "cd gone && rmdir ../gone && nharness list detectors; echo $? >&2; cd ..; "
        "nharness list detectors --json | head -c 5 >/dev/null; echo ${PIPESTATUS[0]} >&2; "
        r"nharness record --out $'\xff.safetensors'; echo $? >&2",
        tmp_path,
    ).stderr.splitlines()
    assert "Traceback" not in "\n".join(found)
    assert [line for line in found if line.isdigit()] == ["0", "0", "4", "4", "0", "4"]
    assert "nharness: No space left on device" in found
    assert "nharness: the working directory no longer exists; change to another one" in found
    assert "nharness: '\\udcff.safetensors' is not UTF-8; names and folders must be" in found


def test_a_configuration_or_study_that_is_too_much(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    deep = "x = " + "[" * 5000 + "]" * 5000
    (tmp_path / "deep.toml").write_text("[study]\n" + deep)
    (tmp_path / "long.toml").write_text(STUDY + "#" * 200_000)
    for name, message in [("deep", "nested too deeply to be read"), ("long", "at most 200,000 are allowed")]:
        assert main(["run", "--study", f"{name}.toml"]) == 4
        assert message in capsys.readouterr().err
    (tmp_path / "nharness.toml").write_text(deep)
    assert main(["run", "--show-config"]) == 4
    assert capsys.readouterr().err == "nharness: nharness.toml: nested too deeply to be read\n"


@pytest.mark.parametrize("text", ["[1]", "{}", '{"spec": 1}', '{"spec": {}', "[" * 100_000, "\udcff"])
def test_a_run_folder_that_says_nothing(tmp_path, monkeypatch, capsys, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    for argv in (["run", "--resume", "--out", "out"], ["collect", "out", "--out", "whole"]):
        assert main(argv) == 4
        told = capsys.readouterr().err
        assert told.startswith("nharness: out/run.json: ")
        assert told.count("\n") == 1
    with pytest.raises(UsageError):
        RunFolder(tmp_path / "out").begin(RunRequest(spec=RunSpec(), out=tmp_path / "out"), RunSpec())


def test_a_log_makes_its_folder_and_says_where_it_cannot(tiny_run, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    argv = [*tiny_run, "--out", str(tmp_path / "out"), "--log-json"]
    assert main([*argv, str(tmp_path / "file" / "log.jsonl")]) == 4
    assert f"{tmp_path / 'file'} is not a folder" in capsys.readouterr().err
    assert main([*argv, str(tmp_path)]) == 4
    assert f"{tmp_path} is a folder; expected a file" in capsys.readouterr().err


LOUD = """
    import os, sys
    from nharness import Detector, Entry, Need, hookimpl
    print("loaded")

    class Bad(Detector):
        name = "bad"
        def needs(self):
            return (Need("activation_count", "gate"),)
        def detect(self, evidence):
            print("detecting")
            if os.environ.get("BAD") == "exit":
                sys.exit(0)
            raise ValueError("no\\x1b[31m way")

    @hookimpl
    def nharness_register_detectors():
        return [Entry("bad", "bad", Bad)]

    @hookimpl
    def nharness_cell_started(cell):
        print("cell")
        if os.environ.get("BAD") == "hook":
            sys.exit(0)

    @hookimpl
    def nharness_summary(records):
        return "::error::" if os.environ.get("BAD") else None
"""


@pytest.fixture
def loud(tiny_run, tmp_path, monkeypatch):
    (tmp_path / "loud_plugin.py").write_text(textwrap.dedent(LOUD))
    monkeypatch.syspath_prepend(str(tmp_path))
    run = [word.replace("top_rate", "lape.top_rate") for word in tiny_run]
    return [*run, "-p", "loud_plugin", "--controls", "0", "--store", str(tmp_path / "store")]


def test_what_a_plugin_prints_is_not_in_the_result(loud, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BAD", "hook")
    assert main([*loud, "--json", "--out", str(tmp_path / "a")]) == 1  # exit(0) in a hook ends nothing
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["plugin_failures"] == ["plug-in 'loud_plugin' failed in nharness_cell_started: SystemExit: 0"]
    assert len(found["records"]) == 1
    assert set(found["cells"].values()) == {"passed"}
    assert printed.err.count("nharness_cell_started") == 1
    assert "cell\n" in printed.err


@pytest.mark.parametrize("how", ["exit", "error"])
def test_a_detector_that_fails_leaves_the_others_alone(loud, tmp_path, monkeypatch, capsys, how):
    monkeypatch.setenv("BAD", how)
    out = tmp_path / how
    assert main([*loud, "--detector", "bad", "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert [path.name for path in (out / "records").iterdir()] == ["lape-zero"]
    assert "6 passed, 4 failed" in printed.out
    reason = "detector bad failed: " + ("SystemExit: 0" if how == "exit" else r"ValueError: no\x1b[31m way")
    assert f"warning: {reason}" in printed.err
    assert printed.out.count(reason) == 4
    assert "detector bad: detector bad" not in printed.out + printed.err
    assert "\n\\::error::" in printed.out
    alone = [word if word != "lape" else "bad" for word in loud if word not in {"--option", "lape.top_rate=0.1"}]
    assert main([*alone, "--out", str(tmp_path / "alone")]) == 4  # nothing else is there to run
    assert capsys.readouterr().err.count("detector bad") == 1


def test_no_task_in_any_language_is_nothing_collected(tmp_path, capsys):
    argv = ["run", "--languages", "en,fr", "--tasks", "xcopa", "--out", str(tmp_path / "o")]
    assert main(argv) == 5
    assert "nothing to run: task family xcopa has no task for en, fr" in capsys.readouterr().err
