"""What was meant is said: options nearly right, options of lm-eval, words that stand alone, folders of runs."""

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
        (["--apply-chat-template"], "the tokenizer of 'babel' has no chat template"),
    ],
)
def test_collect_only_refuses_what_the_run_would_refuse(argv, message, capsys):
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
