"""What a reader should know of a record before reading any number: sentences that follow from its other fields.

A record carries them as its `warnings`; boards recompute them, so that leaving one out hides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nharness.languages import display_name
from nharness.record.cells import Shortfall
from nharness.record.model import Record
from nharness.record.sources import UNKNOWN_UNRANKED, Corpus

NAMED = 8
"""Languages that a sentence names before it counts the rest."""


def cautions(record: Record) -> tuple[str, ...]:
    """Return the sentences, the gravest first; empty for a record without any."""
    return tuple(_cautions(record))


def with_cautions(record: Record) -> Record:
    """Return the record with its cautions as warnings; its id stays."""
    return record.model_copy(update={"warnings": cautions(record)})


def shortfalls(record: Record) -> Mapping[str, Shortfall]:
    """Return, by language, which detections hold fewer neurons than the record's budget asks for."""
    budget = record.selection.budget
    if budget is None:
        return {}
    asked = max(1, round(budget * record.neurons.total))
    counts = record.neurons.per_language
    found = {tag: counts[tag] for tag in record.languages if tag in counts}
    return {tag: Shortfall(asked=asked, got=got) for tag, got in found.items() if got < asked}


def unranked_languages(corpus: Corpus) -> frozenset[str]:
    """Return the languages that no ranking counts: those of whose text the tokenizer does not know more than 5 %."""
    return corpus.hardly_known(UNKNOWN_UNRANKED)


def shortfall_text(record: Record) -> str:
    """Return in one sentence where the neurons do not fill the budget; empty where they do."""
    found = shortfalls(record)
    if not found:
        return ""
    asked, least = next(iter(found.values())).asked, min(each.got for each in found.values())
    most = max(each.got for each in found.values())
    got = f"{least}" if least == most else f"{least} to {most}"
    return f"the detector fills {got} of the {asked} neurons of this budget in {_named(found)}"


def _cautions(record: Record) -> Iterator[str]:
    failed = [cell for cell in record.cells if cell.status == "failed"]
    if failed:
        yield f"{len(failed)} of {len(record.cells)} cells failed; the first: {failed[0].reason}"[:500]
    for split in record.corpus.splits:
        if split.language in unranked_languages(record.corpus) and split.split == "eval":
            share = f"{100 * (split.unknown_share or 0):.0f} %"
            yield (
                f"{display_name(split.language)}: the tokenizer does not know {share} of the tokens; "
                "its numbers mean little, and the headline leaves it out"
            )
    if shortfalls(record):
        yield f"{shortfall_text(record)}; its numbers there are of fewer neurons than those of others"
    for overlap in record.corpus.overlap:
        name = display_name(overlap.language)
        yield f"{name}: {overlap.documents} evaluation documents are also in the detection text"
    empty = [tag for tag in record.languages if not record.neurons.per_language.get(tag)]
    if empty:
        yield f"no neurons were found for {_named(empty)}"
    if record.controls is None:
        yield "not compared with random neurons"


def _named(tags: Mapping[str, object] | list[str]) -> str:
    names = [display_name(tag) for tag in tags]
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{rest}"
