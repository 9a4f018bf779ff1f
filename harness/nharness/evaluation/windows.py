"""Rolling windows: how a text longer than the model's context is cut, every counted token scored once.

Legend: `W` tokens the model reads at once, `S` tokens scored by each window after the first.

1. The text's tokens follow one prefix token (if the policy has one), which is read and never scored.
2. The first window reads W tokens and scores all that they predict; each further one scores the next S tokens and
   reads the W tokens before its last, so that every scored token after the first window sees at least W - S + 1.
3. With S = W and a prefix this is lm-eval's `loglikelihood_rolling`, whose context length is W - S + 1 = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from nharness.corpora import EncodedDocument
from nharness.errors import OptionError
from nharness.models.context import longest_context

DEFAULT_WINDOW = 2048
UNLIMITED = 1 << 40
"""Longer than any document: the length of a row that is a whole one."""


@dataclass(frozen=True)
class WindowPolicy:
    """How much context a scored token has; recorded, since it changes the numbers.

    window: W. stride: S, 1 to W. prefix: id of the token before the text; None reads none, and then the first token
    of a text is not scored although its bytes count.
    """

    window: int
    stride: int
    prefix: int | None

    def __post_init__(self) -> None:
        if self.window < 1 or not 1 <= self.stride <= self.window:
            raise OptionError(f"stride is 1 to window; got stride {self.stride}, window {self.window}")

    @property
    def provenance(self) -> dict[str, Any]:
        """The policy as JSON values."""
        return asdict(self)


def default_policy(model: Any, tokenizer: Any, *, window: int | None = None, stride: int | None = None) -> WindowPolicy:
    """Return windows of the model's context, at most `DEFAULT_WINDOW`, without overlap, after BOS (EOS if it has none).

    Raises `OptionError` for a window longer than the model's context.
    """
    longest = longest_context(model)
    if window is not None and longest is not None and window > longest:
        raise OptionError(f"window is {window} tokens, but the model reads at most {longest}: --max-length {longest}")
    chosen = window or min(longest or DEFAULT_WINDOW, DEFAULT_WINDOW)
    bos, eos = getattr(tokenizer, "bos_token_id", None), getattr(tokenizer, "eos_token_id", None)
    return WindowPolicy(window=chosen, stride=stride or chosen, prefix=eos if bos is None else bos)


def windows(document: EncodedDocument, policy: WindowPolicy) -> Iterator[EncodedDocument]:
    """Yield the document's windows: what the model reads and the last target, counted where it is scored.

    A window of n tokens is read up to its last but one; the first window carries the document's bytes.
    """
    tokens, low, high = document.tokens, document.counted_from, document.counted_to
    if policy.prefix is not None:
        tokens = np.concatenate([np.array([policy.prefix], dtype=np.int64), tokens])
        low, high = low + 1, high + 1
    done, last = max(low, 1) - 1, high - 1  # target t is tokens[t + 1]
    number = 0
    while done < last:
        end = min(last, max(policy.window, done + policy.stride))
        start = max(0, end - policy.window)
        yield replace(
            document,
            number=number,
            tokens=tokens[start : end + 1],
            counted_from=done + 1 - start,
            counted_to=end + 1 - start,
            bytes=0 if number else document.bytes,
        )
        done, number = end, number + 1
