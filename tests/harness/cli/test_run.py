"""`nharness run` as a user meets it: real model, real text, real processes."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nharness.cli.main import main

SMALL = [
    "--languages",
    "en,de,zh",
    "--detect-tokens",
    "1500",
    "--eval-tokens",
    "500",
    "--control-tokens",
    "250",
    "--bootstrap-draws",
    "200",
    "--tasks",
    "ppl",
]


def nharness(*argv, **options):
    command = [sys.executable, "-m", "nharness", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def records_of(out):
    """Return the records of a run without what may differ between two runs of the same specification."""
    found = {}
    for path in sorted((out / "records").glob("*/record.json")):
        document = json.loads(path.read_text())
        for part in ("created", "command"):
            del document["identity"][part]
        del document["identity"]["id"], document["cost"], document["detector"]["seconds"]
        found[path.parent.name] = document
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    done = nharness("run", "--detector", "lape,top-mean", "--controls", 3, *SMALL, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done


def test_a_run_prints_a_matrix_and_writes_valid_records(finished):
    out, done = finished
    assert "lape / zero on babel :: ppl" in done.stdout
    assert f"record: {out}/records/lape-zero/record.json" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr  # piped: plain
    assert main(["validate", "--deep", *map(str, sorted((out / "records").glob("*/record.json")))]) == 0


def test_a_third_party_detector_runs_like_any_other(finished):
    record = json.loads((finished[0] / "records" / "top-mean-zero" / "record.json").read_text())
    assert record["detector"]["plugin"] == "nharness_top_mean"
    assert record["detector"]["distribution"] == "nharness-top-mean 0.2.0"
    assert record["summary"][0]["selectivity"]["value"] > 0


def test_every_cell_was_edited_and_has_its_controls(finished):
    record = json.loads((finished[0] / "records" / "lape-zero" / "record.json").read_text())
    assert len(record["cells"]) == 9
    for cell in record["cells"]:
        assert cell["status"] == "ok"
        assert cell["edited_activations"] > 0 or "empty_target" in cell["flags"]
        assert "empty_target" in cell["flags"] or cell["control"]["draws"] == 3


def test_the_same_run_again_takes_everything_from_the_store(finished):
    out, _ = finished
    before = records_of(out)
    again = nharness("run", "--resume", "--out", out)
    assert again.returncode == 0, again.stderr
    assert "record: " in again.stderr
    assert "(reused)" in again.stderr
    cells = before["lape-zero"]["cells"]
    assert records_of(out)["lape-zero"]["cells"] == cells
    assert records_of(out) == before


def test_another_specification_needs_another_folder(finished, capsys):
    assert main(["run", "--detector", "lape", "--out", str(finished[0])]) == 4
    assert "holds a run with another specification" in capsys.readouterr().err


def test_a_killed_run_goes_on_and_ends_the_same(finished, tmp_path):
    out = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "nharness",
        "run",
        "--detector",
        "lape,top-mean",
        "--controls",
        "3",
        *SMALL,
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while len(list(out.glob("store/cells/*/*.json"))) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = len(list(out.glob("store/cells/*/*.json")))
    assert stored >= 4
    again = nharness("run", "--resume", "--out", out, "--log-json", tmp_path / "log.jsonl")
    assert again.returncode == 0, again.stderr
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "CellFinished" and event["reused"] for event in events) >= stored
    assert records_of(out) == records_of(finished[0])


def test_ctrl_c_stops_after_the_cell_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "stopped"
    command = [
        sys.executable,
        "-m",
        "nharness",
        "run",
        "--detector",
        "lape",
        *SMALL,
        "--eval-tokens",
        "4000",
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not list(out.glob("store/cells/*/*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert f"continue with: nharness run --resume --out {out}" in err
    assert "Traceback" not in err
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--detector", "lapse"], "unknown detector 'lapse'; did you mean 'lape'?"),
        (["--detector", "lape", "--languages", "en,dd"], "unknown language 'dd'"),
        (["--detector", "lape", "--languages", "en,th"], "unknown language of corpus 'sample' 'th'"),
        (["--detector", "lape", "--languages", "en"], "needs at least 2; got en"),
        (["--detector", "lape", "--languages", "en,eng"], "language 'en' is named more than once"),
        (["--detector", "lape", "--model", "babbel"], "did you mean 'babel'?"),
        (["--detector", "lape", "--model", "./no/such/folder"], "no model folder './no/such/folder'"),
        (
            ["--detector", "lape", "--model-args", "dtyp=float32"],
            "unknown model argument 'dtyp'; did you mean 'dtype'?",
        ),
        (["--detector", "lape", "--option", "top_rate=2"], "top_rate is 2; expected a number above 0 and at most 1"),
        (["--detector", "lape", "--corpus", "./nowhere"], "'nowhere'"),
        (["--detector", "lape", "--tasks", "xcoppa"], "did you mean 'xcopa'?"),
        (["--detector", "lape", "--budget", "3"], "--budget is 3.0"),
        (["--detector", "lape", "--strength", "0.5"], "intervention zero has no strength to sweep"),
        (["--detector", "file:nowhere.safetensors"], "nowhere.safetensors: no such file"),
        (["--detector", "lape", "-k", "nothing_like_it"], "matches none of"),
        (["--detector", "lape", "-k", "lape and"], "at column 9"),
        (["--detector", "lape", "--device", "cuda:99"], "no device 'cuda:99' here"),
        (
            ["--detector", "lape", "--control-tasks", "pppl"],
            "unknown task of --control-tasks 'pppl'; did you mean 'ppl'?",
        ),
        (["--detector", "lape", "--option", "ran.top_rate=0.1"], "unknown owner of option 'ran.top_rate' 'ran'"),
        (["--detector", "lape", "--claim", "selectivty > 0"], "did you mean 'selectivity'?"),
    ],
)
def test_wrong_input_gets_one_sentence(argv, message, tmp_path, capsys):
    code = main(
        ["run", *argv, *([] if "--languages" in argv else ["--languages", "en,de"]), "--out", str(tmp_path / "o")]
    )
    printed = capsys.readouterr().err
    assert code == (5 if argv[-2] == "-k" and "none of" in message else 4)
    last = printed.strip().splitlines()[-1]
    assert last.startswith("nharness: ")
    assert message in last
    assert "Traceback" not in printed


@pytest.fixture
def corpus(tmp_path):
    """A corpus folder of the shipped layout with little text."""
    for split in ("detect", "eval"):
        for tag, word in (("en", "house"), ("de", "Haus")):
            path = tmp_path / "corpus" / split / f"{tag}.jsonl.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps({"id": f"{split}{n}", "text": f"{word} {n} {split} " * 20}) for n in range(5)]
            path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return tmp_path / "corpus"


def test_a_corpus_with_an_empty_language_says_which(corpus, tmp_path, capsys):
    (corpus / "eval" / "de.jsonl.gz").write_bytes(gzip.compress(b""))
    assert main(["run", "--detector", "lape", "--corpus", str(corpus), "--out", str(tmp_path / "o")]) == 4
    assert "no document of language 'de' in split 'eval'" in capsys.readouterr().err


def test_damaged_weights_say_so(tmp_path, capsys):
    import nharness_tasks

    folder = tmp_path / "model"
    shutil.copytree(Path(nharness_tasks.__file__).parent / "babel" / "model", folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert (
        main(
            ["run", "--detector", "lape", "--model", str(folder), "--languages", "en,de", "--out", str(tmp_path / "o")]
        )
        == 4
    )
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "model.safetensors" in last or "cannot be loaded" in last


def test_a_place_that_cannot_be_written_says_so(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["run", "--detector", "lape", "--languages", "en,de", "--out", str(tmp_path / "file")]) == 4
    assert "is not a folder" in capsys.readouterr().err


def test_overlap_of_detection_and_evaluation_text_is_in_the_record(corpus, tmp_path):
    lines = gzip.decompress((corpus / "detect" / "en.jsonl.gz").read_bytes())
    kept = gzip.decompress((corpus / "eval" / "en.jsonl.gz").read_bytes())
    (corpus / "eval" / "en.jsonl.gz").write_bytes(
        gzip.compress(kept + b"\n" + lines.replace(b"detect0", b"copied0", 1))
    )
    out = tmp_path / "o"
    assert main(["run", "--detector", "lape", "--corpus", str(corpus), "--controls", "0", "--out", str(out), "-q"]) == 0
    overlap = records_of(out)["lape-zero"]["corpus"]["overlap"]
    assert [(entry["language"], entry["documents"]) for entry in overlap] == [("en", 5)]


def test_claims_decide_the_exit_code(finished, tmp_path, capsys):
    argv = ["run", "--detector", "lape", "--controls", "0", *SMALL, "--store", str(finished[0] / "store")]
    assert main([*argv, "--claim", "diagonal_share >= 0", "--out", str(tmp_path / "a"), "-q"]) == 0
    assert main([*argv, "--claim", "diagonal_share > 1", "--out", str(tmp_path / "b"), "-q"]) == 1
    assert "claim FAILS: lape ppl: diagonal_share > 1" in capsys.readouterr().out


def test_a_read_only_folder_says_so(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    done = nharness("run", "--detector", "lape", "--languages", "en,de", "--out", tmp_path / "o")
    assert done.returncode == 4


@pytest.mark.parametrize("argv", [["--detector", ""], ["--detector", "lape", "--tasks", ""]])
def test_nothing_to_run_is_nothing_collected(argv, tmp_path, capsys):
    assert main(["run", *argv, "--languages", "en,de", "--out", str(tmp_path / "o")]) == 5
    assert "nothing to run" in capsys.readouterr().err
