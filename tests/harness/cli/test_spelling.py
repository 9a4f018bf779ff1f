"""What was meant is said: options nearly right, options of lm-eval, words that stand alone, folders of runs."""

from pathlib import Path

import pytest

from nharness.cli.main import main

TWO = ["--languages", "en,de"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run lape", "run: unexpected 'lape'; did you mean --detector lape?"),
        ("run xcopa", "run: unexpected 'xcopa'; did you mean --tasks xcopa?"),
        ("run study.toml", "run: unexpected 'study.toml'; did you mean --study study.toml?"),
        ("run n.safetensors", "did you mean --detector file:n.safetensors?"),
        ("run --languages en de fr --seed 1", "'de' stands alone; a list is one word: --languages en,de,fr"),
        ("run --detectr lape", "unknown option --detectr; did you mean --detector?"),
        ("run --det lape", "unknown option --det; did you mean --detect-tokens?"),
        ("run --qqqqq", "unknown option --qqqqq; see --help for the known options"),
        ("run --languages en,de --detector LAPE", "unknown detector 'LAPE'; did you mean 'lape'?"),
        ("run --study .", "is a folder; expected a study's TOML file, or a name of nharness list studies"),
        ("detect --detector lape", "unknown option --detector; the detector stands alone, without it"),
        ("--versoin", "unknown option --versoin; did you mean '--version'?"),
        ("list detectors --jsn", "unknown option --jsn; did you mean --json?"),
        ("list detectors lape more", "list: unexpected 'more'; nharness list --help shows what is expected"),
        ("run --batch_size 8", "unknown option --batch_size; batches are measured in tokens: use --batch-tokens N"),
        ("run --log_samples", "unknown option --log_samples; every item is kept in the record's folder"),
        ("run --gen_kwargs a=1", "unknown option --gen_kwargs; decoding is greedy"),
        (
            "run --model hf --model_args pretrained=a/b,dtype=float32",
            "--model names the model itself: --model a/b --model-args dtype=float32",
        ),
        ("run --model hf", "--model names the model itself: --model NAME"),
        ("run --languages en,de --limit 0.1", "--limit is '0.1'; expected a whole number at least 1"),
        ("run --languages en,de --tasks mgsm", "did you mean 'mgsm_direct' or 'mgsm_native_cot'?"),
        ("run --languages en,de --detector n.safetensors", "n.safetensors is a file; expected file:n.safetensors"),
        ("run --languages en,de --detector m.pth", "nharness import masks converts it to a neurons file"),
    ],
)
def test_what_to_type_is_said(line, message, capsys):
    assert main(line.split()) == 4
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_choice_that_is_none_is_told_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["leaderboard", "biuld"])
    assert "did you mean 'build'?; see nharness leaderboard --help" in capsys.readouterr().err


def test_lm_evals_spellings_mean_what_ours_mean(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    theirs = "--num_fewshot 2 --limit 5 --model_args dtype=float32 --apply_chat_template --trust_remote_code --seed 1"
    ours = theirs.replace("_", "-")
    shown = []
    for line in (theirs, ours):
        assert main(["run", "--show-config", *line.split(), "--output_path", "x"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "num-fewshot\t2\tcommand line" in shown[0]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--device", "cuda:99"], "no device 'cuda:99' here"),
        (["--model", "./nowhere"], "no model folder './nowhere'"),
        (["--model-args", "dtyp=float32"], "unknown model argument 'dtyp'"),
        (["--model-args", "revision=step1000"], "revision=step1000 has no effect"),
        (["--model-args", "dtype=float32", "--dtype", "bfloat16"], "dtype is float32 among the model arguments"),
        (["--workers", "3"], "the local executor uses one process; --workers 3 needs --executor ray"),
        (["--executor-args", "cpus=2"], "the local executor takes no options"),
        (["--executor", "rey"], "unknown executor 'rey'; did you mean 'ray'?"),
        (["--model", "MODEL.gguf"], "'MODEL.gguf' is damaged or no GGUF file: it does not begin with GGUF"),
        (["--model", "FILE"], "'FILE' is a file; expected a folder with config.json and weights, a GGUF file"),
        (["--out", "FILE"], "--out FILE: FILE is not a folder"),
        (["--out", "FILE/x"], "--out FILE/x: FILE is not a folder"),
        (["--store", "FILE"], "--store FILE: FILE is not a folder"),
        (["--log-json", "."], "--log-json . is a folder; expected a file"),
        (["--dataset-dir", "nowhere"], "--dataset-dir nowhere is not a folder"),
        (["--apply-chat-template"], "the tokenizer of 'babel' has no chat template"),
    ],
)
def test_collect_only_refuses_what_the_run_would_refuse(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FILE", "MODEL.gguf"):
        (tmp_path / name).write_text("text")
    assert main(["run", "--collect-only", *TWO, *argv]) == 4
    assert message in capsys.readouterr().err


def test_folds_are_held_against_the_text_before_a_model_is_loaded(tmp_path, capsys):
    for split in ("detect", "eval"):
        for tag in ("en", "de"):
            path = tmp_path / "corpus" / split / f"{tag}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"one {split} {tag}\n\ntwo {split} {tag}\n")
    argv = ["run", "--collect-only", "--corpus", str(tmp_path / "corpus"), *TWO]
    assert main([*argv, "-q"]) == 0
    capsys.readouterr()
    for more, parts in (["--folds", "3"], 3), (["--null"], 8):
        assert main([*argv, *more]) == 4
        told = capsys.readouterr().err
        assert f"into {parts} blocks of at least one document; en has " in told
        assert "ask for fewer, or use a corpus with more documents" in told


def test_last_failed_is_collected_as_it_is_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = ["run", "--collect-only", "--lf", *TWO, "--tasks", "ppl", "--controls", "0", "--out", "out"]
    assert main([*argv, "-q"]) == 0
    assert capsys.readouterr().out.startswith("6 cells")  # nothing failed: all of them
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "failed.json").write_text('["lape[de]/zero::ppl[en]"]')
    assert main([*argv, "-q"]) == 0
    assert capsys.readouterr().out.startswith("2 cells")  # that one and its baseline
    (tmp_path / "out" / "failed.json").write_text('["lape[fr]/zero::ppl[en]"]')
    assert main(argv) == 5
    assert "none of the 1 cells that failed last time is in this plan" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before_anything_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nharness.cli.record.load_plugins", lambda _: pytest.fail("the place was not looked at first"))
    (tmp_path / "FILE").write_text("text")
    for line, message in (
        ("record --out .", "--out . is a folder; expected a file"),
        ("record --out FILE/s.safetensors", "--out FILE/s.safetensors: FILE is not a folder"),
        ("record --out s.safetensors --store FILE", "--store FILE: FILE is not a folder"),
        ("leaderboard add x --results FILE", "--results FILE: FILE is not a folder"),
    ):
        assert main(line.split()) == 4
        assert message in capsys.readouterr().err
    (tmp_path / "shut").mkdir(mode=0o500)
    monkeypatch.setattr("os.access", lambda place, _: Path(place).name != "shut")  # who is root may write everywhere
    assert main(["run", "--collect-only", "--languages", "en,de", "--out", "shut/x"]) == 4
    assert "--out shut/x: folder shut cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("statistic", "told"),
    [
        ("momentz@hidden", "unknown statistic 'momentz'; did you mean 'moments'?"),
        ("mine:Largest", "'mine:Largest' is no name of a statistic; load the plug-in that registers it with -p mine"),
    ],
)
def test_a_statistic_that_nobody_registered_is_told_before_a_model_is_loaded(statistic, told, tmp_path, capsys):
    out = str(tmp_path / "s.safetensors")
    assert main(["record", "--statistics", statistic, "--model", "/no/such/model", "--out", out]) == 4
    assert told in capsys.readouterr().err
