"""`--precision`: a target's perplexity cell is evaluated in steps and stops when its interval is narrow enough.

Documents come in one order per language, clusters whole, the same for every cell; after each step the paired change
against the baseline so far says whether to go on (`nharness.analysis.sequential`). Baselines, which everything is
paired with, and control draws, which have a small sample of their own, are evaluated whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nharness.analysis.sequential import Precision, evaluation_order, look
from nharness.cells import Cell
from nharness.corpora import EncodedDocument
from nharness.evaluation.items import Item
from nharness.information import bits
from nharness.run.work.texts import LanguageText
from nharness.spec import RunSpec

Score = Callable[[LanguageText], Sequence[Item]]


def rule_for(cell: Cell, spec: RunSpec) -> Precision | None:
    """Return when a cell whose items are documents may stop; None for one that is evaluated whole."""
    half_width = spec.analysis.precision
    if half_width is None or cell.edition is None or cell.edition.control is not None:
        return None
    return Precision(half_width=half_width, level=spec.analysis.confidence)


def described(rule: Precision, seed: int) -> dict[str, Any]:
    """Return what of the rule and the order changes which items a cell has."""
    return {"half_width": rule.half_width, "level": rule.level, "fewest": rule.fewest, "seed": seed}


def score_until(
    score: Score, text: LanguageText, before: Sequence[Item], *, rule: Precision, seed: int
) -> tuple[list[Item], int]:
    """Return the items evaluated until the rule was met, in the text's order, and the tokens they cost.

    before: the baseline's items; a document that it lacks counts for nothing in the decision.
    """
    clusters = _in_order(text.documents, seed)
    intact = {item.id: item.values for item in before}
    items: dict[str, Item] = {}
    change: list[float] = []
    weight: list[float] = []
    wanted = min(rule.fewest, len(clusters))
    while True:
        step = clusters[len(change) : wanted]
        chosen = tuple(document for documents in step for document in documents)
        items |= {item.id: item for item in score(LanguageText(text.language, chosen))}
        for documents in step:
            moved = [_change(items[d.id].values, intact.get(d.id)) for d in documents]
            change.append(sum(bits for bits, _ in moved))
            weight.append(sum(size for _, size in moved))
        now = look(change, weight, len(clusters), rule)
        if now.stop:
            break
        wanted = max(now.wanted, len(change) + 1)
    seen = [document for document in text.documents if document.id in items]
    return [items[document.id] for document in seen], sum(document.counted for document in seen)


def _in_order(documents: Sequence[EncodedDocument], seed: int) -> list[list[EncodedDocument]]:
    """Return the documents by cluster, clusters in the order of evaluation."""
    found: dict[str, list[EncodedDocument]] = {}
    for place in evaluation_order([document.cluster for document in documents], seed=seed):
        found.setdefault(documents[place].cluster, []).append(documents[place])
    return list(found.values())


def _change(after: Mapping[str, Any], before: Mapping[str, Any] | None) -> tuple[float, float]:
    """Return a document's change in bits and its bytes."""
    if before is None:
        return 0.0, 0.0
    return bits(float(after["nll"] - before["nll"])), float(after["bytes"])
