"""Translation metrics of one sentence, where lm-eval keeps only (reference, hypothesis) pairs for a corpus score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sacrebleu


def _sentence(score: Callable[..., Any]) -> Callable[[Any], float]:
    def of_pair(pair: Any) -> float:
        references, hypothesis = pair
        return float(score(str(_text(hypothesis)), [str(_text(references))]).score)

    return of_pair


def _text(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


SENTENCE_SCORES: Mapping[str, Callable[[Any], float]] = {
    "bleu": _sentence(sacrebleu.sentence_bleu),
    "chrf": _sentence(sacrebleu.sentence_chrf),
    "ter": _sentence(sacrebleu.sentence_ter),
}
