"""The documentation's hook table says what the hook specifications say."""

import inspect
import re
from pathlib import Path

from nharness import hookspecs

PAGE = Path(__file__).resolve().parents[1] / "docs" / "plugins.md"


def specified():
    return {
        name: list(inspect.signature(function).parameters)
        for name, function in vars(hookspecs).items()
        if name.startswith("nharness_") and callable(function)
    }


def documented():
    rows = re.findall(r"^\| `(nharness_\w+)\(([^)]*)\)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: [part.strip() for part in arguments.split(",") if part.strip()] for name, arguments in rows}


def test_every_hook_is_in_the_table_in_call_order():
    assert list(documented().items()) == list(specified().items())


def test_every_hook_says_when_it_is_called():
    for name in specified():
        assert re.search(r"[Cc]alled (once|before|after)", getattr(hookspecs, name).__doc__), name
