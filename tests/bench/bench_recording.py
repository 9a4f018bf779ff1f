"""Tokens per second of recording, side by side with the bare forward pass; padding of real text; on a GPU also MFU.

    python tests/bench/bench_recording.py [--model FOLDER] [--rounds 9] [--rows 4] [--length 256] [--dtype float32]

Kinds: `trunk` is the model without its LM head and nothing else, `model(x)` the whole of it, `light` activation_count and
moments at the gate, `all` every statistic but attribution. The trunk runs before and after each of the others, and each
ratio is of neighbours; the median over rounds is printed. `cpu` ratios are of the process' CPU time, which a busy machine
disturbs less than `wall` ones. FOLDER is a checkpoint that transformers loads; without one, a random model of
SmolLM2-135M's sizes is timed. With CUDA, random Llamas of 1B and 8B parameters in bfloat16 follow.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from nharness.corpora import EncodedDocument, by_document, encode, load_corpus, padding_share
from nharness.models import locate
from nharness.recording import Recorder, RecordingOptions, shards_of
from nharness.recording.batch_size import CPU_TOKENS
from nharness.recording.trunk import find_trunk

SAMPLE = Path(__file__).resolve().parents[2] / "tasks" / "nharness_tasks" / "corpora" / "sample"
LIGHT = [("activation_count", "gate"), ("moments", "gate")]
ALL = [*LIGHT, ("histogram", "gate"), ("moments", "hidden"), ("document_mean", "hidden"), ("up_magnitude", "hidden"),
       ("output_change", "hidden")]  # fmt: skip
PEAK_BF16 = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
SIZES = {  # vocabulary, width, feed-forward width, layers, heads, key-value heads
    "135M": (49152, 576, 1536, 30, 9, 3),
    "1B": (128256, 2048, 8192, 16, 32, 8),
    "8B": (128256, 4096, 14336, 32, 32, 8),
}


def random_llama(size, dtype, device):
    vocabulary, width, feed_forward, layers, heads, kv_heads = SIZES[size]
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=feed_forward, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=8192,
        tie_word_embeddings=size == "135M",
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(default)


def documents(model, rows, length):
    tokens = np.random.default_rng(0).integers(0, model.config.vocab_size, (rows, length))
    return [(EncodedDocument(f"{n}", "en", f"{n}", 0, row, 0, length, length),) for n, row in enumerate(tokens)]


def kinds_of(model, found, batch_tokens):
    neuron_map = locate(model)
    tokens = torch.from_numpy(np.stack([parts[0].tokens for parts in found])).to(model.device)
    trunk = find_trunk(model, neuron_map)

    def recording(needs):
        recorder = Recorder(model, neuron_map, needs, RecordingOptions(batch_tokens=batch_tokens))
        recorder.prepare({"en": found})
        return lambda: recorder.record_shard("en", found)

    return {
        "trunk": torch.inference_mode()(lambda: trunk(tokens)),
        "model(x)": torch.inference_mode()(lambda: model(tokens, use_cache=False)),
        "light": recording(LIGHT),
        "all": recording(ALL),
    }


def timed(run):
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(kinds, rounds):
    """Return per kind the seconds (wall, cpu), and the ratios trunk / kind (wall, cpu), one a round."""
    for run in kinds.values():
        run()
    seconds = {name: [] for name in kinds}
    ratios = {name: [] for name in kinds}
    for _ in range(rounds):
        before = timed(kinds["trunk"])
        for name in [name for name in kinds if name != "trunk"]:
            spent, after = timed(kinds[name]), timed(kinds["trunk"])
            seconds[name].append(spent)
            seconds["trunk"].append(after)
            ratios[name].append([(a + b) / 2 / c for a, b, c in zip(before, after, spent, strict=True)])
            before = after
    return seconds, ratios


def report(title, model, args, rows, length):
    found = documents(model, rows, length)
    tokens = rows * length
    seconds, ratios = measure(kinds_of(model, found, tokens), args.rounds)
    print(f"\n{title}: {rows} x {length} tokens, {model.dtype}, {torch.get_num_threads()} threads, medians of {args.rounds}")
    print(f"{'':10s} {'tokens/s wall':>14s} {'tokens/s cpu':>14s} {'trunk/kind wall':>16s} {'cpu':>6s}  range over rounds (cpu)")
    for name, spent in seconds.items():
        wall, cpu = (tokens / statistics.median(column) for column in zip(*spent, strict=True))
        line = f"{name:10s} {wall:14.0f} {cpu:14.0f}"
        if ratios[name]:
            by_wall, by_cpu = zip(*ratios[name], strict=True)
            line += f" {statistics.median(by_wall):16.3f} {statistics.median(by_cpu):6.3f}  {min(by_cpu):.3f}-{max(by_cpu):.3f}"
        print(line)
    for place, what in enumerate(("wall", "cpu")):
        pairs = [light[place] / whole[place] for light, whole in zip(ratios["light"], ratios["model(x)"], strict=True)]
        print(f"light is {statistics.median(pairs):.3f} x model(x) ({what})")
    if model.device.type == "cuda":
        weights = sum(p.numel() for name, p in model.named_parameters() if "embed" not in name and "lm_head" not in name)
        rate = tokens / statistics.median(wall for wall, _ in seconds["light"])
        card = torch.cuda.get_device_name()
        peak = next((peak for name, peak in PEAK_BF16.items() if name in card), float("nan"))
        print(f"{card}: model FLOPs utilisation of light {2 * weights * rate / peak:.1%} ({2 * weights * rate / 1e12:.0f} TFLOP/s)")


def report_text(model, tokenizer, args):
    """Real text: padding, and counted tokens a second of the whole pass, tokenising included."""
    corpus = load_corpus(SAMPLE)
    neuron_map = locate(model)
    recorder = Recorder(model, neuron_map, LIGHT, RecordingOptions(batch_tokens=CPU_TOKENS))
    for language in args.languages.split(","):
        start = time.perf_counter()
        encoded = list(encode(tokenizer, corpus.documents(language, "detect"), language=language, max_tokens=args.text_tokens))
        reading = time.perf_counter() - start
        shares = [padding_share([part for parts in shard for part in parts], max_tokens=CPU_TOKENS)
                  for shard in shards_of(by_document(encoded), 64)]  # fmt: skip
        cpu = time.process_time()
        for shard in shards_of(by_document(encoded), 64):
            recorder.record_shard(language, shard)
        cpu = time.process_time() - cpu
        counted = sum(part.counted for part in encoded)
        print(f"{language}: {len(encoded)} parts, {counted} tokens, padding {statistics.mean(shares):.1%}, "
              f"tokenised at {counted / reading:.0f}/s, recorded at {counted / cpu:.0f} tokens/s (cpu)")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--languages", default="en,zh,ru")
    parser.add_argument("--text-tokens", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    if args.model:
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype).eval()
    else:
        model = random_llama("135M", dtype, "cpu")
    report(args.model or "random model of SmolLM2-135M's sizes", model, args, args.rows, args.length)
    if args.model and args.text_tokens:
        report_text(model, AutoTokenizer.from_pretrained(args.model), args)
    if torch.cuda.is_available():
        for size, rows in (("1B", 64), ("8B", 32)):
            report(f"random Llama {size}", random_llama(size, torch.bfloat16, "cuda"), args, rows, 512)


if __name__ == "__main__":
    main()
