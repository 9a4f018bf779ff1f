"""A tokenizer's chat template, filled where it can do no harm: in a process with a bound of memory and of time.

A template is a program that came with a checkpoint. It may go round without end, or ask for more memory than there is;
it may also draw at random or ask what day it is, so that prompts differ from run to run. All of it is settled in
`filling_process`; what is filled is otherwise what the tokenizer's own `apply_chat_template` gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from nharness.errors import UsageError
from nharness.evaluation.filling import MEMORY, SECONDS, Filling, TookTooMuch

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
        self._filling: Filling | None = None
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
        filling = self._filling = self._filling or self._begun()
        try:
            answer = filling.ask(asked)
        except TookTooMuch:
            self._broken = (
                f"the tokenizer's chat template takes more than {filling.most} for one prompt; expected one that ends"
            )
            raise UsageError(self._broken) from None
        if "error" in answer:
            raise UsageError(f"the tokenizer's chat template cannot be filled ({answer['error']})")
        return str(answer["text"])

    def _begun(self) -> Filling:
        try:
            template = self._tokenizer.get_chat_template()
        except ValueError as error:  # several by name, none of them the default
            raise UsageError(f"the tokenizer's chat template cannot be chosen ({error})") from error
        chat = {"template": template, "variables": dict(self._tokenizer.special_tokens_map)}
        return Filling(chat, seconds=self._seconds, memory=self._memory)
