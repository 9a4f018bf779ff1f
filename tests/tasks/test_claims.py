"""Every shipped claim on records built so that it holds, fails and is undecided; what is not measured decides nothing.

On permuted language labels: test_claims_permuted.py.
"""

from itertools import combinations

import numpy as np
import pytest

from narrowing import present
from nharness.claims import check_claims
from nharness.errors import UsageError
from nharness.plugins import Plugins
from nharness.record.detection import KindCounts
from nharness.record.results import ControlSelectivity, RowSummary
from nharness.record.structure import Border, Stages, Structure, StructureMeasure
from nharness.record.types import Estimate
from nharness.spec import Claim
from nharness_tasks.claims.sets import mean_interval, pairs_interval
from synthetic_records import synthetic_record

PLUGINS = Plugins()
BASE = synthetic_record(accuracy=False, seed=1, layers=12)


def verdict(name, *records):
    (found,) = check_claims([Claim(statement=name)], records, {name: PLUGINS.resolve("claims", name)})
    return found.verdict


def estimate(value, half=0.01):
    return Estimate(value=value, interval=None if half is None else (value - half, value + half))


def named(record, *, model=None, detector=None):
    parts = {}
    if model:
        parts["model"] = record.model.model_copy(update={"name": model})
    if detector:
        parts["detector"] = record.detector.model_copy(update={"name": detector})
    return record.model_copy(update=parts)


def told(record=BASE, *, kinds=("specific", "related"), budget=None, purpose="harm", task="ppl", **estimates):
    """The record with other estimates of its matrix as a whole."""
    summary = record.summary[0].model_copy(update={"task": task, **estimates})
    selection = record.selection.model_copy(update={"kinds": kinds, "budget": budget})
    intervention = record.intervention.model_copy(update={"purpose": purpose})
    return record.model_copy(update={"summary": (summary,), "selection": selection, "intervention": intervention})


def harmed(own, selectivity, **more):
    """The record with such harm, or gain, of the own language, and by so much more than of others."""
    return told(on_target=estimate(own), selectivity=estimate(selectivity), **more)


def gaining(own, others, half=0.02):
    """The record of a steering from English that gives such shares to the target, and to the others; none of English."""
    steered = BASE.intervention.model_copy(update={"purpose": "steer", "source": "en"})
    ends = {tag: -0.9 if tag == "en" else others for tag in BASE.languages}
    cells = tuple(
        cell.model_copy(update={"task": "output_language", "change": gain, "interval": (gain - half, gain + half)})
        for cell in BASE.cells
        if cell.task == "ppl"
        for gain in (own if cell.language == cell.target else ends[cell.language],)
    )
    record = told(task="output_language", on_target=estimate(own, half))
    return record.model_copy(update={"cells": cells, "intervention": steered})


def against_random(p, draws=20):
    return told(control_selectivity=ControlSelectivity(draws=draws, mean=0.0, sd=0.1, effect=3.0 - 6 * p, p=p))


def rows(**harms):
    """The record with such own harms of its languages as shares of their intact values, half-widths 0.01."""
    intact = {b.language: b.value for b in BASE.baseline if b.task == "ppl"}
    found = tuple(
        RowSummary(
            target=tag,
            language=tag,
            on_target=Estimate(value=v * intact[tag], interval=((v - 0.01) * intact[tag], (v + 0.01) * intact[tag])),
        )
        for tag, v in harms.items()
    )
    return told(rows=found)


def lying(first, last, p, *, low=0.5, high=0.5, record=BASE):
    """The record with such shares of its neurons at the ends, of which a fifth each is expected."""
    ends = {"first": (first, 0.2, low), "last": (last, 0.2, high), "both-ends": (first + last, 0.4, p)}
    measures = tuple(
        StructureMeasure(name=f"concentration-{name}", unit="share of neurons", value=v, expected=e, p=chance)
        for name, (v, e, chance) in ends.items()
    )
    return record.model_copy(update={"structure": Structure(measures=measures)})


def staged(found, best, record=BASE):
    borders = tuple(Border(layer=layer, certainty=0.9) for layer in (2, 6, 9)) if found else ()
    return record.model_copy(
        update={"structure": Structure(stages=Stages(found=found, best=best, borders=borders, rule="by hand"))}
    )


def stepping(*specific):
    """The record with so many specific neurons of all candidates in each layer."""
    zeros = (0,) * len(specific)
    kinds = {"specific": specific, "related": zeros, "general": zeros, "unassigned": zeros}
    layers = BASE.neurons.layers.model_copy(update={"kinds_all": kinds})
    return BASE.model_copy(update={"neurons": BASE.neurons.model_copy(update={"layers": layers})})


def overlapping(share, spread):
    size = len(BASE.languages)
    values = share + spread * np.linspace(-1, 1, size * size).reshape(size, size)
    values = (values + values.T) / 2 if spread else values
    values = values + spread * np.triu(np.resize([1, -1], (size, size)), 1)
    rounded = tuple(tuple(map(float, np.clip(row, 0, 1))) for row in values)
    return BASE.model_copy(update={"neurons": BASE.neurons.model_copy(update={"overlap": rounded})})


def trained(model, *counts):
    """A record whose languages have so many neurons in the first layer, and in the last what makes 10 of them."""
    rest = (0,) * (len(BASE.model.layer_widths) - 2)
    languages = {tag: (count, *rest, 10 - count) for tag, count in zip(BASE.languages, counts, strict=True)}
    layers = BASE.neurons.layers.model_copy(update={"languages": languages})
    return named(BASE.model_copy(update={"neurons": BASE.neurons.model_copy(update={"layers": layers})}), model=model)


def counted(model, specific, related):
    counts = KindCounts(specific=specific, related=related, general=0, unassigned=0)
    neurons = BASE.neurons.model_copy(update={"kinds_all": counts})
    return named(BASE.model_copy(update={"neurons": neurons}), model=model)


def recorded(model, parameters=1_000, widths=None, **layers):
    """The record with such (value, half-width) of each measure: of the whole model first, then layer by layer."""
    measures = tuple(
        StructureMeasure(name=name.replace("_", "-"), unit="probability", layer=layer, value=v, interval=(v - h, v + h))
        for name, values in layers.items()
        for layer, (v, h) in zip((None, *range(len(values) - 1)), values, strict=True)
        if v is not None
    )
    own = {"name": model, "parameters": parameters} | ({"layer_widths": widths} if widths else {})
    return BASE.model_copy(
        update={"structure": Structure(recorded=measures), "model": BASE.model.model_copy(update=own)}
    )


def met(model, lrds, sads, **more):
    """A record of three layers whose LRDS and SADS are such, everywhere."""
    return recorded(model, lrds=[(lrds, 0.01)] * 4, sads=[(sads, 0.01)] * 4, **more)


NONE = (None, 0)


def said(first, middle, last, *, english=(0.05, 0.5, 0.1), states=11, half=0.01):
    """A record of which layers give own and English tokens such masses: first fifth, the rest, the last."""
    own = [first] * 3 + [middle] * (states - 4) + [last]
    en = [english[0]] * 3 + [english[1]] * (states - 4) + [english[2]]
    lead = [a - b for a, b in zip(own, en, strict=True)]
    parts = {"lens_mean_own": own, "lens_mean_english": en, "lens_lead": lead}
    return recorded("deep", **{name: [NONE, *((v, half) for v in values)] for name, values in parts.items()})


def split(difference, p):
    """The record with such a difference of harm by script."""
    values = {"script-difference": difference, "same-script": 0.2 + difference, "other-script": 0.2}
    measures = tuple(
        StructureMeasure(name=f"{name}:ppl", unit="share", value=v, p=p if name == "script-difference" else None)
        for name, v in values.items()
    )
    return BASE.model_copy(update={"structure": Structure(measures=measures)})


def crossing(across, beside, half=0.02):
    """Serbian in both scripts, Russian and German: harm to the other script, and to the others in the target's."""
    tags = ("sr", "sr-Latn", "ru", "de")
    harm = {
        ("sr", "sr-Latn"): across,
        ("sr-Latn", "sr"): across,
        ("sr", "ru"): beside,
        ("sr-Latn", "de"): beside,
    }
    one, some = BASE.targets[0], next(cell for cell in BASE.cells if cell.task == "ppl")
    targets = tuple(one.model_copy(update={"name": tag, "language": tag}) for tag in tags)
    cells = tuple(
        some.model_copy(
            update={
                "target": target,
                "language": tag,
                "baseline": 2.0,
                "change": 2 * harm.get((target, tag), 9.0),
                "interval": (2 * (harm.get((target, tag), 9.0) - half), 2 * (harm.get((target, tag), 9.0) + half)),
            }
        )
        for target in tags
        for tag in tags
    )
    return BASE.model_copy(update={"languages": tags, "targets": targets, "cells": cells})


def cells_changed(low, high):
    cells = tuple(
        cell.model_copy(update={"status": "ok", "change": (low + high) / 2, "interval": (low, high), "flags": ()})
        for cell in BASE.cells
        if cell.task == "ppl"
    )
    return told(BASE.model_copy(update={"cells": cells}), kinds=("general",))


SPECIFIC = told(kinds=("specific",), on_target=estimate(0.1))
LAPE = named(told(selectivity=estimate(0.1)), detector="lape")
CASES = {
    "own-language-most": (
        [told(selectivity=estimate(0.1))],
        [told(selectivity=estimate(0.1)), told(selectivity=estimate(-0.1))],
        [told(selectivity=estimate(0.001))],
    ),
    "more-than-random": ([against_random(0.01)], [against_random(1.0)], [against_random(0.3)]),
    "few-neurons-suffice": (
        [harmed(0.1, 0.1, budget=0.002), harmed(-0.1, -0.1, budget=0.01)],
        [harmed(0.1, -0.1, budget=0.002)],
        [harmed(0.1, 0.001, budget=0.002)],  # the others are harmed as much
    ),
    "english-least": (
        [rows(en=0.01, zh=0.2, fr=0.3)],
        [rows(en=0.5, zh=0.2, fr=0.3)],
        [rows(en=0.245, zh=0.2, fr=0.3)],
    ),
    "related-add-harm": (
        [SPECIFIC, told(on_target=estimate(0.2))],
        [SPECIFIC, told(on_target=estimate(0.05))],
        [SPECIFIC, told(on_target=estimate(0.11))],
    ),
    "general-harm-all": ([cells_changed(0.1, 0.2)], [cells_changed(-0.2, -0.1)], [cells_changed(-0.1, 0.2)]),
    "steering-moves-target": (
        [gaining(0.3, 0.0)],
        [gaining(-0.3, 0.0)],
        [gaining(0.3, 0.29)],  # the others gain as much
    ),
    "more-selective-than-lape": (
        [LAPE, told(selectivity=estimate(0.2))],
        [LAPE, told(selectivity=estimate(0.05))],
        [LAPE, told(selectivity=estimate(0.11))],
    ),
    "concentrated-at-both-ends": (
        [lying(0.4, 0.4, 0.001)],
        [lying(0.01, 0.8, 0.001, low=0.99)],
        [lying(0.22, 0.22, 0.3)],
    ),
    "four-stages": (
        [staged(found=True, best="4 stages")],
        [staged(found=True, best="4 stages"), staged(found=False, best="1 stage")],
        [staged(found=False, best="3 stages", record=stepping(30, 30, 4, 4, 4, 14, 14, 14, 20, 20, 20, 20))],
    ),
    "little-overlap": ([overlapping(0.01, 0.001)], [overlapping(0.4, 0.001)], [overlapping(0.05, 0.04)]),
    "denser-with-training": (
        [trained("early", 1, 2, 1, 2), trained("late", 9, 9, 8, 8)],
        [trained("early", 9, 9, 8, 8), trained("late", 1, 2, 1, 2)],
        [trained("early", 1, 9, 1, 9), trained("late", 9, 1, 9, 1)],
    ),
    "alignment-makes-related": (
        [counted("b-aligned", 500, 500), counted("b-continued", 700, 300)],
        [counted("b-aligned", 700, 300), counted("b-continued", 500, 500)],
        [counted("b-aligned", 501, 500), counted("b-continued", 500, 500)],
    ),
    "language-draws-together": ([met("a", 0.2, 0.1)], [met("a", -0.2, 0.1)], [met("a", 0.005, 0.1)]),
    "meaning-draws-together-in-the-middle": (
        [recorded("a", sads=[(-0.1, 0.01), (-0.1, 0.01), (0.1, 0.01), (-0.1, 0.01)])],
        [met("a", 0.2, -0.1)],
        [met("a", 0.2, 0.005)],
    ),
    "alignment-grows-with-training": (
        [met("early", 0.2, 0.1), met("late", 0.2, 0.2), met("another", 0.2, 0.0, widths=(9, 9))],
        [met("early", 0.2, 0.2), met("late", 0.2, 0.1)],
        [met("early", 0.2, 0.1), met("late", 0.2, 0.11)],
    ),
    "alignment-grows-with-size": (
        [met("a-2", 0.2, 0.2, parameters=9_000), met("a-1", 0.2, 0.1), met("b-3", 0.2, 0.0, parameters=90_000)],
        [met("a-2", 0.2, 0.1, parameters=9_000), met("a-1", 0.2, 0.2)],
        [met("a-2", 0.2, 0.11, parameters=9_000), met("a-1", 0.2, 0.1)],
    ),
    "same-script-takes-the-harm": (
        [split(0.1, 0.01)],
        [split(-0.1, 0.99)],
        [split(0.1, 0.2)],
    ),
    "language-crosses-scripts": (
        [crossing(across=0.3, beside=0.1)],
        [crossing(across=0.1, beside=0.3)],
        [crossing(across=0.11, beside=0.1)],
    ),
    "three-phases": (
        [said(0.05, 0.2, 0.8)],
        [said(0.05, 0.5, 0.8, english=(0.05, 0.1, 0.1))],  # English is never ahead
        [said(0.05, 0.3, 0.8, english=(0.05, 0.315, 0.1), half=0.03)],
    ),
}


OF_NO_MATRIX = {
    *("concentrated-at-both-ends", "four-stages", "little-overlap", "denser-with-training", "alignment-makes-related"),
    *("language-draws-together", "meaning-draws-together-in-the-middle", "three-phases"),
    *("alignment-grows-with-training", "alignment-grows-with-size"),
}


def failing(record, task):
    """The record with one more cell of a task, which was not measured."""
    cell = record.cells[0].model_copy(update={"task": task, "status": "failed", "change": None, "interval": None})
    return record.model_copy(update={"cells": (*record.cells, cell)})


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_fails_and_is_undecided(name):
    holds, fails, undecided = CASES[name]
    assert [verdict(name, *holds), verdict(name, *fails), verdict(name, *undecided)] == ["holds", "fails", "undecided"]


def test_every_claim_that_ships_is_tried():
    assert {n for n, e in PLUGINS.entries("claims").items() if e.plugin == "tasks"} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_matrix_that_was_measured_in_part_decides_nothing(name):
    """Claims on the matrix; what others say follows from the neurons, or from what was recorded."""
    task = "output_language" if name == "steering-moves-target" else "ppl"
    found = {verdict(name, *(failing(record, task) for record in records)) for records in CASES[name][:2]}
    assert found == ({"holds", "fails"} if name in OF_NO_MATRIX else {"undecided"})


@pytest.mark.parametrize("name", CASES)
def test_a_claim_says_what_it_is(name):
    claim = PLUGINS.resolve("claims", name)
    assert claim.name == name
    assert claim.statement.endswith(".")
    assert claim.paper
    assert claim.needs


def test_the_number_that_decides_is_told_first_with_its_interval():
    found = PLUGINS.resolve("claims", "few-neurons-suffice")().test([harmed(0.1, 0.001, budget=0.002)])
    assert list(found.numbers.items()) == [("selectivity", 0.001), ("own harm", 0.1)]
    assert found.interval == pytest.approx((-0.009, 0.011))
    layers = [(0.1, 0.01), (0.1, 0.01), (0.05, 0.06), (0.04, 0.01), (0.06, 0.01), (0.1, 0.01)]
    found = PLUGINS.resolve("claims", "meaning-draws-together-in-the-middle")().test(
        [recorded("a", sads=[(0.1, 0.01), *layers])]
    )
    assert found.verdict == "undecided"
    assert (found.numbers["least SADS"], found.interval) == (0.04, pytest.approx((-0.01, 0.05)))


def test_a_shallow_model_decides_nothing_about_depth():
    assert verdict("four-stages", BASE.model_copy(update={"structure": Structure()})) == "undecided"
    shallow = lying(0.4, 0.4, 0.001, record=synthetic_record(accuracy=False, seed=1, layers=4))
    assert verdict("concentrated-at-both-ends", shallow) == "undecided"


def test_the_three_phases_fail_where_the_end_is_english_or_the_beginning_says_as_much():
    assert verdict("three-phases", said(0.05, 0.2, 0.1, english=(0.05, 0.5, 0.6))) == "fails"
    assert verdict("three-phases", said(0.5, 0.2, 0.8)) == "fails"
    assert verdict("three-phases", said(0.05, 0.2, 0.8, states=6)) == "undecided"
    assert verdict("three-phases", said(0.05, 0.2, 0.8, english=(0.6, 0.5, 0.1))) == "fails"  # as it is from the first


@pytest.mark.parametrize("name", ["language-draws-together", "three-phases", "alignment-grows-with-size"])
def test_a_claim_about_what_is_recorded_is_not_about_a_record_without_it(name):
    with pytest.raises(UsageError, match="can answer claim"):
        verdict(name, BASE, named(BASE, model="another"))


@pytest.mark.parametrize("name", ["alignment-makes-related", "related-add-harm", "denser-with-training"])
def test_a_claim_about_two_is_not_about_one(name):
    with pytest.raises(UsageError, match="none of the 1 records can answer claim"):
        verdict(name, SPECIFIC)


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("related-add-harm", [SPECIFIC, told(on_target=estimate(0.2))]),
        ("more-selective-than-lape", [LAPE, told(selectivity=estimate(0.2))]),
    ],
)
def test_records_of_other_languages_or_other_text_are_no_pair(name, pair):
    """A difference between them would be one of languages or of text as much as one of neurons."""
    one, other = pair
    fewer = one.model_copy(update={"languages": one.languages[:-1]})
    elsewhere = one.model_copy(update={"corpus": one.corpus.model_copy(update={"fingerprint": "0" * 16})})
    for apart in (fewer, elsewhere):
        with pytest.raises(UsageError, match="can answer claim"):
            verdict(name, apart, other)
    assert verdict(name, apart, fewer, one, other) == "holds"


def test_the_first_layers_are_the_first_fifth_of_the_depth():
    """Ten layers: the neurons of the first two count, those of the third do not."""
    deep = synthetic_record(accuracy=False, seed=1, layers=10)

    def state(model, first, second, third):
        languages = {tag: (first, second, third + n, *[0] * 7) for n, tag in enumerate(deep.languages)}
        layers = deep.neurons.layers.model_copy(update={"languages": languages})
        neurons = deep.neurons.model_copy(update={"layers": layers})
        return named(deep.model_copy(update={"neurons": neurons}), model=model)

    found = PLUGINS.resolve("claims", "denser-with-training")().test([state("a", 1, 2, 90), state("b", 4, 4, 0)])
    assert (found.verdict, found.numbers["mean growth in neurons"]) == ("holds", 5.0)


def test_two_revisions_of_one_model_are_two_states():
    def at(revision, record):
        return record.model_copy(update={"model": record.model.model_copy(update={"revision": revision})})

    row = [at("step1", met("a", 0.2, 0.1)), at("step9", met("a", 0.2, 0.2))]
    found = PLUGINS.resolve("claims", "alignment-grows-with-training")().test(row)
    assert found.verdict == "holds"
    assert list(found.numbers) == ["growth of SADS", "SADS of a@step1", "SADS of a@step9"]
    grown = [at("step1", trained("a", 1, 2, 1, 2)), at("step9", trained("a", 9, 9, 8, 8))]
    assert PLUGINS.resolve("claims", "denser-with-training")().test(grown).verdict == "holds"


def test_of_several_states_of_one_size_the_last_in_the_studys_order_counts():
    row = [met("a-early", 0.2, 0.0), met("a-late", 0.2, 0.2), met("a-small", 0.2, 0.1, parameters=100, widths=(9, 9))]
    found = PLUGINS.resolve("claims", "alignment-grows-with-size")().test(row)
    assert found.verdict == "holds"
    assert found.numbers["growth of SADS"] == pytest.approx(0.1)
    assert "SADS of a-early" not in found.numbers


def test_an_interval_over_pairs_of_languages_is_not_narrowed_by_their_number():
    """Pairs that hang together by their languages: the interval covers what other languages would give."""
    rng, covered, languages, boards = np.random.default_rng(3), 0, 8, 400
    for _ in range(boards):
        own = rng.normal(0, 1, languages)
        pairs = {(i, j): own[i] + own[j] for i, j in combinations(range(languages), 2)}
        low, high = present(pairs_interval(pairs))
        covered += low <= 0 <= high
    assert 0.92 <= covered / boards <= 0.98
    assert pairs_interval({(0, 1): 1.0, (0, 2): 2.0, (1, 2): 3.0}) is None
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx(
        (2 - 4.302652729911275 / 3**0.5, 2 + 4.302652729911275 / 3**0.5)
    )
