"""A model that takes no time: two random layers with a real tokenizer."""

from pathlib import Path

import pytest

from tiny_folder import make_model


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory):
    """A folder with a random two-layer model and babel's tokenizer."""
    folder: Path = tmp_path_factory.mktemp("tiny")
    make_model(folder)
    return folder
