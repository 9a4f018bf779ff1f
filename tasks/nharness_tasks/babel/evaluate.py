"""Held-out perplexity of babel and of its family: `python -m nharness_tasks.babel.evaluate`.

Per language, over the sample corpus's split `eval`: perplexity, `exp(total NLL / total tokens)`, of the network and
of a unigram model (add-one smoothing, the same tokenizer, the same language's training text), and bits per UTF-8
byte. The network runs in bfloat16, as it ships. Writes `perplexity.json` and prints it as the card's tables.

With `--family`: the perplexity of every member that ships or was made. Writes `family.json` and prints its table.
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

from nharness.errors import ModelError
from nharness.information import bits
from nharness_tasks.babel.family import MEMBERS, locate
from nharness_tasks.babel.likelihood import network_nll, unigram_nll
from nharness_tasks.babel.recipe import FAMILY_FILE, MODEL_FOLDER, NETWORK, PERPLEXITY_FILE
from nharness_tasks.babel.sequences import Tokens, encode
from nharness_tasks.corpora import shipped, udhr
from nharness_tasks.corpora.babel_text import splits
from nharness_tasks.corpora.documents import Document
from nharness_tasks.corpora.pages import LANGUAGES, Page

OUT_OF_DOMAIN = udhr.SOURCE


def measure(folder: Path, work: Path) -> dict[str, Any]:
    """The content of `perplexity.json`; training text for the unigram model is fetched into `work`."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = splits(work).train
    train = encode(tokenizer, text)
    languages = {}
    for language in LANGUAGES:
        documents = shipped.documents("eval", language)
        tokens = _tokens(tokenizer, documents)
        unigram = unigram_nll(train[language], tokens, NETWORK.vocabulary)
        languages[language] = _row(documents, tokens, network_nll(network, tokens), unigram)
    return {
        "weights_sha256": _digest(folder),
        "corpus": "sample, split eval",
        "training_text": {language: _amounts(text[language], train[language]) for language in LANGUAGES},
        "languages": languages,
    }


def measure_family() -> dict[str, Any]:
    """The content of `family.json`: per member the digest of its weights and its perplexity in every language."""
    found = {}
    for name in MEMBERS:
        try:
            folder = locate(name)
        except ModelError:
            continue
        found[name] = {"weights_sha256": _digest(folder), "perplexity": _perplexities(folder)}
    return found


def _perplexities(folder: Path) -> dict[str, float]:
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    result = {}
    for language in LANGUAGES:
        tokens = _tokens(tokenizer, shipped.documents("eval", language))
        length = sum(len(each) - 1 for each in tokens)
        result[language] = round(math.exp(network_nll(network, tokens).sum() / length), 2)
    return result


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def _tokens(tokenizer: Tokenizer, documents: Sequence[Document]) -> list[Tokens]:
    return [np.array(tokenizer.encode(document.text).ids, dtype=np.int64) for document in documents]


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
        "bits_per_byte": round(bits(float(nll.sum())) / size, 3),
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


def family_table(members: Mapping[str, Mapping[str, Any]], languages: Mapping[str, Mapping[str, Any]]) -> str:
    """The family card's table of perplexities in Markdown, including babel's from `perplexity.json`."""
    columns = {"babel": {language: row["perplexity"] for language, row in languages.items()}}
    columns |= {name: member["perplexity"] for name, member in members.items()}
    rows = [
        " | ".join([language, *(f"{column[language]:.2f}" for column in columns.values())]) for language in languages
    ]
    heading = ["language | " + " | ".join(f"`{name}`" for name in columns), "---|" + "|".join(["---:"] * len(columns))]
    return "\n".join(f"| {row} |" if "---" not in row else f"|{row}|" for row in [*heading, *rows])


def run(folder: Path, work: Path, out: Path, say: Callable[[str], None]) -> None:
    """Measure, write the JSON document to `out` and say both tables."""
    found = measure(folder, work)
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    say(text_table(found["training_text"]))
    say("")
    say(perplexity_table(found["languages"]))


def run_family(out: Path, say: Callable[[str], None]) -> None:
    """Measure the family, write the JSON document to `out` and say the table."""
    found = measure_family()
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    say(family_table(found, json.loads(PERPLEXITY_FILE.read_text(encoding="utf-8"))["languages"]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("babel-work"), help="folder for downloads")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="folder of the model")
    parser.add_argument("--out", type=Path, default=PERPLEXITY_FILE, help="the JSON file to write")
    parser.add_argument("--family", action="store_true", help="measure the family instead")
    options = parser.parse_args()
    if options.family:
        run_family(FAMILY_FILE, print)
        return
    run(options.model, options.work, options.out, print)


if __name__ == "__main__":
    main()
