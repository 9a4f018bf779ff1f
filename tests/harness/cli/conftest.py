"""A run that takes a second: a random model of two layers with a real tokenizer, a few hundred tokens."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory):
    """A folder with a random two-layer model and babel's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    import nharness_tasks

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(Path(nharness_tasks.__file__).parent / "babel" / "model")
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
                         num_key_value_heads=2, eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_run(tiny_model_folder):
    """The arguments of a run of 14 cells: 2 baselines, 4 target cells, 8 control cells."""
    return [
        "run", "--detector", "lape", "--option", "top_rate=0.1", "--model", str(tiny_model_folder), "--languages", "en,de",
        "--detect-tokens", "400", "--eval-tokens", "250", "--control-tokens", "120", "--max-length", "128", "--tasks", "ppl",
        "--controls", "2", "--bootstrap-draws", "100", "-q",
    ]  # fmt: skip
