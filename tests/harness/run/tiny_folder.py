"""A model that takes no time, as a folder: for tests here and for the programs that they start."""

from pathlib import Path


def make_model(folder):
    """Save a random model of two layers with the tokenizer of babel."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    import nharness_tasks

    tokenizer = AutoTokenizer.from_pretrained(Path(nharness_tasks.__file__).parent / "babel" / "model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
