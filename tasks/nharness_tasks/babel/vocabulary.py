"""The tokenizer: byte-level BPE, one boundary token before every document."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from nharness_tasks.babel.recipe import NETWORK, TRAINING, VOCABULARY
from nharness_tasks.corpora.splits import Edition

BOUNDARY_ID = 0


def train_tokenizer(train: Edition) -> Tokenizer:
    """A tokenizer of `NETWORK.vocabulary` entries whose every encoding begins with the boundary token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=NETWORK.vocabulary,
        special_tokens=[VOCABULARY.boundary_token],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_balanced(train), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{VOCABULARY.boundary_token} $A",
        pair=f"{VOCABULARY.boundary_token} $A {VOCABULARY.boundary_token} $B",
        special_tokens=[(VOCABULARY.boundary_token, BOUNDARY_ID)],
    )
    return tokenizer


def _balanced(train: Edition) -> Iterator[str]:
    for language, pages in train.items():
        order = random.Random(f"{TRAINING.seed}/{language}").sample(pages, len(pages))  # noqa: S311 - no cryptography
        left = VOCABULARY.bytes_per_language
        for page in order:
            if left <= 0:
                break
            yield page.text
            left -= len(page.text.encode("utf-8"))


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json` (without white space) and `tokenizer_config.json`, which AutoTokenizer loads."""
    compact = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(compact, encoding="utf-8")
    boundary = VOCABULARY.boundary_token
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": boundary,
        "eos_token": boundary,
        "pad_token": boundary,
        "clean_up_tokenization_spaces": False,
        "model_max_length": NETWORK.positions,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
