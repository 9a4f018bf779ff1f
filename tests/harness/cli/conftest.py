"""A run that takes a second: a random model of two layers with a real tokenizer, a few hundred tokens."""

import pytest


@pytest.fixture(scope="session")
def tiny_run(tiny_model_folder):
    """The arguments of a run of 14 cells: 2 baselines, 4 target cells, 8 control cells."""
    return [
        "run",
        "--detector",
        "lape",
        "--option",
        "top_rate=0.1",
        "--model",
        str(tiny_model_folder),
        "--languages",
        "en,de",
        "--detect-tokens",
        "400",
        "--eval-tokens",
        "250",
        "--control-tokens",
        "120",
        "--max-length",
        "128",
        "--tasks",
        "ppl",
        "--controls",
        "2",
        "--bootstrap-draws",
        "100",
        "-q",
    ]
