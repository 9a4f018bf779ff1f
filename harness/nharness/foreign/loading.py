"""Opening a file written by `torch.save`: tensors, numbers, lists and dictionaries, and no code.

`weights_only=True` refuses everything else, so that a downloaded file can do nothing but be read.
"""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nharness.errors import FileFormatError

DEEPEST = 8  # lists within lists


def load_torch(path: Path) -> Any:
    """Return the file's content on the CPU.

    Raises `FileFormatError` for a file that is absent, damaged, or holds anything beyond tensors and plain containers.
    """
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file; expected one written by torch.save")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on the age of the pickle protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))  # torch's own message goes on to explain how to run it
        reason = f"it asks for {asked[1]}" if asked else "or is damaged"
        raise FileFormatError(f"{path}: refused, since it holds more than tensors ({reason})") from error
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise FileFormatError(f"{path}: damaged, or not written by torch.save") from error


def whole_numbers(path: Path, value: Any, what: str, *, most: int) -> NDArray[np.int64]:
    """Return a tensor or list as int64; raises `FileFormatError` naming `what` when it holds no whole numbers.

    So it does for more than `most` of them, before they take any memory: a few bytes may stand for any number.
    """
    size = value.numel() if isinstance(value, torch.Tensor) else _length(value)
    if size > most:
        raise FileFormatError(f"{path}: {what} has {size:,} values, expected at most {most:,}")
    try:
        array = value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{path}: {what} is not an array of numbers ({error})") from error
    if array.dtype.kind not in "iuf" or (array.size and (array != np.floor(array)).any()):
        raise FileFormatError(f"{path}: {what} has {array.dtype} values, expected whole numbers")
    return np.asarray(array, dtype=np.int64)


def _length(value: Any) -> int:
    """Return how many numbers a list holds, lists in it counted as often as they stand there."""
    known: dict[int, int] = {}

    def count(part: Any, depth: int) -> int:
        if not isinstance(part, list | tuple) or depth > DEEPEST:
            return 1
        if id(part) not in known:
            known[id(part)] = sum(count(each, depth + 1) for each in part)
        return known[id(part)]

    return count(value, 0)
