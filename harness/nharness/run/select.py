"""`-k EXPRESSION` over cell ids, with pytest's grammar: `and`, `or`, `not`, parentheses, names matched as substrings.

Matching is case-insensitive. A name may hold any character but white space and parentheses, so that `lape[zh]/zero`
and `ppl[fr]` need no quoting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nharness.errors import UsageError

_TOKEN = re.compile(r"\s*(\(|\)|[^\s()]+)")
Matcher = Callable[[str], bool]


def compile_expression(expression: str) -> Matcher:
    """Return a predicate over cell ids; raises `UsageError` with the column of the first thing out of place.

    An empty expression matches everything.
    """
    tokens = list(_tokens(expression))
    if not tokens:
        return lambda _: True
    parser = _Parser(expression, tokens)
    matcher = parser.either()
    parser.expect_end()
    return matcher


@dataclass
class _Parser:
    expression: str
    tokens: list[tuple[int, str]]
    position: int = 0

    def either(self) -> Matcher:
        left = self.both()
        while self._accept("or"):
            left = _or(left, self.both())
        return left

    def both(self) -> Matcher:
        left = self.negated()
        while self._accept("and"):
            left = _and(left, self.negated())
        return left

    def negated(self) -> Matcher:
        if self._accept("not"):
            inner = self.negated()
            return lambda text: not inner(text)
        if self._accept("("):
            inside = self.either()
            if not self._accept(")"):
                raise self._error("expected ')'")
            return inside
        return self._name()

    def _name(self) -> Matcher:
        if self.position >= len(self.tokens):
            raise self._error("expected a name, 'not' or '('")
        _, word = self.tokens[self.position]
        if word.lower() in {"and", "or", ")"}:
            raise self._error(f"expected a name, 'not' or '(', got {word!r}")
        self.position += 1
        wanted = word.lower()
        return lambda text: wanted in text.lower()

    def expect_end(self) -> None:
        if self.position < len(self.tokens):
            raise self._error(f"expected 'and', 'or' or the end, got {self.tokens[self.position][1]!r}")

    def _accept(self, word: str) -> bool:
        if self.position < len(self.tokens) and self.tokens[self.position][1] == word:
            self.position += 1
            return True
        return False

    def _error(self, message: str) -> UsageError:
        column = self.tokens[self.position][0] if self.position < len(self.tokens) else len(self.expression)
        return UsageError(f"-k {self.expression!r}: at column {column + 1}: {message}")


def _tokens(expression: str) -> Iterable[tuple[int, str]]:
    for match in _TOKEN.finditer(expression):
        yield match.start(1), match.group(1)


def _or(left: Matcher, right: Matcher) -> Matcher:
    return lambda text: left(text) or right(text)


def _and(left: Matcher, right: Matcher) -> Matcher:
    return lambda text: left(text) and right(text)
