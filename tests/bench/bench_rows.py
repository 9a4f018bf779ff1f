"""Tokens per second of several edits in rows of one pass, against one edit after the other, folded into the weights.

    python tests/bench/bench_rows.py [--model babel] [--dtype auto] [--tokens 1000] [--edits 12] [--rounds 5]

Text is the sample corpus in four languages; each edit switches off a thousandth of the neurons, drawn at random.
"""

import argparse

import torch
from history import keep
from interleaved import Clock, measure, named, table

from nharness.corpora.excerpts import spread
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.models import Edit, apply_edits, load_model, locate
from nharness.models.allocator import save_memory
from nharness.models.rows import apply_in_rows
from nharness.plugins import Plugins
from nharness.run.plan.resolve import open_corpus
from nharness.spec import CorpusSpec

LANGUAGES = ("en", "de", "ru", "zh")


def drawn(neuron_map, count):
    """Return edits that switch off random neurons, a thousandth of all each."""
    draw, widths = torch.Generator().manual_seed(0), neuron_map.layer_widths
    found = []
    for _ in range(count):
        parts = torch.split(torch.rand(sum(widths), generator=draw) < 0.001, list(widths))
        found.append([Edit.zero(at, part.nonzero().reshape(-1)) for at, part in enumerate(parts) if part.any()])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="babel")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--tokens", type=int, default=1000, help="of each language (default 1000)")
    parser.add_argument("--edits", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    save_memory()
    plugins = Plugins()
    known = {name: plugins.resolve("models", name) for name in plugins.entries("models")}
    loaded = load_model(asked.model, dtype=asked.dtype, named=known)
    neuron_map = locate(loaded.model)
    engine = PerplexityEngine(loaded.model, loaded.tokenizer, together=loaded.together)
    corpus, sets = open_corpus(CorpusSpec(), LANGUAGES, plugins), drawn(neuron_map, asked.edits)
    texts = [
        engine.encode(spread(corpus.documents(tag, "eval"), engine.count, asked.tokens), language=tag)
        for tag in LANGUAGES
    ]

    def alone():
        for edits in sets:
            with apply_edits(loaded.model, neuron_map, edits):
                for text in texts:
                    engine.score(text)

    def in_rows():
        with apply_in_rows(loaded.model, neuron_map, sets) as rows:
            for text in texts:
                engine.score_in_rows(text, rows)

    seconds, ratios = measure(Clock(engine.model.device), ("alone", alone), {"in rows": in_rows}, asked.rounds)
    tokens = asked.edits * sum(len(document.tokens) for text in texts for document in text)
    print(f"{asked.model}, {asked.dtype}, {asked.tokens} tokens a language, medians of {asked.rounds} rounds\n")
    print("\n".join(table(tokens, seconds, ratios)))
    keep(named("rows", "alone", ratios))


if __name__ == "__main__":
    main()
