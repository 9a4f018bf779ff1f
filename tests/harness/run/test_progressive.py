"""Targets that are shares of a language's neurons: their names, their order, their sizes."""

import itertools

import numpy as np
import pytest

from nharness.errors import UsageError
from nharness.neurons import Detection
from nharness.plugins import Plugins
from nharness.run.plan.plan import target_names
from nharness.run.plan.resolve import resolve
from nharness.run.stages.targets import best_share, choose_targets
from nharness.spec import RunSpec
from nharness.targets import part_target, whose


def detection(best="lowest"):
    rng = np.random.default_rng(0)
    membership = np.zeros((3, 40), dtype=bool)
    membership[0, rng.choice(40, 9, replace=False)] = True
    membership[1, rng.choice(40, 2, replace=False)] = True
    return Detection("some", ("de", "fr", "ru"), (20, 20), membership, rng.random(40).astype(np.float32), best)


@pytest.mark.parametrize("best", ["lowest", "highest"])
@pytest.mark.parametrize(("share", "counts"), [(0.1, (1, 1, 0)), (0.25, (2, 1, 0)), (0.5, (4, 1, 0)), (1, (9, 2, 0))])
def test_the_best_of_each_languages_own_neurons_by_score(best, share, counts):
    found = detection(best)
    cut = best_share(choose_targets(found, (), None), found, share)
    for tag, count in zip(found.languages, counts, strict=True):
        order = sorted(found.flat(tag), key=lambda flat: found.score[flat] * (1 if best == "lowest" else -1))
        assert cut.flat(tag).tolist() == sorted(order[:count])


def test_larger_shares_hold_the_smaller_ones():
    found = detection()
    rows = [best_share(found, found, share).membership for share in (0.25, 0.5, 0.75, 1.0)]
    for less, more in itertools.pairwise(rows):
        assert not (less & ~more).any()
    assert np.array_equal(rows[-1], found.membership)


def test_a_row_for_every_language_and_share():
    names = target_names(RunSpec(progressive=(1, 0.25, 0.5)), ("de", "zh-Hant"))
    assert names == ("de:0.25", "de:0.5", "de:1", "zh-Hant:0.25", "zh-Hant:0.5", "zh-Hant:1")
    assert [whose(name) for name in names[-2:]] == [("zh-Hant", 0.5), ("zh-Hant", 1.0)]
    assert whose("general") == ("general", 1.0)
    assert part_target(*whose("de:0.25")) == "de:0.25"
    near = RunSpec(progressive=(0.1234567, 0.12345671, 1e-9, 1))
    assert tuple(whose(name)[1] for name in target_names(near, ("de",))) == near.progressive
    assert target_names(RunSpec(), ("de", "fr")) == ("de", "fr")


def test_general_neurons_are_no_languages_to_take_shares_of():
    with pytest.raises(UsageError, match="--progressive switches off shares of each language's neurons"):
        resolve(RunSpec(progressive=(0.5,), kinds=("general",)), Plugins())
