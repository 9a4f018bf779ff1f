"""A run that takes a second: a random model of two layers with a real tokenizer, a few hundred tokens."""

import pytest

from tiny_folder import run_arguments


@pytest.fixture(scope="session")
def tiny_run(tiny_model_folder):
    """The arguments of the run."""
    return run_arguments(tiny_model_folder)
