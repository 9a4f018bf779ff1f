"""The process that fills templates: a line of JSON in, a line of JSON out, no more memory than it was given.

Run by `nharness.evaluation.filling`, as a file, so that nothing is imported but what fills templates: a tokenizer's
chat template, or templates of lm-eval's tasks. Chance and the calendar are the same in every run: the random generator
begins anew with every text, and the day is one day.
"""

import base64
import json
import marshal
import random
import re
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

DAY = datetime(2024, 7, 26)  # noqa: DTZ001 - what `strftime_now` gives has no zone either
"""The day that templates are told it is: the one that Llama's writes where none is told."""
LONGEST = 1 << 24
"""The most characters that a text may have."""
Answer = dict[str, Any]


def _limit(memory: int) -> None:
    """Let this process have so many bytes more than it has now, where the system can hold it to that."""
    with suppress(OSError, ValueError):
        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))


def chat(template: str, variables: dict[str, Any]) -> Callable[[Answer], Answer]:
    """Return what fills a chat template with conversations."""
    from transformers.utils import chat_template_utils  # noqa: PLC0415 - seconds, which tasks' templates need not wait

    def filled(asked: Answer) -> Answer:
        compiled = chat_template_utils._compile_jinja_template(template)  # noqa: SLF001 - its calendar can be set nowhere else
        compiled.environment.globals["strftime_now"] = DAY.strftime
        found = chat_template_utils.render_jinja_template(chat_template=template, **asked, **variables)
        return {"text": str((found[0] if isinstance(found, tuple) else found)[0])}

    return filled


def tasks() -> Callable[[Answer], Answer]:
    """Return what fills templates of tasks: which fields one reads, or with these, the text."""
    from jinja2 import StrictUndefined, meta  # noqa: PLC0415 - as above: each of the two has what it needs
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    sealed = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    sealed.filters["regex_replace"] = _regex_replace
    compiled = cache(sealed.from_string)

    def filled(asked: Answer) -> Answer:
        if "fields" not in asked:
            return {"fields": sorted(meta.find_undeclared_variables(sealed.parse(asked["template"])))}
        fields = marshal.loads(base64.b64decode(asked["fields"]))  # noqa: S302 - from the process that began this one
        return {"text": compiled(asked["template"]).render(**fields)}

    return filled


def _regex_replace(string: str, pattern: str, repl: str, count: int = 0) -> str:
    """Do what lm-eval's filter of that name does."""
    return re.sub(pattern, repl, string, count=count)


def serve() -> None:
    """Say that it has begun, then answer every line that comes in, until no more come."""
    begun = json.loads(sys.stdin.readline())
    fill = chat(**begun["chat"]) if begun["chat"] else tasks()
    _limit(begun["memory"])
    _say({})
    for line in sys.stdin:
        random.seed(0)
        try:
            answer = fill(json.loads(line))
            if len(answer.get("text", "")) > LONGEST:
                answer = {"error": "MemoryError"}
        except Exception as error:  # noqa: BLE001 - whatever a template does is told, and ends nothing
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        _say(answer)


def _say(answer: Answer) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
