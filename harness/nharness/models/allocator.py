"""The allocator of the GNU C library, told to keep the memory that large tensors are made in.

By default it maps every large block afresh and returns it when it is freed, so that each logits tensor is paid for in
page faults: a forward pass of a small model takes up to twice as long. `NHARNESS_MALLOC=0` leaves it alone.
"""

from __future__ import annotations

import ctypes
import os
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # malloc.h
SWITCH = "NHARNESS_MALLOC"
PAD = 64 << 20
"""Bytes that the heap grows by at least; they take no memory before they are written to."""


def keep_freed_memory() -> bool:
    """Let the process keep freed blocks for the next tensors, and tell whether it does.

    Nothing happens where the C library is another one, or where `NHARNESS_MALLOC` is 0.
    """
    if os.environ.get(SWITCH) == "0" or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all([library.mallopt(MMAP_MAX, 0), library.mallopt(TRIM_THRESHOLD, -1), library.mallopt(TOP_PAD, PAD)])
