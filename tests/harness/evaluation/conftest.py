"""Tiny random models and a byte-level tokenizer, built here; nothing is downloaded."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from nharness.corpora import Document

TEXTS = [
    "The cat sat on the mat and looked at the dog.",
    "Die Katze saß auf der Matte.",
    "猫坐在垫子上。",
    "Кошка сидела на коврике и смотрела на собаку, а собака спала.",
    "x",
    "A much longer text that runs over several windows of the model. " * 6,
]


SIZES: dict[str, Any] = {
    "vocab_size": 258,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def byte_tokenizer(**special):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<s>", "</s>", *alphabet]
    tokenizer = Tokenizer(models.BPE(vocab={name: place for place, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{"bos_token": "<s>", "eos_token": "</s>", **special})


def llama(**changes):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES | changes)).eval()


@pytest.fixture(scope="session")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture
def model():
    return llama()


@pytest.fixture(scope="session")
def documents():
    return [Document(id=f"page{place // 2}#{place}", text=text) for place, text in enumerate(TEXTS)]
