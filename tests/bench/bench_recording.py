"""Tokens per second of recording, side by side with the bare forward pass; padding of real text.

    python tests/bench/bench_recording.py [--model FOLDER] [--rounds 9] [--rows 4] [--length 256] [--dtype float32]

Kinds: `trunk` is the model without its LM head and nothing else, `model(x)` the whole of it, `light` activation_count and
moments at the gate, `all` every statistic but attribution and relevance. FOLDER is a checkpoint that transformers loads;
without one, a random model of SmolLM2-135M's sizes is timed. How: see interleaved.py. On a GPU: bench_device.py.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from history import keep
from interleaved import Clock, measure, named, table
from llamas import add_options, batch_of, chosen_model, conditions, documents
from transformers import AutoTokenizer
from workloads import ALL, LIGHT, recording

from nharness.corpora import CPU_TOKENS, Room, by_document, encode, load_corpus, padding_share
from nharness.models import locate
from nharness.recording import Recorder, RecordingOptions, shards_of
from nharness.recording.trunk import find_trunk

SAMPLE = Path(__file__).resolve().parents[2] / "tasks" / "nharness_tasks" / "corpora" / "sample"


def compare(model, rows, length, rounds):
    """Return the seconds and ratios of all kinds."""
    neuron_map = locate(model)
    found = documents(model.config, rows, length)
    tokens, trunk = batch_of(found, model.device), find_trunk(model, neuron_map)
    kinds = {
        "model(x)": torch.inference_mode()(lambda: model(tokens, use_cache=False)),
        "light": recording(model, neuron_map, found, LIGHT),
        "all": recording(model, neuron_map, found, ALL),
    }
    base = ("trunk", torch.inference_mode()(lambda: trunk(tokens)))
    return measure(Clock(model.device), base, kinds, rounds)


def over_whole(ratios):
    """Return how many times as fast as `model(x)` light recording is, from neighbours in time."""
    pairs = zip(ratios["light"], ratios["model(x)"], strict=True)
    return statistics.median(light / whole for light, whole in pairs)


def report_text(model, tokenizer, args):
    """Print, for real text, its padding and the counted tokens a second of the whole pass, tokenising included."""
    corpus = load_corpus(SAMPLE)
    neuron_map = locate(model)
    recorder = Recorder(model, neuron_map, LIGHT, RecordingOptions(batch_tokens=CPU_TOKENS))
    for language in args.languages.split(","):
        start = time.perf_counter()
        encoded = list(
            encode(tokenizer, corpus.documents(language, "detect"), language=language, max_tokens=args.text_tokens)
        )
        reading = time.perf_counter() - start
        shares = [
            padding_share([part for parts in shard for part in parts], Room(CPU_TOKENS))
            for shard in shards_of(by_document(encoded), 64)
        ]
        cpu = time.process_time()
        for shard in shards_of(by_document(encoded), 64):
            recorder.record_shard(language, shard)
        cpu = time.process_time() - cpu
        counted = sum(part.counted for part in encoded)
        print(
            f"{language}: {len(encoded)} parts, {counted} tokens, padding {statistics.mean(shares):.1%}, "
            f"tokenised at {counted / reading:.0f}/s, recorded at {counted / cpu:.0f} tokens/s (cpu)"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--languages", default="en,zh,ru")
    parser.add_argument("--text-tokens", type=int, default=0)
    args = parser.parse_args()
    model = chosen_model(args)
    seconds, ratios = compare(model, args.rows, args.length, args.rounds)
    print(f"{conditions(args, model)}, medians of {args.rounds} rounds\n")
    print("\n".join(table(args.rows * args.length, seconds, ratios)))
    keep({"recording: light of model(x)": over_whole(ratios)} | named("recording", "trunk", ratios))
    if args.model and args.text_tokens:
        report_text(model, AutoTokenizer.from_pretrained(args.model), args)


if __name__ == "__main__":
    main()
