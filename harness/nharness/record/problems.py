"""One problem of a document: where, as a JSON pointer (RFC 6901), and what, as a plain sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_PROBLEMS = 500


@dataclass(frozen=True, order=True)
class Problem:
    """`pointer` is "" for the document itself; `message` is one sentence without a line break."""

    pointer: str
    message: str

    def __str__(self) -> str:
        """Return place and message as one line: names in the pointer come from the file, control characters too."""
        return f"{shown(self.pointer or '/', limit=200)[1:-1]}: {self.message}"


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer to a place, escaping `~` and `/` in names."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def shown(value: object, *, limit: int = 80) -> str:
    """Return a value as it may stand in a message: one line, ASCII, no longer than `limit` characters."""
    text = ascii(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def unique(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems in the order found, each once, at most `MAX_PROBLEMS` and then how many more there are."""
    found = list(dict.fromkeys(problems))
    if len(found) <= MAX_PROBLEMS:
        return found
    return [*found[:MAX_PROBLEMS], Problem("", f"and {len(found) - MAX_PROBLEMS} further problems")]
