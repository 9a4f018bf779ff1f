"""The process that fills a chat template: a line of JSON in, a line of JSON out, no more memory than it was given.

Run by `nharness.evaluation.chat`, as a file, so that nothing is imported but what fills templates. Chance and the
calendar are the same in every run: the random generator begins anew with every prompt, and the day is one day.
"""

import json
import random
import resource
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from transformers.utils import chat_template_utils

DAY = datetime(2024, 7, 26)  # noqa: DTZ001 - what `strftime_now` gives has no zone either
"""The day that templates are told it is: the one that Llama's writes where none is told."""


def _limit(memory: int) -> None:
    """Let this process have so many bytes more than it has now, where the system can hold it to that."""
    with suppress(OSError, ValueError):
        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))


def _filled(template: str, variables: dict[str, Any], asked: dict[str, Any]) -> str:
    random.seed(0)
    compiled = chat_template_utils._compile_jinja_template(template)  # noqa: SLF001 - its calendar can be set nowhere else
    compiled.environment.globals["strftime_now"] = DAY.strftime
    found = chat_template_utils.render_jinja_template(chat_template=template, **asked, **variables)
    return str((found[0] if isinstance(found, tuple) else found)[0])


def serve() -> None:
    """Say that it has begun, then answer every conversation that comes in, until no more come."""
    begun = json.loads(sys.stdin.readline())
    _limit(begun["memory"])
    _answer({"text": ""})
    for line in sys.stdin:
        try:
            answer = {"text": _filled(begun["template"], begun["variables"], json.loads(line))}
        except Exception as error:  # noqa: BLE001 - whatever a template does is told, and ends nothing
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        _answer(answer)


def _answer(answer: dict[str, str]) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
