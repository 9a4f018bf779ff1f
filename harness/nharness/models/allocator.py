"""Memory on a CPU: freed blocks are kept for the next tensors, and of compiled kernels only the last are kept.

The GNU C library maps every large block afresh and returns it when it is freed, so that each logits tensor is paid for
in page faults: a forward pass of a small model takes up to twice as long. oneDNN, and torch's interface to it, keep the
last 1,024 kernels each, of 0.6 MB, one for every shape of a matrix product. `NHARNESS_MALLOC=0` leaves both alone.
"""

from __future__ import annotations

import ctypes
import os
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # malloc.h
SWITCH = "NHARNESS_MALLOC"
PAD = 64 << 20
"""Bytes that the heap grows by at least; they take no memory before they are written to."""
KERNELS = 32
CAPACITIES = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"
"""Environment variables that say how many kernels oneDNN keeps, and torch; read at the first product."""


def save_memory() -> bool:
    """Let the process keep freed blocks, and `KERNELS` kernels, and tell whether it keeps blocks.

    What the environment says of kernels stands. Blocks are not kept where the C library is another one; nothing happens
    where `NHARNESS_MALLOC` is 0.
    """
    if os.environ.get(SWITCH) == "0":
        return False
    for name in CAPACITIES:
        os.environ.setdefault(name, str(KERNELS))
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all([library.mallopt(MMAP_MAX, 0), library.mallopt(TRIM_THRESHOLD, -1), library.mallopt(TOP_PAD, PAD)])
