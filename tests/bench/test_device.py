"""The accelerator's benchmark: its count of operations against torch's own, and all of its code on a CPU."""

import importlib
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).resolve().parent


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module


@pytest.mark.parametrize(("rows", "length"), [(1, 32), (3, 24)])
def test_operations_are_those_that_torch_counts(script, rows, length):
    llamas = script("llamas")
    model = llamas.random_llama("tiny", torch.float32, "cpu")
    model.set_attn_implementation("eager")  # torch counts no fused attention on a CPU
    tokens = llamas.batch_of(llamas.documents(model.config, rows, length), "cpu")
    rotations = (
        2 * length * model.config.head_dim // 2
    )  # one product of positions and frequencies, which is not counted
    for head, run in ((True, model), (False, model.model)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run(tokens, use_cache=False)
        counted = rows * length * llamas.flops_per_token(model.config, length, head=head)
        assert counter.get_total_flops() - counted in {0, rotations}


def test_all_of_it_runs_on_a_cpu(script, capsys):
    threads = torch.get_num_threads()
    script("bench_device").main(
        [
            "--device",
            "cpu",
            "--size",
            "tiny",
            "--rows",
            "4",
            "--length",
            "16",
            "--rounds",
            "1",
            "--dtype",
            "float32",
            "--peak-tflops",
            "0.5",
        ]
    )
    assert torch.get_num_threads() == threads
    lines = capsys.readouterr().out.splitlines()
    kinds = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    assert kinds == [
        "kind",
        "trunk",
        "model(x)",
        "light",
        "all",
        "kind",
        "unedited",
        "zero, fold",
        "zero, hook",
        "constant, fold",
        "constant, hook",
    ]
    assert sum("%" in line for line in lines) == 9
    with pytest.raises(SystemExit):
        script("bench_device").main(
            ["--device", "cuda", "--size", "tiny"] if not torch.cuda.is_available() else ["--size"]
        )
