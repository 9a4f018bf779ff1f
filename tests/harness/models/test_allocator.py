"""The allocator keeps freed memory, few compiled kernels are kept, and both can be left alone."""

import os
import subprocess
import sys

import pytest

from nharness.models import allocator

CODE = """
import resource
from nharness.models.allocator import save_memory
kept = save_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(32 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(int(kept), faults())
"""


KERNELS = """
import runpy
import sys
import torch
runpy.run_path(sys.argv[1])["save_memory"]()
weight = torch.ones(192, 192, dtype=torch.bfloat16)
for _ in range(2):
    for rows in range(16, 16 * 101, 16):
        torch.ones(rows, 192, dtype=torch.bfloat16) @ weight
"""


def kept(switch):
    environment = {**os.environ, "NHARNESS_MALLOC": switch}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment)
    return [int(each) for each in done.stdout.split()]


@pytest.mark.skipif(allocator.platform.libc_ver()[0] != "glibc", reason="the C library is another one")
def test_freed_memory_is_not_faulted_in_again():
    told, faults = kept("1")
    left, usual = kept("0")
    assert (told, left) == (1, 0)
    assert faults < usual / 10 or usual < 100


def test_where_there_is_no_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    for name in allocator.CAPACITIES:
        monkeypatch.setenv(name, "64")
    assert allocator.save_memory() is False


def compiled(**environment):
    """Return how many kernels two rounds of a hundred products of distinct shapes compile."""
    inherited = {name: value for name, value in os.environ.items() if name not in allocator.CAPACITIES}
    done = subprocess.run(
        [sys.executable, "-c", KERNELS, allocator.__file__],
        capture_output=True,
        text=True,
        check=True,
        env={**inherited, "ONEDNN_VERBOSE": "profile_create", **environment},
    )
    return done.stdout.count("create:cache_miss")


def test_of_compiled_kernels_the_last_few_are_kept():
    left = compiled(NHARNESS_MALLOC="0")
    if not left:
        pytest.skip("torch multiplies bfloat16 without oneDNN here")
    assert compiled(NHARNESS_MALLOC="1") == 2 * left
    assert compiled(NHARNESS_MALLOC="1", **dict.fromkeys(allocator.CAPACITIES, "1024")) == left
