"""Which languages outputs are in, with whose neurons off, and what the model falls back to instead of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from nharness.record.items import RecordedItem
from nharness.record.model import Record

METRIC = "in_language"
UNDETERMINED = "und"
Place = tuple[str, str | None, str]


def output_rows(record: Record, items: Iterable[RecordedItem]) -> list[Mapping[str, str]]:
    """Return, per language of a task that judges outputs, a row for the intact model and one per target of it.

    `instead` is what the outputs that are not in the language are in, as shares of those, the largest first: with
    targets of rising size, the language that the model falls back to. "und" is text without letters.
    """
    tasks = [task for task in record.tasks if task.metric == METRIC]
    found: dict[Place, list[RecordedItem]] = {}
    for item in items:
        if item.control is None:
            found.setdefault((item.task, item.target, item.language), []).append(item)
    rows: list[Mapping[str, str]] = []
    for task in tasks:
        for language in task.languages:
            own = [target.name for target in record.targets if target.language == language]
            rows += [
                _row(task.name, target, language, found[task.name, target, language])
                for target in (None, *own)
                if (task.name, target, language) in found
            ]
    return rows


def fallback(taken: Sequence[str], language: str) -> dict[str, float]:
    """Return the share of every other language among the outputs that are not in `language`, the largest first.

    taken: the language of every output. The shares sum to 1, or there are none.
    """
    elsewhere = Counter(tag for tag in taken if tag != language)
    count = elsewhere.total()
    return {tag: times / count for tag, times in sorted(elsewhere.items(), key=lambda pair: (-pair[1], pair[0]))}


def taken_for(item: RecordedItem, *, opinion: str = "language") -> str:
    """Return the tag that an output was taken for, by the first opinion or the "second"; "und" if there is none."""
    prefix = f"{opinion}_"
    return next((name.removeprefix(prefix) for name in item.values if name.startswith(prefix)), UNDETERMINED)


def _row(task: str, target: str | None, language: str, items: Sequence[RecordedItem]) -> Mapping[str, str]:
    first = [taken_for(item) for item in items]
    second = [taken_for(item, opinion="second") for item in items if any(n.startswith("second_") for n in item.values)]
    inside = sum(tag == language for tag in first) / len(items)
    agreed = sum(tag == language for tag in second) / len(second) if second else None
    instead = ", ".join(f"{tag} {share:.0%}" for tag, share in list(fallback(first, language).items())[:4])
    return {
        "task": task,
        "off": target or "-",
        "language": language,
        "outputs": str(len(items)),
        "in language": f"{inside:.0%}",
        "second opinion": "-" if agreed is None else f"{agreed:.0%}",
        "instead": instead or "-",
    }
