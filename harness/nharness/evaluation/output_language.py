"""Whether what a model writes is in the language it should be in, and whether it is any good.

Values of an output's items, by the metric of the task that asks (`nharness.task.JUDGEMENTS`):

in_language       1 if the whole text is in the language, and in its script, else 0; a text without letters is in none.
                  Identifiers do not know regions: what they take for `pt` is in `pt-BR` where that is asked after.
                  They do not tell scripts either, the letters do: Devanagari is `hi` and not `hi-Latn`
  language_<tag>  1: the language it was taken for (`language_und` for a text without letters); confidence: how surely
  low_confidence  1 for a hit that was recognised with a confidence below `SURE`
  second_<tag>    1: the second opinion, where there is one
lines_in_language share of its lines (of `SHORTEST_LINE` letters or more) that are; without such lines, the whole text
  confused        1 if some line is in the language and some line is not (line-level language confusion)
repetition        1 - distinct / all 4-grams of tokens, 0 to 1; 0 for outputs of fewer than four tokens
fluency           bits per UTF-8 byte of the text after its prompt, under the unedited model; absent where nothing was
                  written. Texts differ between edits, so that it is averaged over outputs and not over bytes
  nll, tokens, bytes  what it is made of: nats, tokens written, bytes written
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.corpora import EncodedDocument
from nharness.evaluation.chat import ChatTemplate
from nharness.evaluation.generation import Prompt, Written, prompt_tokens
from nharness.evaluation.identification import UNDETERMINED, Identified, Identifier
from nharness.evaluation.items import Item
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.scripts import script_of, serves
from nharness.information import bits
from nharness.languages import canonical, primary, script

SHORTEST_LINE = 8
GRAM = 4
SURE = 0.5


def openings(
    documents: Sequence[EncodedDocument], *, prefix: int | None = None, tokens: int = 24
) -> tuple[Prompt, ...]:
    """Return the first tokens of documents, after the prefix token if there is one, as prompts to go on from.

    Documents shorter than twice as many tokens give half of theirs.
    """
    before = np.array([] if prefix is None else [prefix], dtype=np.int64)
    return tuple(
        Prompt(document.id, document.cluster, np.concatenate([before, document.tokens[: _opening(document, tokens)]]))
        for document in documents
        if len(document.tokens)
    )


def questions(tokenizer: Any, texts: Mapping[str, str], chat: ChatTemplate | None = None) -> tuple[Prompt, ...]:
    """Return questions by id as prompts, in the tokenizer's chat template if it has one, else with a line's end."""
    prompts = []
    for name, text in texts.items():
        if chat is not None:
            ids = tokenizer(chat.fill([{"role": "user", "content": text}]), add_special_tokens=False)["input_ids"]
        else:
            ids = prompt_tokens(tokenizer, text + "\n")
        prompts.append(Prompt(name, name, np.asarray(ids, dtype=np.int64)))
    return tuple(prompts)


@dataclass(frozen=True)
class Outputs:
    """What was written after some prompts; the languages it is in are identified once."""

    written: tuple[Written, ...]
    identifier: Identifier
    second: Identifier | None = None

    def judged(self, metric: str, language: str) -> tuple[Item, ...]:
        """Return one item per output, with the values of a metric; `language` is the tag that it should be in.

        Raises `KeyError` for `fluency`, which needs a model, and for metrics that there are not.
        """
        judge = {"in_language": self._whole, "lines_in_language": self._lines, "repetition": self._repetition}[metric]
        return tuple(
            Item(output.id, output.cluster, judge(place, language), output.text)
            for place, output in enumerate(self.written)
        )

    @property
    def tokens(self) -> int:
        """Tokens of prompts and outputs together: those that were passed through the model."""
        return sum(len(output.prompt) + len(output.tokens) for output in self.written)

    @cached_property
    def verdicts(self) -> tuple[Identified, ...]:
        """The first opinion on every output's whole text."""
        return tuple(self.identifier.identify(output.text) for output in self.written)

    @cached_property
    def _second_verdicts(self) -> tuple[Identified, ...]:
        return tuple(self.second.identify(output.text) for output in self.written) if self.second else ()

    @cached_property
    def _lines_taken(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """Every output's lines, each with the language it was taken for."""
        return tuple(
            tuple(
                (line, self.identifier.identify(line).language)
                for line in output.text.splitlines()
                if sum(map(str.isalpha, line)) >= SHORTEST_LINE
            )
            for output in self.written
        )

    def _whole(self, place: int, language: str) -> dict[str, float]:
        first, text = self.verdicts[place], self.written[place].text
        taken = _as_asked(first.language, language, text)
        values = {"in_language": float(taken == language), "confidence": first.confidence, f"language_{taken}": 1.0}
        if taken == language and first.confidence < SURE:
            values["low_confidence"] = 1.0
        if self._second_verdicts:
            values[f"second_{_as_asked(self._second_verdicts[place].language, language, text)}"] = 1.0
        return values

    def _lines(self, place: int, language: str) -> dict[str, float]:
        taken = self._lines_taken[place] or ((self.written[place].text, self.verdicts[place].language),)
        inside = [_as_asked(tag, language, line) == language for line, tag in taken]
        return {
            "lines_in_language": sum(inside) / len(inside),
            "confused": float(any(inside) and not all(inside)),
        }

    def _repetition(self, place: int, _language: str) -> dict[str, float]:
        return {"repetition": repetition(self.written[place].tokens)}


def fluency(engine: PerplexityEngine, written: Sequence[Written]) -> tuple[Item, ...]:
    """Return one item per output: how likely the model that is now loaded finds it; call it outside the edit."""
    items, texts = [], {output.id: output.text for output in written}
    for scored in engine.score([_after_prompt(output, engine.policy.prefix) for output in written]):
        values = dict(scored.values)
        if values["bytes"] and values["tokens"]:
            values["fluency"] = bits(values["nll"]) / values["bytes"]
        items.append(Item(scored.id, scored.cluster, values, texts[scored.id]))
    return tuple(items)


def repetition(tokens: NDArray[np.int64]) -> float:
    """Return 1 - distinct / all 4-grams of tokens; 0 for fewer than four tokens."""
    if len(tokens) < GRAM:
        return 0.0
    grams = np.lib.stride_tricks.sliding_window_view(tokens, GRAM)
    return float(1 - len(np.unique(grams, axis=0)) / len(grams))


def _as_asked(taken: str, language: str, text: str) -> str:
    """Return the tag that a text was taken for: the one asked after, where it is the same but for a region.

    A text in another script than the tag's is in the language as it is written in that one: `hi-Latn`, `sr-Latn`.
    """
    if primary(taken) != primary(language):
        return taken
    found = script_of(text)
    return language if serves(found, script(language)) else canonical(f"{primary(taken)}-{found}")


def _opening(document: EncodedDocument, tokens: int) -> int:
    return max(1, min(tokens, len(document.tokens) // 2))


def _after_prompt(output: Written, prefix: int | None) -> EncodedDocument:
    """Return prompt and output as one document whose output is counted; the engine puts the prefix in front itself."""
    prompt = output.prompt[1:] if len(output.prompt) and output.prompt[0] == prefix else output.prompt
    return EncodedDocument(
        output.id,
        UNDETERMINED,
        output.cluster,
        0,
        np.concatenate([prompt, output.tokens]),
        len(prompt),
        len(prompt) + len(output.tokens),
        len(output.text.encode()),
    )
