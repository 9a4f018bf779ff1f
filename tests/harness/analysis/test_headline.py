"""The kept share by hand and against a brute-force reading; the headline of made-up ladders, its flags and interval."""

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.headline import Climbed, Without, headline_of
from nharness.analysis.kept_share import Climb, read_ladder
from nharness.analysis.measurements import Paired
from nharness.errors import UsageError
from nharness.record.results import AnalysisSettings

SETTINGS = AnalysisSettings(bootstrap_draws=499, seed=3, confidence=0.95)
LANGUAGES = ("en", "zh", "fr")


def harms(*rungs):
    return np.array(rungs, dtype=float)


def test_kept_share_by_hand():
    # at 10 % own harm, half way from (4 %, 1 %) to (16 %, 5 %): the others' mean is 3 %
    found = read_ladder(harms((0.04, 0.02, 0.0), (0.16, 0.06, 0.04)))
    assert found.reached
    assert found.others == pytest.approx(0.03)
    assert found.kept == pytest.approx(0.7)
    assert found.languages.tolist() == pytest.approx([0.04, 0.02])


def test_the_first_rung_is_joined_to_nothing_at_all():
    found = read_ladder(harms((0.4, 0.1, 0.1), (0.5, 0.5, 0.5)))
    assert found.kept == pytest.approx(0.75)


def test_a_level_out_of_reach_shows_as_much_as_was_reached():
    found = read_ladder(harms((0.02, 0.0, 0.0), (0.05, 0.01, 0.01), (0.04, 0.0, 0.0)))
    assert not found.reached
    assert found.kept == pytest.approx(0.4)
    assert read_ladder(harms((-0.1, 0.0, 0.0))).kept == 0


def test_gains_of_others_do_not_count_and_destruction_gains_nothing():
    assert read_ladder(harms((0.2, -0.1, -0.1))).kept == 1
    assert read_ladder(harms((0.2, 0.2, 0.2))).kept == 0
    assert read_ladder(harms((2.0, 2.0, 2.0))).kept == 0


def test_many_matrices_are_read_like_each_alone():
    rng = np.random.default_rng(1)
    many = rng.normal(0.05, 0.1, (50, 6, 4)).cumsum(axis=1)
    together = read_ladder(many)
    for at, one in enumerate(many):
        assert together.kept[at] == pytest.approx(brute(one))


def brute(rungs, level=0.1):
    """The kept share, step by step."""
    before = np.zeros(rungs.shape[1])
    for row in rungs:
        if row[0] >= level:
            here = before + (level - before[0]) / (row[0] - before[0]) * (row - before)
            return min(1, max(0, 1 - max(0, here[1:].mean()) / level))
        before = row
    best = rungs[rungs[:, 0].argmax()]
    return min(1, max(0, (best[0] - max(0, best[1:].mean())) / level))


def ladder(rng, language, units, own, others, *, documents=40):
    """A climb whose rungs do so much harm to the own language and to the others, with noise a document."""
    size = rng.lognormal(6, 0.4, documents)
    ids = tuple(f"page-{i}" for i in range(documents))
    rungs = {}
    for n, mine, theirs in zip(units, own, others, strict=True):
        cells = {}
        for tag in LANGUAGES:
            harm = mine if tag == language else theirs
            change = size * (harm + rng.normal(0, 0.05, documents))
            cells[tag] = Paired(ids, ids, size * 1.0, size + change, size, None)
        rungs[n] = cells
    return Climb.of(language, rungs)


def climbs(rng, own=(0.02, 0.08, 0.2), others=(0.0, 0.02, 0.06), **more):
    return {tag: ladder(rng, tag, (1, 2, 4), own, others, **more) for tag in LANGUAGES}


def test_the_headline_is_the_mean_and_its_interval_holds_the_truth():
    inside = 0
    truth = brute(np.array([(0.02, 0.0), (0.08, 0.02), (0.2, 0.06)]))
    for seed in range(60):
        found = headline_of(Climbed(climbs(np.random.default_rng(seed))), SETTINGS)
        assert (found.reached, found.of, found.rank_eligible) == (3, 3, True)
        shares = [present(part.kept) for part in found.languages.values()]
        estimate = present(found.estimate)
        assert estimate.value == pytest.approx(np.mean(shares))
        low, high = present(estimate.interval)
        inside += low <= truth <= high
    assert 0.88 <= inside / 60 <= 1
    part = found.languages["en"]
    assert 2 < present(part.units) < 4
    assert [rung.units for rung in part.ladder] == [1, 2, 4]
    assert present(part.worst).language in {"zh", "fr"}
    assert present(part.at_25) < present(part.kept)


def test_noise_and_random_neurons_show_no_effect():
    rng = np.random.default_rng(5)
    noise = headline_of(Climbed(climbs(rng, own=(0.0, 0.001, 0.002), others=(0.0, 0.0, 0.0))), SETTINGS)
    assert present(noise.estimate).value == 0
    assert all({"not_reached", "no_effect"} <= set(part.flags) for part in noise.languages.values())
    assert {part.at_5 for part in noise.languages.values()} == {part.at_25 for part in noise.languages.values()} == {0}
    assert not noise.rank_eligible
    same = climbs(np.random.default_rng(6))
    drawn = {"en": {4: (0.1, 0.2, 0.3, 0.2)}, "zh": {4: (0.0, 0.01, 0.0, 0.01)}}
    found = headline_of(Climbed(same, chance=drawn), SETTINGS)
    assert found.languages["en"].kept == 0
    assert "no_effect" in found.languages["en"].flags
    assert present(found.languages["zh"].kept) > 0.5


def test_a_language_without_units_counts_as_nothing():
    found = headline_of(Climbed(climbs(np.random.default_rng(7)), empty=("de",)), SETTINGS)
    shares = [present(part.kept) for part in found.languages.values()]
    assert (found.of, found.languages["de"].kept) == (4, 0.0)
    assert present(found.estimate).value == pytest.approx(np.mean(shares))
    nothing = headline_of(Climbed({}), SETTINGS)
    assert (nothing.estimate, nothing.of, nothing.rank_eligible) == (None, 0, False)


def test_few_clusters_withhold_the_interval_and_the_rank():
    few = headline_of(Climbed(climbs(np.random.default_rng(8), documents=4)), SETTINGS)
    estimate = present(few.estimate)
    assert estimate.interval is None
    assert "4 clusters" in present(estimate.withheld)
    some = headline_of(Climbed(climbs(np.random.default_rng(9), documents=12)), SETTINGS)
    assert present(some.estimate).interval is not None
    assert not some.rank_eligible


def test_repeats_of_the_detection_widen_the_interval():
    alone = climbs(np.random.default_rng(10))
    repeats = [climbs(np.random.default_rng(20 + i), others=(0.0, 0.02 * i, 0.04 * i)) for i in range(4)]
    one, other = (present(headline_of(Climbed(alone, repeats=each), SETTINGS).estimate) for each in ((), repeats))
    assert other.value == one.value
    narrow, wide = (high - low for low, high in (present(one.interval), present(other.interval)))
    assert wide > 1.5 * narrow


def test_a_climb_refuses_what_does_not_belong_together():
    rng = np.random.default_rng(11)
    with pytest.raises(UsageError, match="other languages"):
        Climb.of("en", {1: {"en": Paired(("a",), ("a",), np.ones(1), np.ones(1), np.ones(1), None)}})
    with pytest.raises(UsageError, match="in zh itself"):
        Climb.of("zh", {1: {"en": Paired(("a",), ("a",), np.ones(1), np.ones(1), np.ones(1), None)}})
    first = ladder(rng, "en", (1,), (0.1,), (0.0,))
    assert first.harms().shape == (1, 3)


def test_what_hangs_on_one_unit_is_flagged():
    rng = np.random.default_rng(11)
    alone = climbs(rng)
    tag, climb = next(iter(alone.items()))
    reading = read_ladder(climb.harms())
    units, own = climb.units[int(reading.upper)], float(reading.read)

    def language(left, repeats=0, held=None):
        found = Climbed(alone, repeats=[climbs(rng)] * repeats, without={tag: Without(units, 7, left)})
        return headline_of(found, SETTINGS, held={tag: held}).languages[tag]

    strong = language(own / 2)
    assert (strong.hinge.unit, strong.hinge.share) == (7, pytest.approx(0.5))
    assert "hinge" in strong.flags
    assert not {"hinge", "hinge_at_cut"} & set(language(0.9 * own).flags)
    assert "hinge_at_cut" in language(0.9 * own, repeats=2, held=1).flags
    assert "hinge_at_cut" not in language(0.9 * own, repeats=2, held=2).flags
    other = headline_of(Climbed(alone, without={tag: Without(units + 1, 7, own)}), SETTINGS)
    assert other.languages[tag].hinge is None, "of a rung that is not read"
