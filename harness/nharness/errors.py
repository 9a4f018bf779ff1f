"""Every error a user can meet, as one tree; each leaf knows its exit code.

    NharnessError                 3  nharness itself is wrong
    |-- UsageError                4  the input is wrong: a name, an option, a file
    |   |-- UnknownNameError      4  a name nobody registered; says the nearest one
    |   |-- OptionError           4  an option out of its range; says the range
    |   |-- FileFormatError       4  a file that is damaged or of another kind
    |   |-- ModelError            4  a model that cannot be loaded, located or edited as asked
    |   |-- CorpusError           4  a corpus that is absent, empty or lacks a language
    |   |   `-- UnreachableError  4  a corpus on the hub that cannot be reached from here
    |   `-- OutputError           4  a place that cannot be written to
    |-- PluginError               4  a plug-in that does not do what its hook promises
    |-- CellError                 1  one cell failed; the rest goes on
    |-- NothingCollectedError     5  the selection is empty
    `-- InterruptedRun            2  stopped by the user; says how to go on

A message is one sentence: what was got, what was expected, the nearest right thing.
`during` attaches context (which detector, which language) once, where it is known.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class NharnessError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 3

    def within(self, context: Mapping[str, object]) -> None:
        """Put `detector ..., language ...` in front of the message, but for what it says already."""
        message = str(self.args[0]) if self.args else ""
        where = ", ".join(told for key, value in context.items() if (told := f"{key} {value}") not in message)
        self.args = (f"{where}: {message}" if where else message, *self.args[1:])


class UsageError(NharnessError):
    """The input is wrong and the user can fix it."""

    exit_code = 4


class UnknownNameError(UsageError):
    """A name that is not registered.

    Built from what was got and what exists, so that every such message has the same shape. hint: the end of the
    message where it is another than the nearest of `known`.
    """

    def __init__(self, kind: str, got: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.got, self.known = kind, got, tuple(known)
        super().__init__(f"unknown {kind} {got!r}{hint or nearest(got, self.known)}")


class OptionError(UsageError):
    """An option outside its range, or one that does not exist."""


class FileFormatError(UsageError):
    """A file that is damaged, truncated, or not of the expected format."""


class ModelError(UsageError):
    """A model that cannot be loaded, located or edited as asked."""


class CorpusError(UsageError):
    """A corpus that is absent, empty, or lacks a language or split."""


class UnreachableError(CorpusError):
    """A corpus on the hub that cannot be reached from here; a run on it can still be priced."""


class OutputError(UsageError):
    """A file or folder that cannot be written."""


class PluginError(NharnessError):
    """A plug-in that cannot be imported or breaks its hook's contract; the plug-in is named."""

    exit_code = 4


class CellError(NharnessError):
    """One cell failed; others are unaffected."""

    exit_code = 1


class NothingCollectedError(NharnessError):
    """The selection leaves no cell to run."""

    exit_code = 5


class InterruptedRun(NharnessError):  # noqa: N818 - an interruption is nobody's error
    """The user stopped the run; the message is what to type to go on."""

    exit_code = 2


def nearest(got: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"`, or the list of what exists when nothing is near, as the end of a sentence.

    What begins with the whole of `got` is nearer than what is merely spelt like it: `mgsm` is one of `mgsm_direct`, ...
    Capitals do not count. To two letters only what begins with them is near, and no other two, such as a language's.
    """
    names = sorted(known)
    longer = [name for name in names if len(got) > 2 and name.startswith((f"{got}_", f"{got}-"))]
    if longer:
        return f"; did you mean {' or '.join(map(repr, longer[:3]))}?"
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(got.casefold(), folded, n=1, cutoff=0.5 if len(got) > 2 else 1.0)
    if not close and len(got) == 2:
        close = [name for name in folded if len(name) > 2 and name.startswith(got.casefold())]
    if close:
        return f"; did you mean {folded[close[0]]!r}?"
    return f"; known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}" if names else "; none are registered"


@contextmanager
def during(**context: object) -> Iterator[None]:
    """Put `detector=..., language=...` in front of the message of any NharnessError raised inside, once per name."""
    try:
        yield
    except NharnessError as error:
        error.within(context)
        raise
