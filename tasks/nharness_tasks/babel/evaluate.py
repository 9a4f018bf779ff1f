"""Held-out perplexity of babel: `python -m nharness_tasks.babel.evaluate`.

Per language, over the sample corpus's split `eval`: perplexity, `exp(total NLL / total tokens)`, of the network and of
a unigram model (add-one smoothing, the same tokenizer, the same language's training text), and bits per UTF-8 byte. The
network is run in bfloat16, as it is shipped. Writes `perplexity.json` and prints it as the card's tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from nharness_tasks.babel.likelihood import network_nll, unigram_nll
from nharness_tasks.babel.recipe import MODEL_FOLDER, NETWORK, PERPLEXITY_FILE
from nharness_tasks.babel.sequences import Tokens, encode
from nharness_tasks.corpora import shipped, udhr
from nharness_tasks.corpora.babel_text import splits
from nharness_tasks.corpora.documents import Document
from nharness_tasks.corpora.pages import LANGUAGES, Page

OUT_OF_DOMAIN = udhr.SOURCE


def measure(folder: Path, work: Path) -> dict[str, Any]:
    """What `perplexity.json` holds; the training text is fetched into `work` for the unigram model."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = splits(work).train
    train = encode(tokenizer, text)
    languages = {}
    for language in LANGUAGES:
        documents = shipped.documents("eval", language)
        tokens = [np.array(tokenizer.encode(document.text).ids, dtype=np.int64) for document in documents]
        unigram = unigram_nll(train[language], tokens, NETWORK.vocabulary)
        languages[language] = _row(documents, tokens, network_nll(network, tokens), unigram)
    return {
        "weights_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "corpus": "sample, split eval",
        "training_text": {language: _amounts(text[language], train[language]) for language in LANGUAGES},
        "languages": languages,
    }


def _amounts(pages: Sequence[Page], tokens: Sequence[Tokens]) -> dict[str, int]:
    size = sum(len(page.text.encode("utf-8")) for page in pages)
    return {"pages": len(pages), "bytes": size, "tokens": sum(map(len, tokens))}


def _row(documents: Sequence[Document], tokens: Sequence[Tokens], nll: Any, unigram: Any) -> dict[str, Any]:
    lengths = np.array([len(found) - 1 for found in tokens])
    size = sum(len(document.text.encode("utf-8")) for document in documents)
    outside = np.array([document.source == OUT_OF_DOMAIN for document in documents])
    return {
        "documents": len(documents),
        "tokens": int(lengths.sum()),
        "bytes": size,
        "perplexity": round(math.exp(nll.sum() / lengths.sum()), 2),
        "unigram_perplexity": round(math.exp(unigram.sum() / lengths.sum()), 1),
        "bits_per_byte": round(float(nll.sum()) / math.log(2) / size, 3),
        "perplexity_udhr": round(math.exp(nll[outside].sum() / lengths[outside].sum()), 1),
    }


def text_table(training_text: Mapping[str, Mapping[str, int]]) -> str:
    """The card's table of training text in Markdown."""
    rows = [
        f"| {language} | {row['pages']} | {row['bytes']} | {row['tokens']} |" for language, row in training_text.items()
    ]
    return "\n".join(["| language | pages | bytes | tokens |", "|---|---:|---:|---:|", *rows])


def perplexity_table(languages: Mapping[str, Mapping[str, Any]]) -> str:
    """The card's table of perplexities in Markdown."""
    rows = [
        f"| {language} | {row['tokens']} | {row['perplexity']:.2f} | {row['unigram_perplexity']:.1f} "
        f"| {row['bits_per_byte']:.3f} | {row['perplexity_udhr']:.1f} |"
        for language, row in languages.items()
    ]
    heading = "| language | tokens | perplexity | unigram perplexity | bits per byte | perplexity on udhr alone |"
    return "\n".join([heading, "|---|---:|---:|---:|---:|---:|", *rows])


def run(folder: Path, work: Path, out: Path, say: Callable[[str], None]) -> None:
    """Measure, write the JSON document to `out` and say both tables."""
    found = measure(folder, work)
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    say(text_table(found["training_text"]))
    say("")
    say(perplexity_table(found["languages"]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("babel-work"), help="folder for downloads")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="folder of the model")
    parser.add_argument("--out", type=Path, default=PERPLEXITY_FILE, help="the JSON file to write")
    options = parser.parse_args()
    run(options.model, options.work, options.out, print)


if __name__ == "__main__":
    main()
