"""Whether what a model writes is in the language it should be in, and whether it is any good.

Of each output, as item values:
in_language     1 if the whole text is in the language, else 0; a text without letters is in none
lines_in_language  share of its lines (of `SHORTEST_LINE` letters or more) that are; lines too short are left out
confused        1 if some line is in the language and some line is not (line-level language confusion)
repetition      1 - distinct / all 4-grams of tokens, 0 to 1; 0 for outputs of fewer than four tokens
language_<tag>  1: the language it was taken for (`language_und` for a text without letters); confidence: how surely
second_<tag>    1: the second opinion, if one was asked for
nll, tokens     fluency: NLL in nats of the text after its prompt under the unedited model (`fluency`)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.corpora import EncodedDocument
from nharness.errors import UsageError
from nharness.evaluation.generation import Prompt, Written
from nharness.evaluation.identification import UNDETERMINED, Identifier
from nharness.evaluation.items import Item
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.languages import display_name

SHORTEST_LINE = 8
GRAM = 4


def openings(documents: Sequence[EncodedDocument], *, tokens: int = 24) -> tuple[Prompt, ...]:
    """Return the first tokens of documents as prompts to go on from; shorter documents give half of theirs."""
    return tuple(
        Prompt(document.id, document.cluster, document.tokens[: max(1, min(tokens, len(document.tokens) // 2))])
        for document in documents
        if len(document.tokens)
    )


def questions(tokenizer: Any, texts: Mapping[str, str], *, answer_in: str | None = None) -> tuple[Prompt, ...]:
    """Return questions by id as prompts, in the chat template if the tokenizer has one.

    answer_in: a tag; the wish for an answer in that language is put behind each question, in English, which is the
    seven-language setting of Tang et al. (2024) for whatever languages.
    """
    wish = f" Answer in {display_name(answer_in)}." if answer_in else ""
    prompts = []
    for name, text in texts.items():
        if getattr(tokenizer, "chat_template", None):
            message = [{"role": "user", "content": text + wish}]
            ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=True)["input_ids"]
        else:
            ids = tokenizer(text + wish + "\n")["input_ids"]
        prompts.append(Prompt(name, name, np.asarray(ids, dtype=np.int64)))
    return tuple(prompts)


def judge(
    written: Sequence[Written], language: str, identifier: Identifier, *, second: Identifier | None = None
) -> tuple[Item, ...]:
    """Return one item an output; `language` is the tag that it should be in."""
    return tuple(
        Item(output.id, output.cluster, _values(output, language, identifier, second)) for output in written
    )


def fluency(engine: PerplexityEngine, written: Sequence[Written], items: Sequence[Item]) -> tuple[Item, ...]:
    """Return the items with nll and tokens of each output; call it outside the edit, on the model as it was.

    Raises `UsageError` when outputs and items are not of the same ids, in order.
    """
    if [output.id for output in written] != [item.id for item in items]:
        raise UsageError("fluency wants the items of the very outputs, in order")
    documents = [
        EncodedDocument(
            output.id, UNDETERMINED, output.cluster, 0, np.concatenate([output.prompt, output.tokens]),
            len(output.prompt), len(output.prompt) + len(output.tokens), len(output.text.encode()),
        )
        for output in written
    ]  # fmt: skip
    scored = engine.score(documents)
    return tuple(
        replace(item, values={**item.values, "nll": score.values["nll"], "tokens": score.values["tokens"]})
        for item, score in zip(items, scored, strict=True)
    )


def fallback(items: Sequence[Item], language: str) -> dict[str, float]:
    """Return, for the outputs that are not in the language, the share of each language they are in, largest first.

    This is what a model falls back to when a language's neurons are switched off one after the other. Outputs without
    letters count as "und"; the shares sum to 1, or there are none.
    """
    taken = (taken_for(item) for item in items)
    elsewhere = Counter(tag for tag in taken if tag != language)
    count = elsewhere.total()
    return {tag: times / count for tag, times in sorted(elsewhere.items(), key=lambda pair: (-pair[1], pair[0]))}


def taken_for(item: Item, *, opinion: str = "language") -> str:
    """Return the tag that an output was taken for, by the first opinion or the "second"; "und" if it has no letters."""
    prefix = f"{opinion}_"
    return next((name.removeprefix(prefix) for name in item.values if name.startswith(prefix)), UNDETERMINED)


def repetition(tokens: NDArray[np.int64]) -> float:
    """Return 1 - distinct / all 4-grams of tokens; 0 for fewer than four tokens."""
    if len(tokens) < GRAM:
        return 0.0
    grams = np.lib.stride_tricks.sliding_window_view(tokens, GRAM)
    return float(1 - len(np.unique(grams, axis=0)) / len(grams))


def _values(output: Written, language: str, identifier: Identifier, second: Identifier | None) -> dict[str, Any]:
    whole = identifier.identify(output.text)
    lines = [line for line in output.text.splitlines() if sum(map(str.isalpha, line)) >= SHORTEST_LINE]
    inside = [identifier.identify(line).language == language for line in lines]
    values: dict[str, Any] = {
        "in_language": float(whole.language == language), f"language_{whole.language}": 1.0,
        "confidence": whole.confidence,
        "lines_in_language": sum(inside) / len(inside) if inside else float(whole.language == language),
        "confused": float(any(inside) and not all(inside)), "repetition": repetition(output.tokens),
    }  # fmt: skip
    if second is not None:
        values[f"second_{second.identify(output.text).language}"] = 1.0
    return values
