"""A model that takes no time, as a folder, and a run of it: for tests here and for the programs that they start."""

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


def run_arguments(model):
    """Return the arguments of a run that takes a second, of 14 cells: 2 baselines, 4 target cells, 8 control cells."""
    sizes = "--detect-tokens 400 --eval-tokens 250 --control-tokens 120 --max-length 128 --controls 2"
    found = f"run --detector lape --option top_rate=0.1 --languages en,de {sizes} --tasks ppl --bootstrap-draws 100"
    return [*found.split(), "--model", str(model), "-q"]
