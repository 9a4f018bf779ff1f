"""What a reader should know of a record first: it follows from the record, and leaving it out changes no id."""

import pytest

from nharness.record.cautions import cautions, shortfalls, unranked_languages, with_cautions
from synthetic_records import synthetic_record


@pytest.fixture(scope="module")
def record():
    return synthetic_record(languages=("en", "zh", "fr"), draws=2, budget=None)


def with_unknown(record, tag, share):
    splits = tuple(
        split.model_copy(update={"unknown_share": share if split.language == tag else 0.0})
        for split in record.corpus.splits
    )
    return record.model_copy(update={"corpus": record.corpus.model_copy(update={"splits": splits})})


def at_budget(record, share):
    return record.model_copy(update={"selection": record.selection.model_copy(update={"budget": share})})


@pytest.mark.parametrize(("share", "ranked"), [(0.0, True), (0.05, True), (0.051, False), (0.84, False)])
def test_a_language_that_the_tokenizer_hardly_knows_is_not_ranked(record, share, ranked):
    found = with_unknown(record, "zh", share)
    assert unranked_languages(found.corpus) == (frozenset() if ranked else {"zh"})
    assert (
        any(f"Chinese: the tokenizer does not know {100 * share:.0f} %" in text for text in cautions(found)) != ranked
    )


def test_a_budget_that_is_not_filled_is_said_with_how_far_it_is_filled(record):
    counts = record.neurons.per_language
    asked = max(counts.values())
    full = min(counts.values()) == asked
    found = at_budget(record, asked / record.neurons.total)
    assert set(shortfalls(found)) == {tag for tag, got in counts.items() if got < asked}
    more = at_budget(record, (asked + 1) / record.neurons.total)
    assert {tag: (each.asked, each.got) for tag, each in shortfalls(more).items()} == {
        tag: (asked + 1, got) for tag, got in counts.items()
    }
    (told,) = [text for text in cautions(more) if "fills" in text]
    least = f"{asked}" if full else f"{min(counts.values())} to {asked}"
    assert told.startswith(f"the detector fills {least} of the {asked + 1} neurons of this budget in English, Chinese")


def test_without_random_neurons_or_with_failed_cells_it_is_said():
    bare = synthetic_record(languages=("en", "zh"), draws=0)
    assert "not compared with random neurons" in cautions(bare)


def test_the_id_does_not_hang_on_the_sentences(record):
    found = with_cautions(at_budget(record, 0.5).with_id())
    assert found.warnings
    assert found.with_id().identity.id == found.identity.id
