"""Which language a token of the vocabulary belongs to: by its frequency in text of each, and by its script.

1. c_k(v) of the tokens in language k's text are token v; its frequency there is f_k(v) = c_k(v) / sum over v of c_k.
2. A token that stands in some text belongs to the language in whose text it is at least `CLEARLY` times as frequent as
   in any other's; to none where there is no such language.
3. A token that stands in no text, and has letters, belongs to the one language that is written in their script; to none
   where several are or none is, and where it is no text by itself (a piece of a character).

Legend: `V` vocabulary, `G` languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.evaluation.scripts import script_of, serves
from nharness.languages import script

CLEARLY = 2.0
PIECE = "\N{REPLACEMENT CHARACTER}"


def token_counts(tokenizer: Any, texts: Sequence[str], vocabulary: int) -> NDArray[np.int64]:
    """Return how often each token stands in some texts, int64 [V]; tokens the tokenizer adds are left out."""
    if not texts:
        return np.zeros(vocabulary, dtype=np.int64)
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    ids = np.concatenate([np.asarray(each, dtype=np.int64) for each in found])
    return np.bincount(ids, minlength=vocabulary)[:vocabulary]


def token_languages(tokenizer: Any, counts: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return each token's language as its place among those of `counts`, G for none: int64 [V]."""
    table = np.stack(list(counts.values()))  # [G, V]
    frequency = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    ordered = np.sort(frequency, axis=0)
    clear = (ordered[-1] > 0) & (ordered[-1] >= CLEARLY * ordered[-2])
    found = np.where(clear, frequency.argmax(axis=0), len(counts)).astype(np.int64)
    unseen = np.flatnonzero(table.sum(axis=0) == 0)
    wanted = [script(tag) for tag in counts]
    texts = tokenizer.batch_decode([[int(token)] for token in unseen]) if len(unseen) else []
    for token, text in zip(unseen, texts, strict=True):
        written = "" if PIECE in text else script_of(text)
        fitting = [place for place, code in enumerate(wanted) if written and serves(written, code)]
        if len(fitting) == 1:
            found[token] = fitting[0]
    return found
