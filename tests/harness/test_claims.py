"""Claims on records made to bear them out, to contradict them, and to leave them open; and on what is not there."""

import pytest

from nharness.claims import check_claims, require_known
from nharness.errors import UsageError
from nharness.record.results import ControlSelectivity
from nharness.record.types import Estimate
from nharness.spec import Claim
from nharness_tasks.claims.selectivity import MoreThanRandom, OwnLanguageMost
from synthetic_records import synthetic_record

NAMED = {claim.name: claim for claim in (OwnLanguageMost, MoreThanRandom)}


@pytest.fixture
def record():
    return synthetic_record(accuracy=False, seed=1)


def telling(record, value, half=0.05, *, p=0.01, draws=20, effect=3.0):
    """The record with another selectivity and other draws."""
    control = ControlSelectivity(draws=draws, mean=0.0, sd=0.1, effect=effect, p=p)
    estimate = Estimate(value=value, interval=None if half is None else (value - half, value + half))
    summary = record.summary[0].model_copy(update={"selectivity": estimate, "control_selectivity": control})
    cells = tuple(cell.model_copy(update={"status": "ok", "reason": None}) for cell in record.cells)
    return record.model_copy(update={"summary": (summary,), "cells": cells})


def verdict(text, *records):
    (found,) = check_claims([Claim(statement=text)], records, NAMED)
    return found.verdict


def test_an_interval_that_straddles_the_bar_decides_nothing(record):
    assert verdict("selectivity > 0.1", telling(record, 0.2)) == "holds"
    assert verdict("selectivity > 0.1", telling(record, 0.02)) == "fails"
    assert verdict("selectivity > 0.1", telling(record, 0.12)) == "undecided"
    assert verdict("selectivity.low > 0.1", telling(record, 0.12)) == "fails"
    assert verdict("selectivity.low > 0.1", telling(record, 0.12, half=None)) == "undecided"


def test_a_matrix_that_was_measured_in_part_decides_nothing(record):
    whole = telling(record, 0.2)
    part = whole.model_copy(
        update={"cells": (whole.cells[0].model_copy(update={"status": "failed"}), *whole.cells[1:])}
    )
    assert verdict("diagonal_share >= 0", whole) == "holds"
    assert verdict("diagonal_share >= 0", part) == "undecided"


def test_what_nothing_is_about_is_an_error(record):
    with pytest.raises(UsageError, match="none of the 1 records can answer claim"):
        check_claims([Claim(statement="mgsm.selectivity > 100")], [record])
    with pytest.raises(UsageError, match=r"can answer claim .* by dln"):
        check_claims([Claim(statement="selectivity > 0", detector="dln")], [record])
    with pytest.raises(UsageError, match="task mgsm; this run has ppl"):
        require_known([Claim(statement="mgsm.selectivity > 100")], {"ppl"}, {"lape"}, ())
    with pytest.raises(UsageError, match="detector dln; this run has lape"):
        require_known([Claim(statement="selectivity > 0", detector="dln")], {"ppl"}, {"lape"}, ())
    require_known([Claim(statement="own-language-most")], {"ppl"}, {"lape"}, NAMED)


def test_own_language_most_holds_fails_and_is_undecided(record):
    assert verdict("own-language-most", telling(record, 0.2)) == "holds"
    assert verdict("own-language-most", telling(record, 0.2), telling(record, -0.2)) == "fails"
    assert verdict("own-language-most", telling(record, 0.02)) == "undecided"
    assert verdict("own-language-most", telling(record, 0.2, half=None)) == "undecided"


def test_more_than_random_holds_fails_and_is_undecided(record):
    assert verdict("more-than-random", telling(record, 0.2)) == "holds"
    assert verdict("more-than-random", telling(record, 0.2), telling(record, 0.2, p=0.3)) == "undecided"
    assert verdict("more-than-random", telling(record, -0.2, p=1.0, effect=-3.0)) == "fails"
    assert verdict("more-than-random", telling(record, -0.2, p=1.0, draws=5, effect=-3.0)) == "undecided"
    assert verdict("more-than-random", telling(record, 0.0, p=1.0, effect=None)) == "undecided"  # no neurons, no draws


def test_the_line_tells_number_and_rule(record):
    (found,) = check_claims([Claim(statement="own-language-most")], [telling(record, 0.2)], NAMED)
    assert found.line.startswith("claim holds: own-language-most (0.2; selectivity 0.2; selectivity above 0")
