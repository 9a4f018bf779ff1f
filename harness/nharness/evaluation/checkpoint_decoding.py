"""Put aside what a checkpoint says of decoding, so that equal weights write equal text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import GenerationConfig

from nharness.replacing import replaced

MARKS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


@contextmanager
def own_decoding(model: Any) -> Iterator[None]:
    """Let nothing of the checkpoint's generation configuration count but the marks it names; undone afterwards."""
    theirs = getattr(model, "generation_config", None)
    if theirs is None:
        yield
        return
    marks = {name: getattr(theirs, name, None) for name in MARKS}
    own = GenerationConfig(**marks)  # type: ignore[no-untyped-call]
    with replaced(model, "generation_config", own):
        yield
