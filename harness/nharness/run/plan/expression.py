r"""`-k EXPRESSION` over cell ids, with pytest's grammar: `and`, `or`, `not`, parentheses, names matched as substrings.

    expression: [either] END
    either:     both ("or" both)*
    both:       negated ("and" negated)*
    negated:    "not" negated | "(" either ")" | NAME
    NAME:       letters, digits and any of _ : + - . [ ] \ / as in pytest, and @ and ~, which cell ids have

The three words are operators in small letters only; names match in any case. `lape[zh]/zero` and `ppl[fr]` need no
quoting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nharness.errors import UsageError

_TOKEN = re.compile(r"[ \t]*(?:(?P<sign>[()])|(?P<word>(?:\w|[-:+.\[\]\\/@~])+)|(?P<other>[^ \t]))")
_OPERATORS = frozenset({"and", "or", "not"})
DEEPEST = 100
Matcher = Callable[[str], bool]


def compile_expression(expression: str) -> Matcher:
    """Return a predicate over cell ids; raises `UsageError` with the column of the first thing out of place.

    An empty expression matches everything. Parentheses and `not` nest at most `DEEPEST` deep.
    """
    if not expression.strip():
        return lambda _: True
    parser = _Parser(expression, list(_tokens(expression)))
    matcher = parser.either()
    parser.expect_end()
    return matcher


@dataclass
class _Parser:
    expression: str
    tokens: list[tuple[int, str, bool]]  # column from 0, text, whether it is a name
    position: int = 0
    depth: int = 0

    def either(self) -> Matcher:
        parts = [self._both()]
        while self._accept("or"):
            parts.append(self._both())
        return lambda text: any(part(text) for part in parts)

    def expect_end(self) -> None:
        if self.position < len(self.tokens):
            raise self._error("expected 'and', 'or' or the end")

    def _both(self) -> Matcher:
        parts = [self._negated()]
        while self._accept("and"):
            parts.append(self._negated())
        return lambda text: all(part(text) for part in parts)

    def _negated(self) -> Matcher:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._error(f"nested more than {DEEPEST} deep")
        found = self._operand()
        self.depth -= 1
        return found

    def _operand(self) -> Matcher:
        if self._accept("not"):
            inner = self._negated()
            return lambda text: not inner(text)
        if self._accept("("):
            inside = self.either()
            if not self._accept(")"):
                raise self._error("expected 'and', 'or' or ')'")
            return inside
        if self.position >= len(self.tokens) or not self.tokens[self.position][2]:
            raise self._error("expected a name, 'not' or '('")
        wanted = self.tokens[self.position][1].lower()
        self.position += 1
        return lambda text: wanted in text.lower()

    def _accept(self, word: str) -> bool:
        if self.position < len(self.tokens) and self.tokens[self.position][1] == word:
            self.position += 1
            return True
        return False

    def _error(self, message: str) -> UsageError:
        here = self.tokens[self.position :]
        column, got = (here[0][0], f"got {here[0][1]!r}") if here else (len(self.expression), "got nothing")
        return UsageError(f"-k {self.expression!r}: at column {column + 1}: {message}, {got}")


def _tokens(expression: str) -> Iterable[tuple[int, str, bool]]:
    for match in _TOKEN.finditer(expression):
        text = match[match.lastgroup or 0]
        yield match.end() - len(text), text, match.lastgroup == "word" and text not in _OPERATORS
