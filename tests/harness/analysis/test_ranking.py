"""Ranks of headlines: error rates of simulated boards of ladders on one text, a better detector, what has no rank."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.headline import Climbed, headline_of, kept_mean
from nharness.analysis.joint import SETTINGS
from nharness.analysis.kept_share import Climb
from nharness.analysis.measurements import Paired
from nharness.analysis.ranking import Resampled, ranked, unranked
from nharness.errors import UsageError

LANGUAGES = ("en", "zh", "fr")
UNITS = (1, 2, 4, 8)
OWN = (0.03, 0.06, 0.12, 0.22)


def board(rng, count, *, clusters=40, repeats=0, leak=(0.3,)):
    """Ladders of detectors on one parallel text; detector i leaks `leak[i]` of its harm, the last of them from there on.

    A page is easy or hard for all languages and detectors at once, and for each detector in all languages at once; a
    part of the detection's text does something to every language.
    """
    ids = tuple(f"page-{i}" for i in range(clusters))
    size = rng.lognormal(5.5, 0.5, clusters)
    page = (rng.gamma(2, 1, clusters) - 2) * 0.02
    found = []
    for number in range(count):
        share = leak[min(number, len(leak) - 1)]
        common = (rng.gamma(2, 1, clusters) - 2) * 0.02
        parts = rng.normal(0, 0.05, repeats) if repeats else np.zeros(1)
        ladders = [_ladders(rng, ids, size, page + common, share + part) for part in parts]
        whole = _ladders(rng, ids, size, page + common, share + parts.mean())
        found.append(Climbed(whole, repeats=ladders if repeats else ()))
    return found


def _ladders(rng, ids, size, page, leak):
    ladders = {}
    for target in LANGUAGES:
        rungs = {}
        for units, own in zip(UNITS, OWN, strict=True):
            rungs[units] = {}
            for tag in LANGUAGES:
                harm = own * (1 + page) if tag == target else own * leak * (1 + page)
                change = size * (harm + rng.normal(0, 0.02, len(ids)))
                rungs[units][tag] = Paired(ids, ids, size, size + change, size, None)
        ladders[target] = Climb.of(target, rungs)
    return ladders


def drawn_of(climbed):
    return present(Resampled.of(climbed))


def ranks(found):
    drawn = {str(number): drawn_of(each) for number, each in enumerate(found)}
    found = ranked(drawn).ranks
    return [found[name] for name in drawn]


@pytest.mark.parametrize(("clusters", "repeats"), [(20, 0), (40, 4)])
def test_fifteen_equal_detectors_are_seldom_told_apart(clusters, repeats, monkeypatch):
    fewer = SETTINGS.model_copy(update={"bootstrap_draws": 399})
    monkeypatch.setattr("nharness.analysis.ranking.SETTINGS", fewer)
    rng, split, boards = np.random.default_rng(92), 0, 15
    for _ in range(boards):
        split += any(interval != (1, 15) for interval in ranks(board(rng, 15, clusters=clusters, repeats=repeats)))
    assert split <= 3  # where 5 % of boards err, 4 or more of 15 do once in two hundred times


def test_a_detector_that_was_not_repeated_is_ranked_among_those_that_were(monkeypatch):
    fewer = SETTINGS.model_copy(update={"bootstrap_draws": 399})
    monkeypatch.setattr("nharness.analysis.ranking.SETTINGS", fewer)
    rng, split = np.random.default_rng(97), 0
    for _ in range(6):
        found = board(rng, 5, repeats=4)
        found[-1] = replace(found[-1], repeats=())
        split += any(interval != (1, 5) for interval in ranks(found))
    assert split <= 2
    better = [*board(rng, 2, repeats=4, leak=(0.5,)), replace(board(rng, 1, repeats=4, leak=(0.05,))[0], repeats=())]
    assert ranks(better)[-1] == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("clusters", "repeats"), [(20, 0), (40, 0), (40, 4)])
def test_of_two_hundred_boards_at_most_ten_tell_equal_detectors_apart(clusters, repeats, monkeypatch):
    fewer = SETTINGS.model_copy(update={"bootstrap_draws": 499})
    monkeypatch.setattr("nharness.analysis.ranking.SETTINGS", fewer)
    rng = np.random.default_rng(92)
    boards = (ranks(board(rng, 15, clusters=clusters, repeats=repeats)) for _ in range(200))
    assert sum(any(interval != (1, 15) for interval in found) for found in boards) <= 10


def test_a_cleaner_detector_ranks_first_and_pairs_say_by_how_much():
    found = board(np.random.default_rng(93), 4, leak=(0.05, 0.5))
    assert ranks(found) == [(1, 1), (2, 4), (2, 4), (2, 4)]
    drawn = {name: drawn_of(each) for name, each in zip("abcd", found, strict=True)}
    ranking = ranked(drawn)
    value, low, high = ranking.differences["a", "b"]
    assert value == pytest.approx(kept_mean(found[0]) - kept_mean(found[1]))
    assert 0 < low < value < high
    assert all(found[1] < 0 < found[2] for pair, found in ranking.differences.items() if "a" not in pair)


def test_the_ranked_value_is_the_headlines():
    found = board(np.random.default_rng(94), 1)[0]
    assert drawn_of(found).value == pytest.approx(present(headline_of(found, SETTINGS).estimate).value)


def test_records_of_other_texts_are_not_ranked_together():
    rng = np.random.default_rng(95)
    one, two = (drawn_of(board(rng, 1, clusters=clusters)[0]) for clusters in (30, 31))
    with pytest.raises(UsageError, match="2 texts"):
        ranked({"a": one, "b": two})
    assert ranked({}).ranks == {}
    assert ranked({"a": one}).ranks == {"a": (1, 1)}


def test_what_has_no_rank_says_why():
    rng = np.random.default_rng(96)
    one = board(rng, 1)[0]
    corpus: Any = SimpleNamespace(hardly_known=lambda _: frozenset())
    tags = ("en", "de", "fr")
    record: Any = SimpleNamespace(headline=headline_of(one, SETTINGS), corpus=corpus, languages=tags)
    assert unranked(record, Resampled.of(one)) is None
    nothing: Any = SimpleNamespace(headline=None)
    assert "one budget" in present(unranked(nothing, None))
    assert "items of its ladders" in present(unranked(record, None))
    thin = board(rng, 1, clusters=19)[0]
    few: Any = SimpleNamespace(headline=headline_of(thin, SETTINGS), corpus=corpus, languages=tags)
    assert "19 sources; a rank needs 20" in present(unranked(few, Resampled.of(thin)))
    low: Any = SimpleNamespace(
        headline=record.headline.model_copy(update={"reached": 1}), corpus=corpus, languages=tags
    )
    for unknown, reason in (
        (("ja",), None),
        (("ja", "en"), "the tokenizer hardly knows the text of any of its languages"),
    ):
        hardly = SimpleNamespace(hardly_known=lambda _, unknown=unknown: frozenset(unknown))
        odd: Any = SimpleNamespace(headline=record.headline, corpus=hardly, languages=("en", "ja"))
        assert unranked(odd, Resampled.of(one)) == reason
    assert unranked(low, Resampled.of(one)) == "1 of 3 languages reach 10% harm; a rank needs half of them"
    assert Resampled.of(board(rng, 1, clusters=4)[0]) is None
