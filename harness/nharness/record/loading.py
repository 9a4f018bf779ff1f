"""A record file's bytes into a JSON document, refusing what is not one: size, depth, encoding, duplicate names, NaN."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from nharness.record.problems import Problem, shown

MAX_BYTES = 64_000_000
MAX_DEPTH = 24
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def parse(content: bytes) -> tuple[Any, list[Problem]]:
    """Return the document and what is wrong with the text; the document is None when it cannot be read at all."""
    if len(content) > MAX_BYTES:
        return None, [Problem("", f"the file has {len(content)} bytes; a record has at most {MAX_BYTES}")]
    if _depth(content) > MAX_DEPTH:
        return None, [Problem("", f"values are nested more than {MAX_DEPTH} levels deep")]
    problems: list[Problem] = []

    def constant(name: str) -> None:
        problems.append(Problem("", f"the text contains {name}, which is not JSON; write null and say why"))

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(items)
        if len(document) != len(items):
            twice = Counter(name for name, _ in items).most_common(1)[0][0]
            problems.append(Problem("", f"an object has the name {shown(twice)} more than once"))
        return document

    try:
        document = json.loads(content.decode("utf-8"), parse_constant=constant, object_pairs_hook=pairs)
    except UnicodeDecodeError as error:
        return None, [Problem("", f"the file is not UTF-8 text: byte {error.start} is wrong")]
    except json.JSONDecodeError as error:
        return None, [Problem("", f"the file is not JSON: {error.msg} in line {error.lineno}, column {error.colno}")]
    except (ValueError, RecursionError) as error:
        return None, [Problem("", f"the file is not JSON that can be read: {shown(str(error))}")]
    return document, list(dict.fromkeys(problems))


def _depth(content: bytes) -> int:
    deepest = depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", content)):
        depth += 1 if bracket.group() in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            break
    return deepest
