"""What the flags of cells mean, in the words that terminal, report and board use alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nharness.record.cells import CellResult

MEANING: Mapping[str, str] = {
    "few_clusters": "fewer than 20 independent sources of text; below 5 there is no interval and no p",
    "near_chance": "the intact model is too near chance to be harmed",
    "near_ceiling": "the intact model is near the ceiling",
    "near_floor": "the intact model is near the floor",
    "underpowered": "too few items to find an effect of this size",
    "below_noise_floor": "smaller than what batches of another size or company do",
    "overlap": "evaluation text was also in the detection text",
    "unknown_tokens": "the tokenizer does not know more than 1 % of the text",
    "truncated": "prompts longer than the model's context were cut",
    "low_confidence": "the language of outputs was named with low confidence",
    "empty_target": "the language has no neurons",
}


def flag_lines(cells: Iterable[CellResult], languages: Sequence[str]) -> list[str]:
    """Return one line per flag that some cell has: what it means, and in which languages or cells it is so.

    A language is named where all of its cells have the flag; cells are named one by one up to four, then counted.
    """
    held = [cell for cell in cells if cell.status == "ok"]
    lines = []
    for flag, meaning in MEANING.items():
        flagged = {(cell.target, cell.language) for cell in held if flag in cell.flags}
        if flagged:
            lines.append(f"{flag} ({meaning}): {_where(flagged, held, languages)}")
    return lines


def _where(flagged: set[tuple[str, str]], cells: Sequence[CellResult], languages: Sequence[str]) -> str:
    if len(flagged) == len({(cell.target, cell.language) for cell in cells}):
        return "all cells"
    whole = [
        tag
        for tag in languages
        if (own := {(cell.target, cell.language) for cell in cells if cell.language == tag}) and own <= flagged
    ]
    rest = sorted(place for place in flagged if place[1] not in whole)
    named = [f"{target} on {tag}" for target, tag in rest[:4]]
    named += [f"{len(rest) - 4} more cells"] if len(rest) > 4 else []
    return ", ".join([*whole, *named])
