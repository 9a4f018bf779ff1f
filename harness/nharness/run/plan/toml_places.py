"""On which line of a TOML text every key and every entry of a list stands, for messages.

The text has been parsed by `tomllib` before, so it is known to be well formed; only its outline is read here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Where = tuple[str | int, ...]
_BLANK = re.compile(r"(?:[\s,]|#[^\n]*)*")
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL)
_KEY = re.compile(r'\s*(?P<part>[\w-]+|"(?:\\.|[^"\\])*"|\'[^\']*\')\s*(?P<dot>\.?)', re.ASCII)
_SCALAR = re.compile(r"[^\s,\]}#]+(?: \d[^\s,\]}#]*)?")


def lines_of(text: str) -> Mapping[Where, int]:
    """Return the line, from 1, of every key and list entry of a well-formed TOML text, by its path."""
    return _Outline(text).read()


def place_in(file: object, text: str, where: Where) -> str:
    """Return `file:line` of the deepest part of `where` that stands in the text; the file alone when none does."""
    lines = lines_of(text)
    line = next((lines[where[:length]] for length in range(len(where), 0, -1) if where[:length] in lines), None)
    return f"{file}:{line}" if line else str(file)


class _Outline:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._lines: dict[Where, int] = {}
        self._tables: dict[Where, int] = {}  # how many tables an array of tables has had

    def read(self) -> Mapping[Where, int]:
        prefix: Where = ()
        while self._skip() < len(self._text):
            if self._text[self._at] == "[":
                prefix = self._header()
            else:
                self._pair(prefix)
        return self._lines

    def _header(self) -> Where:
        double = self._text.startswith("[[", self._at)
        start, self._at = self._at, self._at + 1 + double
        path: Where = ()
        for key in self._keys():
            path = (*path, key)
            if path in self._tables:
                path = (*path, self._tables[path])
        if double:
            base = path[:-1] if isinstance(path[-1], int) else path
            self._tables[base] = self._tables.get(base, -1) + 1
            path = (*base, self._tables[base])
        self._note(path, start)
        self._at += 1 + double
        return path

    def _pair(self, prefix: Where) -> None:
        start = self._at
        path = (*prefix, *self._keys())
        self._note(path, start)
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: Where) -> None:
        self._skip()
        opening = self._text[self._at]
        if opening in "[{":
            self._at += 1
            place = 0
            while self._text[self._skip()] not in "]}":
                if opening == "{":
                    self._pair(path)
                else:
                    self._note((*path, place), self._at)
                    self._value((*path, place))
                    place += 1
            self._at += 1
        else:
            found = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            self._at = found.end() if found else len(self._text)

    def _keys(self) -> Where:
        keys: list[str] = []
        while found := _KEY.match(self._text, self._at):
            self._at = found.end()
            part = found["part"]
            keys.append(next(iter(tomllib.loads(f"{part} = 0"))))
            if not found["dot"]:
                break
        return tuple(keys)

    def _skip(self) -> int:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _note(self, path: Where, at: int) -> None:
        line = self._text.count("\n", 0, at) + 1
        for length in range(len(path), 0, -1):
            self._lines.setdefault(path[:length], line)
