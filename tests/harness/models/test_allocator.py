"""The allocator keeps freed memory, and can be left alone."""

import os
import subprocess
import sys

import pytest

from nharness.models import allocator

CODE = """
import resource
from nharness.models.allocator import keep_freed_memory
kept = keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(32 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(int(kept), faults())
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
    assert allocator.keep_freed_memory() is False
