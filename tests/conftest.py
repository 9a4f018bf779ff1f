"""What every test stands on: one thread, no network, and where the benchmark texts are."""

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

SHARED_TEXT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_text():
    """The folder of real benchmark text; the test is skipped where it is absent."""
    if not SHARED_TEXT.is_dir():
        pytest.skip("the folder of benchmark texts is not beside this checkout")
    return SHARED_TEXT


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests of a process: two of its drivers cannot run in one."""
    from browser import launched

    with launched() as found:
        yield found
