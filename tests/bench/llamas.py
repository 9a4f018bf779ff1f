"""Random Llamas of known sizes, the floating-point operations of their forward pass, and what cards can do at most."""

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from nharness.corpora import EncodedDocument

SIZES = {  # vocabulary, width, feed-forward width, layers, heads, key-value heads
    "tiny": (512, 64, 160, 3, 4, 2),
    "babel": (8192, 192, 1680, 4, 6, 2),
    "135M": (49152, 576, 1536, 30, 9, 3),
    "1B": (128256, 2048, 8192, 16, 32, 8),
    "8B": (128256, 4096, 14336, 32, 32, 8),
}
PEAK_BF16 = {  # TFLOP/s of dense bfloat16 matrix products, from the makers' data sheets; the first name that fits counts
    "B200": 2250,
    "GH200": 989,
    "H200": 989,
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "RTX 4090": 165,
    "L4": 121,
}


def random_llama(size, dtype, device):
    """Return a random Llama in evaluation mode, its weights drawn where they are to lie."""
    vocabulary, width, feed_forward, layers, heads, kv_heads = SIZES[size]
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=8192,
        tie_word_embeddings=size in {"babel", "135M"},
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(default)


def add_options(parser):
    """Add which model is timed, on how much at once, and how often."""
    parser.add_argument("--model", help="folder of a checkpoint (default: random, of SmolLM2-135M's sizes)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)


def chosen_model(options):
    """Return the model that the options name, and set the threads."""
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype)
    if options.model:
        return AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype).eval()
    return random_llama("135M", dtype, "cpu")


def conditions(options, model):
    """Return what is timed and on what, for the first line of a table."""
    name = options.model or "random, sizes of SmolLM2-135M"
    return f"{name}: {options.rows} x {options.length} tokens, {model.dtype}, {torch.get_num_threads()} thread(s)"


def flops_per_token(config, length, *, head):
    """Return the floating-point operations of one token in a forward pass over rows of `length`.

    2 x parameters of the matrix products + 4 x layers x length x heads x width of a head: a multiplication and an addition
    for every weight; queries with keys and weights with values. The causal mask is not deducted, as is customary.
    `head` counts the LM head, which the trunk leaves out. Norms, rotations and activation functions are not counted.
    """
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    width, of_head = config.hidden_size, config.head_dim
    attention = width * of_head * (2 * heads + 2 * kv_heads)
    feed_forward = 3 * width * config.intermediate_size
    weights = config.num_hidden_layers * (attention + feed_forward) + (width * config.vocab_size if head else 0)
    return 2 * weights + 4 * config.num_hidden_layers * length * heads * of_head


def peak_tflops(device, given=None):
    """Return the peak of the card in TFLOP/s: `given`, else the table's, else None."""
    if given is not None or torch.device(device).type != "cuda":
        return given
    card = torch.cuda.get_device_name(device)
    return next((float(peak) for name, peak in PEAK_BF16.items() if name in card), None)


def documents(config, rows, length):
    """Return `rows` random documents of `length` tokens that all count."""
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (rows, length))
    return [(EncodedDocument(f"{n}", "en", f"{n}", 0, row, 0, length, length),) for n, row in enumerate(tokens)]


def batch_of(found, device):
    """Return the documents as one batch of token ids [rows, length]."""
    return torch.from_numpy(np.stack([parts[0].tokens for parts in found])).to(device)
