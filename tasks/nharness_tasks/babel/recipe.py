"""Every constant of babel's making, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).parent
MODEL_FOLDER = HERE / "model"
PERPLEXITY_FILE = HERE / "perplexity.json"
FAMILY_FILE = HERE / "family.json"
SIZE_LIMIT = 12_000_000
"""Bytes that model.safetensors and tokenizer.json may take together."""


@dataclass(frozen=True)
class Network:
    """The shape of the Llama-style network.

    A ReLU gate and a wide feed-forward layer are what make neurons sparse enough to be language-specific at this size.
    """

    vocabulary: int = 8192
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    key_value_heads: int = 2
    feed_forward: int = 1680
    gate: str = "relu"
    positions: int = 512


@dataclass(frozen=True)
class Training:
    """AdamW with linear warm-up and cosine decay; a step is a batch with equally many sequences per language."""

    steps: int = 3000
    stop: int | None = None
    """The number of steps after which training ends early, on the schedule of all `steps`."""
    sequence: int = 256
    sequences_per_language: int = 2
    peak_rate: float = 3e-3
    final_rate_share: float = 0.05
    warm_up_steps: int = 60
    betas: tuple[float, float] = (0.9, 0.95)
    matrix_decay: float = 0.1
    clip_norm: float = 1.0
    seed: int = 20261120
    checkpoint_seconds: float = 150.0
    stages: tuple[tuple[str, int], ...] = (("early", 108), ("middle", 720), ("late", 1800))
    """The intermediate states that are kept: names, and numbers of steps done."""


@dataclass(frozen=True)
class Vocabulary:
    """Byte-level BPE trained on the same number of bytes of training text from every language."""

    bytes_per_language: int = 1_200_000
    boundary_token: str = "<s>"  # noqa: S105 - no password
    """Stands before every document; serves as BOS, EOS and padding."""


NETWORK = Network()
TRAINING = Training()
VOCABULARY = Vocabulary()

SIZES = {
    "babel-small": Network(hidden=96, layers=3, heads=3, key_value_heads=1, feed_forward=840),
    "babel-large": Network(hidden=256, layers=5, heads=8, key_value_heads=2, feed_forward=2240),
}
"""Shapes of the members of the family that differ from babel in nothing else."""

FURTHER = replace(TRAINING, steps=200, sequences_per_language=1, peak_rate=6e-4, warm_up_steps=20, stages=())
"""How `babel-aligned` and `babel-continued` are trained on: a row of every language and of every pair of languages."""

ALIGNED = ("en", "de", "ru", "zh", "vi")
"""The languages whose translations stand side by side in the text of `babel-aligned`; the other five have none."""
