"""How many tokens a model reads at once, and how many rows of a batch may share a forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

LIMITS = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_target_positions",
    "max_sequence_length",
)
"""What configurations call the largest number of positions; one that is not above 0 stands for no limit."""


def text_config(config: Any) -> Any:
    """Return the part of a model's configuration that is of its language model; all of it where it has no parts."""
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def vocabulary_of(model: Any) -> int:
    """Return how many token ids a model knows: the rows of its input embeddings, else what its configuration says."""
    embeddings = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    rows = next(iter(getattr(getattr(embeddings, "weight", None), "shape", ())), None)
    return int(text_config(model.config).vocab_size if rows is None else rows)


def longest_context(model: Any) -> int | None:
    """Return the tokens that a model can read at once, None where neither configuration nor weights limit it.

    Where positions are counted from behind the padding token, as roberta does, a table of n positions holds fewer.
    """
    text = text_config(model.config)
    limits = [getattr(text, name, None) for name in LIMITS]
    said = next((limit for limit in limits if isinstance(limit, int) and limit > 0), None)
    return None if said is None else min((said, *_tables(model, said)))


def _tables(model: Any, positions: int) -> Iterator[int]:
    """Yield how many positions each table of `positions` rows leaves that starts behind its padding row."""
    tokens = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module is not tokens and module.num_embeddings == positions:
            yield positions - (0 if module.padding_idx is None else module.padding_idx + 1)


def shared_length(config: Any) -> int | None:
    """Return the length up to which rows of a batch do not change each other's positions; None where none ever do.

    With "longrope" one row beyond the original context changes the frequencies of every row in the batch.
    """
    text = text_config(config)
    found = [_original(text, each) for each in _rotary(getattr(text, "rope_parameters", None))]
    return min((length for length in found if length is not None), default=None)


def _rotary(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the rotary parameters of a configuration, one or one per type of layer."""
    if not isinstance(parameters, Mapping):
        return
    yield parameters
    yield from (each for each in parameters.values() if isinstance(each, Mapping))


def _original(text: Any, rotary: Mapping[str, Any]) -> int | None:
    if rotary.get("rope_type", rotary.get("type")) not in ("longrope", "su"):
        return None
    given = rotary.get("original_max_position_embeddings", getattr(text, "original_max_position_embeddings", None))
    return int(given) if given else None
