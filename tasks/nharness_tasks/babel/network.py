"""The network, and the folder in which it is shipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from nharness_tasks.babel.recipe import Network
from nharness_tasks.babel.vocabulary import BOUNDARY_ID, save_tokenizer


def settings(shape: Network) -> dict[str, Any]:
    """The entries of a Llama configuration that say the network's shape."""
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.hidden // shape.heads,
        "intermediate_size": shape.feed_forward,
        "hidden_act": shape.gate,
        "max_position_embeddings": shape.positions,
    }


def new_network(shape: Network, seed: int) -> LlamaForCausalLM:
    """A freshly initialised network in float32."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            **settings(shape),
            tie_word_embeddings=True,
            bos_token_id=BOUNDARY_ID,
            eos_token_id=BOUNDARY_ID,
            pad_token_id=None,
            use_cache=True,
        )
    )


def write_settings(folder: Path, shape: Network) -> None:
    """Put the network's shape into the folder's configuration."""
    file = folder / "config.json"
    document = json.loads(file.read_text(encoding="utf-8")) | settings(shape)
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def save_folder(network: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path, limit: int | None = None) -> None:
    """Write weights in bfloat16, configuration and tokenizer, replacing the folder at once.

    Raises `ValueError` if model.safetensors and tokenizer.json together exceed `limit` bytes.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shipped = new_network_like(network)
    shipped.save_pretrained(partial)
    settings = {"bos_token_id": BOUNDARY_ID, "eos_token_id": BOUNDARY_ID}
    (partial / "generation_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    save_tokenizer(tokenizer, partial)
    for file in partial.iterdir():
        file.chmod(0o644)  # the weights' file is written for its owner alone
    size = sum((partial / name).stat().st_size for name in ("model.safetensors", "tokenizer.json"))
    if limit is not None and size > limit:
        raise ValueError(f"model.safetensors and tokenizer.json take {size} bytes, more than the {limit} allowed")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def new_network_like(network: LlamaForCausalLM) -> LlamaForCausalLM:
    """A copy of the network in bfloat16; the original is unchanged."""
    copy = LlamaForCausalLM(network.config)
    copy.load_state_dict(network.state_dict())
    return copy.bfloat16()
