"""Templates of lm-eval's tasks, filled in a process of their own: they are text from a YAML file, not a program."""

from __future__ import annotations

import base64
import json
import marshal
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import TemplateError

from nharness.evaluation.filling import Filling, TookTooMuch


class Templates:
    """Stands where lm-eval has its Jinja environment.

    A template that took more time or memory than it may is not tried again.
    """

    def __init__(self, filling: Filling) -> None:
        self._filling = filling
        self._fields: dict[str, list[str]] = {}
        self._broken: set[str] = set()

    def from_string(self, text: str) -> _Template:
        """Return what fills a template."""
        return _Template(self, text)

    def fill(self, text: str, document: dict[str, Any]) -> str:
        """Return the text for a document, of which the process is told no more than the template reads.

        Raises `TemplateError` for a template that fails, or takes more time or memory than it may.
        """
        if text not in self._fields:
            self._fields[text] = self._ask(text)["fields"]
        read = {name: document[name] for name in self._fields[text] if name in document}
        return str(self._ask(text, fields=_plain(read))["text"])

    def _ask(self, text: str, **more: str) -> dict[str, Any]:
        too_much = f"a template takes more than {self._filling.most} for one text; expected one that ends"
        if text in self._broken:
            raise TemplateError(too_much)
        try:
            answer = self._filling.ask(json.dumps({"template": text, **more}))
        except TookTooMuch:
            self._broken.add(text)
            raise TemplateError(too_much) from None
        if "error" in answer:
            raise TemplateError(answer["error"])
        return answer


def _plain(fields: dict[str, Any]) -> str:
    """Return fields as the process reads them; one of dates or the like is its text, as a template would write it."""
    try:
        return base64.b64encode(marshal.dumps(fields)).decode()
    except ValueError:
        return _plain({name: value if _is_plain(value) else str(value) for name, value in fields.items()})


def _is_plain(value: Any) -> bool:
    try:
        marshal.dumps(value)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Template:
    templates: Templates
    text: str

    def render(self, **document: Any) -> str:
        return self.templates.fill(self.text, document)


@cache
def templates() -> Templates:
    """Return the one that all of this program's tasks use."""
    return Templates(Filling())
