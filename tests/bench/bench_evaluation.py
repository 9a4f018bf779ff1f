"""Tokens per second of perplexity: bare forward passes, this engine, lm-eval; on SmolLM2 and with a 256 k vocabulary.

    python tests/bench/bench_evaluation.py [--model FOLDER] [--unit sentences] [--tokens 4000] [--threads 1] [--rounds 3]

`bare` is the model's own forward with its LM head over the engine's very batches, nothing computed from the logits.
Rounds are interleaved and the fastest of each kind counts. Seconds are the process' CPU time on one thread, since the
machine may be busy, and wall-clock time on more: leave it alone then. lm-eval's default is batch size 1 on all cores.
"""

import argparse
import logging
import re
import time
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from history import keep
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import LlamaConfig, LlamaForCausalLM

from nharness.corpora import batches, load_corpus
from nharness.evaluation.items import total
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import WindowPolicy, windows
from nharness.models import load_model
from nharness_tasks.smollm2 import gguf_file

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tasks" / "nharness_tasks" / "corpora" / "sample"
CUTS = {"sentences": r"(?<=[.!?])\s+|(?<=[。！？])|\n", "paragraphs": r"\n"}
LEAST = {"sentences": 15, "paragraphs": 40}  # characters


def large_vocabulary():
    """A random model of 256 000 vocabulary entries, its embeddings most of it, as in Gemma's family."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256_000,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


def texts(corpus, tag, unit):
    """Yield the evaluation documents of a language, whole or cut into what has letters enough to be one."""
    for document in corpus.documents(tag, "eval"):
        if unit == "documents":
            yield document
            continue
        for place, piece in enumerate(re.split(CUTS[unit], document.text)):
            if len(piece) >= LEAST[unit]:
                yield replace(document, id=f"{document.id}:{place}", text=piece)


def chosen(corpus, tag, unit, tokenizer, tokens):
    """Return a language's first texts of together that many tokens."""
    found, total = [], 0
    for document in texts(corpus, tag, unit):
        found.append(document)
        total += len(tokenizer(document.text)["input_ids"])
        if total >= tokens:
            break
    return found


def bare(model, plan):
    with torch.inference_mode():
        for ids in plan:
            model(input_ids=ids, use_cache=False)


def lm_eval_rolling(model, tokenizer, texts, batch_size, window):
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, max_length=window)
    requests = [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)]
    return lambda: lm.loglikelihood_rolling(requests, disable_tqdm=True)


def measure(kinds, rounds):
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    best = dict.fromkeys(kinds, float("inf"))
    results = {}
    for _ in range(rounds):
        for name, run in kinds.items():
            start = clock()
            results[name] = run()
            best[name] = min(best[name], clock() - start)
    return best, results


def compare(title, model, tokenizer, documents, *, rounds, batch_sizes):
    policy = WindowPolicy(window=2048, stride=2048, prefix=tokenizer.bos_token_id)
    engine = PerplexityEngine(model, tokenizer, policy=policy)
    encoded = [part for tag, docs in documents.items() for part in engine.encode(docs, language=tag)]
    texts = [document.text for docs in documents.values() for document in docs]
    pieces = [window for document in encoded for window in windows(document, policy)]
    plan = [torch.from_numpy(batch.tokens[:, :-1]) for batch in batches(pieces, engine.room(unread=1))]
    kinds = {"bare forward with LM head": lambda: bare(model, plan), "nharness": lambda: engine.score(encoded)}
    kinds |= {f"lm-eval, batch size {b}": lm_eval_rolling(model, tokenizer, texts, b, 2048) for b in batch_sizes}
    best, results = measure(kinds, rounds)
    tokens = total(results["nharness"], "tokens")
    ours = total(results["nharness"], "nll")
    print(
        f"\n{title}: {len(texts)} texts of {tokens / len(texts):.0f} tokens, {model.dtype}, {torch.get_num_threads()} thread(s)"
    )
    for name, seconds in best.items():
        note = ""
        if name.startswith("lm-eval"):
            note = f"NLL {-sum(results[name]):.2f}"
        elif name == "nharness":
            note = f"NLL {ours:.2f}"
        print(
            f"  {name:28} {tokens / seconds:9.0f} tokens/s   x {best['nharness'] / seconds:5.2f} of nharness   {note}",
            flush=True,
        )
    bare_seconds = best.pop("bare forward with LM head")
    lm_eval = min(seconds for name, seconds in best.items() if name != "nharness")
    keep(
        {
            f"evaluation: {title} of bare": bare_seconds / best["nharness"],
            f"evaluation: {title} times lm-eval's best": lm_eval / best["nharness"],
        }
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2", help="registered name, folder or hub name")
    parser.add_argument("--unit", choices=("documents", *CUTS), default="sentences", help="what is one document")
    parser.add_argument("--tokens", type=int, default=4000, help="of all languages together")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: all cores, as lm-eval")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--languages", default="en,de,ru,zh")
    parser.add_argument("--batch-sizes", default="1,2,4,8,16,32", help="of lm-eval")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    corpus = load_corpus(SAMPLE)
    tags = args.languages.split(",")
    dtype = getattr(torch, args.dtype)
    loaded = load_model(args.model, dtype=dtype, device="cpu", named={"smollm2": gguf_file})
    tokenizer, model = loaded.tokenizer, loaded.model
    documents = {tag: chosen(corpus, tag, args.unit, tokenizer, args.tokens / len(tags)) for tag in tags}
    sizes = [int(size) for size in args.batch_sizes.split(",")]
    compare(
        "random, vocabulary 256 000",
        large_vocabulary().to(dtype),
        tokenizer,
        documents,
        rounds=args.rounds,
        batch_sizes=sizes,
    )
    compare(args.model, model, tokenizer, documents, rounds=args.rounds, batch_sizes=sizes)


if __name__ == "__main__":
    main()
