"""lm-eval's own model class over a loaded model, with what nharness needs to know of every request."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from nharness.errors import CellError, UsageError
from nharness.evaluation.chat import ChatTemplate
from nharness.evaluation.checkpoint_decoding import own_decoding
from nharness.evaluation.likelihood import Likelihoods, likelihoods_for
from nharness.models.padding import only_text, only_text_written, within
from nharness.models.streams import Streams

LOGGER = logging.getLogger("lm_eval.models.huggingface")  # what lm-eval's own class warns with
Request = Any
Item = tuple[str, int]
"""A task's name and the place of an item in it."""


class ObservedModel(HFLM):  # type: ignore[misc]  # lm-eval publishes no types
    """HFLM without progress bars: counts the tokens it reads, and knows whose prompts it cut.

    tokens: forward tokens, padding included. cut: items whose prompt was longer than the context, so that its beginning
    was left out. likelihoods: scored by `nharness.evaluation.likelihood` where the model allows it. One that is not
    finite stops it. streams: of the model, for texts that are read under edits.
    """

    def __init__(self, *, likelihoods: bool = True, streams: Streams | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.likelihoods = likelihoods
        self._streams = streams
        self.tokens = 0
        self.cut: set[Item] = set()
        self._asked: Sequence[Request] = ()
        self._long: set[str] = set()
        self._inputs: dict[tuple[int, ...], int] = {}  # lengths of what lm-eval pads with zeros, by what is left of it

    def apply_chat_template(
        self,
        chat_history: list[dict[str, str]],
        add_generation_prompt: bool = True,  # noqa: FBT001, FBT002 - lm-eval's signature
    ) -> str:
        """Return the prompt for a conversation; without its system message where the template refuses one."""
        continued = not add_generation_prompt
        try:
            return self._chat.fill(chat_history, continued=continued)
        except UsageError:
            others = [message for message in chat_history if message["role"] != "system"]
            if len(others) == len(chat_history):
                raise
            LOGGER.warning("Failed to apply chat template. removing the system role in chat history.")
            return self._chat.fill(others, continued=continued)

    @cached_property
    def _chat(self) -> ChatTemplate:
        return ChatTemplate(self.tokenizer)

    def start(self) -> None:
        """Forget the tokens counted and the prompts cut so far."""
        self.tokens, self.cut = 0, set()

    def halve(self) -> bool:
        """Halve the requests of one forward pass; False when there is only one."""
        before = int(self.batch_size)
        self.batch_size_per_gpu = max(1, before // 2)
        return int(self.batch_size) < before

    def _model_call(self, inps: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        self.tokens += inps.numel()
        longest = inps.shape[1]
        lengths = [self._inputs.get(_unpadded(row), longest) for row in inps.tolist()]
        with only_text(within(torch.tensor(lengths), longest)):
            return super()._model_call(inps, *args, **kwargs)

    def _model_generate(self, context: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        with own_decoding(self.model):
            mask = kwargs.get("attention_mask", torch.ones_like(context))
            with only_text_written(self.model, mask, _ends(self.model.generation_config)):
                written = super()._model_generate(context, *args, **kwargs)
        self.tokens += written.numel()
        return written

    def loglikelihood(self, requests: Sequence[Request], disable_tqdm: bool = True) -> Any:  # noqa: FBT001, FBT002, ARG002 - lm-eval's signature
        """Return (log-likelihood in nats, whether greedy decoding gives it) of every request."""
        self._asked = requests
        found = super().loglikelihood(requests, disable_tqdm=True)
        for likelihood, _ in found:
            if not math.isfinite(likelihood):
                raise CellError(
                    f"a log-likelihood is {likelihood}, expected a finite number; the model's logits overflow: try "
                    "dtype=float32 or a weaker intervention"
                )
        return found

    def _loglikelihood_tokens(self, requests: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        if len(self._asked) == len(requests):  # not the windows of a rolling likelihood, of which none is cut
            for asked, (_, context, continuation) in zip(self._asked, requests, strict=True):
                if len(context) + len(continuation) > self.max_length + 1:
                    self.cut.add((str(asked.task_name), int(asked.doc_id)))
            self._asked = ()
        if self.own is None:
            read = [(context + continuation)[-(self.max_length + 1) : -1] for _, context, continuation in requests]
            self._inputs = {_unpadded(tokens): len(tokens) for tokens in sorted(read, key=len)}
            return super()._loglikelihood_tokens(requests, *args, **kwargs)
        before = self.own.tokens
        pairs = [(context, continuation) for _, context, continuation in requests]
        found = self.own.score(pairs, longest=self.max_length, rows=int(self.batch_size))
        self.tokens += self.own.tokens - before
        return found

    @cached_property
    def own(self) -> Likelihoods | None:
        """Our scoring of likelihoods; None where the model does not allow it and lm-eval's own is used."""
        return likelihoods_for(self.model, self._streams) if self.likelihoods else None

    def loglikelihood_rolling(self, requests: Sequence[Request], disable_tqdm: bool = True) -> Any:  # noqa: FBT001, FBT002, ARG002 - lm-eval's signature
        """Return the log-likelihood of every text, in nats; long ones are read in windows and none is cut."""
        self._asked = ()
        return super().loglikelihood_rolling(requests, disable_tqdm=True)

    def generate_until(self, requests: Sequence[Request], disable_tqdm: bool = True) -> Any:  # noqa: FBT001, FBT002, ARG002 - lm-eval's signature
        """Return what is written after every request; one that is repeated is answered once, greedily as it is."""
        distinct = list({id(request): request for request in requests}.values())
        self._long = set()
        written = super().generate_until(distinct, disable_tqdm=True)
        answers = {id(request): text for request, text in zip(distinct, written, strict=True)}
        self.cut |= {(str(each.task_name), int(each.doc_id)) for each in distinct if each.args[0] in self._long}
        return [answers[id(request)] for request in requests]

    def tok_batch_encode(
        self, strings: list[str], padding_side: str = "left", left_truncate_len: int | None = None, **options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids and mask [rows, tokens] of prompts, their last `left_truncate_len` tokens at most."""
        ids, mask = super().tok_batch_encode(strings, padding_side, None, **options)
        if left_truncate_len:
            lengths = mask.sum(1).tolist()
            self._long |= {text for text, n in zip(strings, lengths, strict=True) if n > left_truncate_len}
            ids, mask = ids[:, -left_truncate_len:], mask[:, -left_truncate_len:]
        return ids, mask


def _unpadded(tokens: Sequence[int]) -> tuple[int, ...]:
    end = next((place for place in range(len(tokens), 0, -1) if tokens[place - 1]), 0)
    return tuple(tokens[:end])


def _ends(configured: Any) -> list[int]:
    found = getattr(configured, "eos_token_id", None)
    return [] if found is None else found if isinstance(found, list) else [found]
