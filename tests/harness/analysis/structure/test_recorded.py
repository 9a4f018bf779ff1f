"""What is recorded beside neurons: masses and meanings against numbers computed by hand."""

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.structure.recorded import lens_measures, meanings
from nharness.record.results import AnalysisSettings
from nharness.statistics import LanguageTotals, Statistics
from nharness.statistics.lens_masses import LensMasses

SETTINGS = AnalysisSettings(bootstrap_draws=500, seed=0, confidence=0.95)


def masses(own, english, *, sources=8, positions=2, column):
    """Every document has the same masses, [L + 1], on its own language's tokens and on English ones."""
    mass = np.zeros((sources, len(own), 3))
    mass[:, :, 0] = np.array(english) * positions
    mass[:, :, column] = np.array(own) * positions
    mass[:, :, 2] = positions - mass[:, :, :2].sum(axis=2)
    text = np.zeros((sources, 3))
    text[:, column] = positions
    names = tuple(f"page{n}" for n in range(sources))
    return LensMasses(names, np.full(sources, positions), mass, text)


def test_masses_by_hand():
    english = masses([0.2, 0.4, 0.9], [0.2, 0.4, 0.9], column=0)
    german = masses([0.1, 0.2, 0.7], [0.3, 0.6, 0.1], column=1)
    found = lens_measures({"en": english, "de": german}, np.array([0.5, 0.25, 0.25]), SETTINGS)
    values = {(m.name, m.languages, m.layer): m.value for m in found}
    assert values["lens-own", ("de",), None] == 1.0  # the text's own tokens
    assert [values["lens-own", ("en",), layer] for layer in range(3)] == pytest.approx([0.2, 0.4, 0.9])
    assert [values["lens-own", ("de",), layer] for layer in range(3)] == pytest.approx([0.1, 0.2, 0.7])
    assert [values["lens-english", ("de",), layer] for layer in range(3)] == pytest.approx([0.3, 0.6, 0.1])
    assert [values["lens-lead", (), layer] for layer in range(3)] == pytest.approx([-0.2, -0.4, 0.6])
    assert [values["lens-mean-english", (), layer] for layer in range(3)] == pytest.approx([0.3, 0.6, 0.1])
    assert ("lens-english", ("en",), 0) not in values
    expected = {(m.name, m.languages): m.expected for m in found}
    assert expected["lens-own", ("de",)] == 0.25
    assert expected["lens-english", ("de",)] == 0.5
    assert all(m.interval == pytest.approx((m.value, m.value)) for m in found)  # sources that do not differ


def test_the_lead_is_the_mean_over_languages_whatever_their_lengths_and_its_interval_over_sources():
    rng = np.random.default_rng(0)
    read = {"en": masses([0.5], [0.5], column=0)}
    for column, tag in ((1, "de"), (1, "fr")):
        base = masses([0.4], [0.3], sources=40, positions=3 if tag == "de" else 9, column=column)
        noise = rng.normal(0, 0.05, base.mass.shape[0]) * base.positions
        mass = base.mass.copy()
        mass[:, 0, 1] += noise
        read[tag] = LensMasses(
            base.clusters, base.positions, np.concatenate([mass, mass[:, :, :1]], axis=2), np.zeros((40, 4))
        )
    four = read["en"]
    read["en"] = LensMasses(
        four.clusters, four.positions, np.pad(four.mass, ((0, 0), (0, 0), (0, 1))), np.zeros((8, 4))
    )
    found = {(m.name, m.languages, m.layer): m for m in lens_measures(read, np.full(4, 0.25), SETTINGS)}
    lead, de, fr = (found[key] for key in (("lens-lead", (), 0), ("lens-own", ("de",), 0), ("lens-own", ("fr",), 0)))
    english = [present(found["lens-english", (tag,), 0].value) for tag in ("de", "fr")]
    value, (low, high) = present(lead.value), present(lead.interval)
    assert value == pytest.approx((present(de.value) + present(fr.value) - sum(english)) / 2)
    assert low < value < high
    assert 0.01 < high - low < 0.1


def test_nothing_is_said_without_english_or_another_language():
    one = masses([0.2], [0.2], column=0)
    assert lens_measures({"de": one, "fr": one}, np.full(3, 1 / 3), SETTINGS) == ()
    assert lens_measures({"en": one}, np.full(2, 0.5), SETTINGS) == ()


def statistics(vectors, widths=(2, 2)):
    totals = {tag: LanguageTotals(100, len(rows)) for tag, rows in vectors.items()}
    tensors = {f"document_mean/mean/{tag}": np.asarray(rows, dtype=np.float32) for tag, rows in vectors.items()}
    return Statistics("hidden", widths, totals, tensors)


def test_meanings_are_of_the_sentences_that_all_languages_have():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(14, 4))
    vectors = {"en": shared, "de": shared[::-1]}
    ids = {"en": [f"s{n}" for n in range(14)], "de": [f"s{n}" for n in reversed(range(14))]}
    found = {(m.name, m.layer): m for m in meanings(statistics(vectors), ids, SETTINGS)}
    assert set(found) == {(name, layer) for name in ("lrds", "sads", "retrieval") for layer in (None, 0, 1)}
    assert found["retrieval", None].value == 1.0  # the same vectors, put in step by their ids
    assert found["retrieval", None].expected == pytest.approx(1 / 12)  # the last of each language is left out
    assert present(found["sads", None].interval)[0] > 0
    low, high = present(found["lrds", None].interval)
    assert low < 0 < high or found["lrds", None].value == 0


@pytest.mark.parametrize(
    "ids",
    [
        {"en": [f"a{n}" for n in range(14)], "de": [f"b{n}" for n in range(14)]},
        {"en": [f"a{n}" for n in range(14)], "de": [f"a{n}" for n in range(13)]},
        {"en": ["a"] * 14, "de": ["a"] * 14},
        {"en": [f"a{n}" for n in range(14)]},
    ],
)
def test_text_that_is_not_parallel_says_nothing_of_meanings(ids):
    rows = np.random.default_rng(2).normal(size=(14, 4))
    assert meanings(statistics({"en": rows, "de": rows}), ids, SETTINGS) == ()


def test_meanings_out_of_step_draw_nothing_together():
    """Labels of meanings permuted: what SADS and retrieval found is gone."""
    rng = np.random.default_rng(4)
    meaning = rng.normal(size=(60, 12))
    rows = {tag: meaning + rng.normal(size=(60, 12)) for tag in ("en", "de")}
    names = [f"s{n}" for n in range(60)]
    shuffled = [names[n] for n in rng.permutation(60)]
    right = {
        m.name: m for m in meanings(statistics(rows, (6, 6)), {"en": names, "de": names}, SETTINGS) if m.layer is None
    }
    wrong = {
        m.name: m
        for m in meanings(statistics(rows, (6, 6)), {"en": names, "de": shuffled}, SETTINGS)
        if m.layer is None
    }
    assert present(right["sads"].interval)[0] > 0
    assert present(right["retrieval"].interval)[0] > present(right["retrieval"].expected)
    low, high = present(wrong["sads"].interval)
    assert low < 0 < high
    assert present(wrong["retrieval"].interval)[0] <= present(wrong["retrieval"].expected)
