"""From lm-eval's samples to items: values of one answer, its cluster, and what was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nharness.evaluation.items import Item
from nharness.evaluation.sentence_scores import SENTENCE_SCORES

CLUSTER_FIELDS = ("cluster", "link")  # what tells that two questions share a passage


def item_of(task: str, sample: Mapping[str, Any], *, truncated: bool = False) -> Item:
    """Return the item of a sample; `task` is the leaf of a group that it belongs to, else empty."""
    name = f"{task}/{sample['doc_id']}" if task else str(sample["doc_id"])
    document = sample["doc"]
    cluster = next((str(document[field]) for field in CLUSTER_FIELDS if document.get(field)), name)
    values: dict[str, Any] = {}
    for metric in sample["metrics"]:
        value = sample[metric]
        if isinstance(value, bool | int | float) or hasattr(value, "item"):
            values[metric] = float(value)
        elif metric in SENTENCE_SCORES:
            values[metric] = SENTENCE_SCORES[metric](value)
    values |= _choice_values(sample) | ({"truncated": 1.0} if truncated else {})
    return Item(name, cluster, values, _written(sample))


def _written(sample: Mapping[str, Any]) -> str | None:
    """Return the answer that the model wrote; None where it chose or read."""
    answers = sample["resps"]
    first = answers[0][0] if answers and answers[0] else None
    return first if isinstance(first, str) else None


def _choice_values(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return, for a multiple choice, the number of choices and the right one's lead over the best other, in nats.

    Where a task scores mutual information, the second half of the answers are the choices without their context.
    """
    answers, target = sample["filtered_resps"], sample["target"]
    if len(answers) < 2 or not isinstance(target, int) or not all(isinstance(a, list | tuple) for a in answers):
        return {}
    likelihoods = [float(answer[0]) for answer in answers]
    if "acc_mutual_info" in sample["metrics"]:
        half = len(likelihoods) // 2
        likelihoods = [given - alone for given, alone in zip(likelihoods[:half], likelihoods[half:], strict=True)]
    if not 0 <= target < len(likelihoods):
        return {}
    others = [value for place, value in enumerate(likelihoods) if place != target]
    return {"choices": len(likelihoods), "margin": likelihoods[target] - max(others)}
