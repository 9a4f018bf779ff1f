"""A tokenizer's chat template, filled where it can do no harm: in a process with a bound of memory and of time.

A template is a program that came with a checkpoint. It may go round without end, or ask for more memory than there is;
it may also draw at random or ask what day it is, so that prompts differ from run to run. All of it is settled in
`chat_process`; what is filled is otherwise what the tokenizer's own `apply_chat_template` gives.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from nharness.errors import UsageError

SECONDS, MEMORY = 10.0, 1 << 30
"""The most that one prompt may take."""
BEGINNING = 300.0
"""Seconds that the process may take to begin, on a machine however busy."""
PROGRAM = Path(__file__).with_name("chat_process.py")

Conversation = Sequence[Mapping[str, str]]
"""Messages, each with `role` and `content`."""


class ChatTemplate:
    """Fills one tokenizer's template, each conversation once; raises `UsageError` where the tokenizer has none.

    seconds, memory: the most that a prompt may take, beside what filling any takes. A template that took more is not
    tried again. A tokenizer that brings a way of its own instead of a template is left to it: it is code, and trusted.
    """

    def __init__(self, tokenizer: Any, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise UsageError("a chat template was requested, but the tokenizer has none")
        self._tokenizer, self._seconds, self._memory = tokenizer, seconds, memory
        self._process: subprocess.Popen[str] | None = None
        self._filled: dict[str, str] = {}
        self._broken = ""

    def fill(self, messages: Conversation, *, continued: bool = False) -> str:
        """Return the prompt for a conversation; continued: its last message is gone on with, not answered.

        Raises `UsageError` for a template that fails, or takes more time or memory than it may.
        """
        ends = {"add_generation_prompt": not continued, "continue_final_message": continued}
        if type(self._tokenizer).apply_chat_template is not PreTrainedTokenizerBase.apply_chat_template:
            return str(self._tokenizer.apply_chat_template(messages, tokenize=False, **ends))
        asked = json.dumps({"conversations": [[dict(message) for message in messages]], **ends})
        if asked not in self._filled:
            self._filled[asked] = self._ask(asked)
        return self._filled[asked]

    def _ask(self, asked: str) -> str:
        if self._broken:
            raise UsageError(self._broken)
        process = self._process = self._process or self._begin()
        answer = json.loads(_answer(process, asked, self._seconds) or '{"error": "MemoryError"}')
        if answer.get("error", "").startswith("MemoryError"):
            most = f"{self._seconds:g} s or {self._memory >> 20:,} MiB for one prompt"
            self._broken = f"the tokenizer's chat template takes more than {most}; expected one that ends"
            raise UsageError(self._broken)
        if "error" in answer:
            raise UsageError(f"the tokenizer's chat template cannot be filled ({answer['error']})")
        return str(answer["text"])

    def _begin(self) -> subprocess.Popen[str]:
        """Return the process, ready for conversations; it ends with this object, at the latest with this program."""
        try:
            template = self._tokenizer.get_chat_template()
        except ValueError as error:  # several by name, none of them the default
            raise UsageError(f"the tokenizer's chat template cannot be chosen ({error})") from error
        process = subprocess.Popen(  # noqa: S603 - this Python, a file of ours
            [sys.executable, "-P", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        weakref.finalize(self, _end, process)
        variables = dict(self._tokenizer.special_tokens_map)
        _answer(process, json.dumps({"template": template, "variables": variables, "memory": self._memory}), BEGINNING)
        return process


def _answer(process: subprocess.Popen[str], line: str, seconds: float) -> str:
    """Return the line that comes back for a line; "" from a process that ended, by itself or after so many seconds."""
    watch = threading.Timer(seconds, process.kill)
    watch.start()
    try:
        if process.stdin is None or process.stdout is None:
            return ""
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline()
    except OSError:
        return ""
    finally:
        watch.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
