"""Every shipped claim on a planted model, where it holds, and on the same text with its language labels permuted.

Legend: `G` languages, `M` neurons, `D` documents.

A planted neuron is active in the text of some languages, and its loss harms these. Detection is LAPE's, on counts of
documents that are labelled rightly, or so that every label has as many documents of every language, in evaluation as
well: what tells languages apart is gone, and with it whatever a claim says of them. A claim that such labels cannot
touch says why.
"""

import numpy as np
import pytest

from nharness.analysis.structure.recorded import lens_measures, meanings
from nharness.detector import Evidence
from nharness.neurons import KINDS
from nharness.plugins import Plugins
from nharness.record.results import AnalysisSettings
from nharness.record.structure import Structure
from nharness.statistics import LanguageTotals, Statistics
from nharness.statistics.lens_masses import LensMasses
from nharness_detectors.lape import Lape
from nharness_detectors.lingua_franca import LinguaFranca
from synthetic_records import synthetic_record
from synthetic_runs import synthetic_run

PLUGINS = Plugins()
SETTINGS = AnalysisSettings(bootstrap_draws=200, seed=0, confidence=0.95)
TAGS = ("en", "de", "zh", "ru")
SCRIPTS = ("en", "de", "fr", "es", "ru", "uk", "bg")
LAYERS, WIDTH, DOCUMENTS, TOKENS = 12, 60, 56, 100
SIZE = LAYERS * WIDTH
ENDS, STEPS = (6, 6, *(0,) * 8, 6, 6), (40, 40, 40, 4, 4, 4, 24, 24, 24, 12, 12, 12)
ALL = KINDS[:3]
ACTIVE, BAR = 44, 0.075
"""How many neurons of a layer are active above the bar in the text of some language."""
HARM = {"en": 0.01}
"""What one neuron's loss does to each of its languages, in bits per byte, where it is not 0.05."""


def own(tags, layers):
    """Return what is planted: so many neurons of a layer, dealt to the languages one by one."""
    return [((tags[n % len(tags)],), layer) for layer, count in enumerate(layers) for n in range(count)]


def shared(groups, count):
    """Return so many neurons of every group of languages, all in the middle layers."""
    return [(group, 4 + n % 4) for group in groups for n in range(count)]


def planted(neurons, tags=TAGS, seed=0):
    """Return activation probabilities and effects [G, M] of a model with such neurons, (languages, layer) each.

    Every layer is filled up with harmless neurons that are as active as a language's own, but in all languages: without
    labels no layer is unlike another.
    """
    rng = np.random.default_rng(seed)
    p, effects = np.tile(rng.uniform(0.02, 0.06, SIZE), (len(tags), 1)), np.zeros((len(tags), SIZE))
    taken = [0] * LAYERS
    for members, layer in neurons:
        at, taken[layer] = layer * WIDTH + taken[layer], taken[layer] + 1
        p[:, at] = [0.6 if tag in members else 0.01 for tag in tags]
        effects[:, at] = [HARM.get(tag, 0.05) * (tag in members) for tag in tags]
    for layer, count in enumerate(taken):
        p[:, layer * WIDTH + count : layer * WIDTH + ACTIVE] = (0.6 + 0.01 * (len(tags) - 1)) / len(tags)
    return p, effects


def relabelled(documents):
    """Return documents [G, D, ...] so labelled that each label has as many of each language."""
    count = len(documents)
    return np.stack(
        [np.stack([documents[(row + n) % count][n] for n in range(documents.shape[1])]) for row in range(count)]
    )


def found(p, number, tags, *, permuted, seed=0):
    """Return the `number` neurons that LAPE finds in documents with such probabilities [G, M]."""
    rng = np.random.default_rng(seed)
    documents = rng.binomial(TOKENS, np.repeat(p[:, None], DOCUMENTS, axis=1))
    counts = (relabelled(documents) if permuted else documents).sum(axis=1)
    totals = {tag: LanguageTotals(DOCUMENTS * TOKENS, DOCUMENTS) for tag in tags}
    tensors = {f"activation_count/positive/{tag}": row.astype(np.int64) for tag, row in zip(tags, counts, strict=True)}
    recorded = Statistics("gate", (WIDTH,) * LAYERS, totals, tensors)
    below = float((counts <= BAR * DOCUMENTS * TOKENS).mean())
    return Lape(top_rate=number / SIZE, filter_rate=below, activation_bar=below)(Evidence({"gate": recorded}))


@pytest.fixture
def run(tmp_path):
    """Return what makes the record of a run on the planted model: neurons, labels, kinds, and how many LAPE takes."""

    def made(neurons, *, permuted, tags=TAGS, kinds=ALL, number=None, name="lape", **more):
        p, effects = planted(neurons, tags)
        detected = found(p, number or len(neurons), tags, permuted=permuted)
        effects = np.tile(effects.mean(axis=0), (len(tags), 1)) if permuted else effects
        folder = tmp_path / f"{name} {permuted} {kinds} {more.get('model_name')}"
        told = {"layers": LAYERS, "width": WIDTH, "kinds": kinds, "detector": name, "draws": 24, **more}
        return synthetic_run(folder, languages=tags, detected=detected, effects=effects, documents=24, **told)

    return made


def sentences(marks, *, permuted, seed=0):
    """Return vectors [D, M] of parallel sentences by language, `marks` components of which tell each language."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(len(TAGS), DOCUMENTS, SIZE)) + 0.5 * rng.normal(size=(DOCUMENTS, SIZE))
    for place in range(len(TAGS)):
        rows[place, :, place * marks : (place + 1) * marks] += 2.0
    rows = relabelled(rows) if permuted else rows
    totals = {tag: LanguageTotals(DOCUMENTS * TOKENS, DOCUMENTS) for tag in TAGS}
    tensors = {f"document_mean/mean/{tag}": row.astype(np.float32) for tag, row in zip(TAGS, rows, strict=True)}
    return Statistics("hidden", (WIDTH,) * LAYERS, totals, tensors)


def base(**recorded):
    return synthetic_record(languages=TAGS, layers=LAYERS, accuracy=False).model_copy(update=recorded)


def named(record, model):
    return record.model_copy(update={"model": record.model.model_copy(update={"name": model})})


def growing(*, permuted):
    """Return an early and a late record of key neurons, few and many of which tell languages apart."""
    for name, marks in (("early", 5), ("late", 60)):
        detected = LinguaFranca()(Evidence({"hidden": sentences(marks, permuted=permuted)}))
        record = base()
        depth = len(record.model.layer_widths)
        counts = {tag: (count, *[0] * (depth - 1)) for tag, count in zip(TAGS, detected.membership.sum(1), strict=True)}
        layers = record.neurons.layers.model_copy(update={"languages": counts})
        yield named(record.model_copy(update={"neurons": record.neurons.model_copy(update={"layers": layers})}), name)


def drawn_together(*, permuted):
    ids = {tag: [f"s{n}" for n in range(DOCUMENTS)] for tag in TAGS}
    return base(structure=Structure(recorded=meanings(sentences(60, permuted=permuted), ids, SETTINGS)))


def said(*, permuted):
    """Return a record of what layers say: own tokens ahead at the end, English before; labels of text in turn."""
    states = LAYERS + 1
    own_mass = np.array([0.02] * 3 + [0.1] * (states - 4) + [0.8])
    english = np.array([0.02] * 3 + [0.5] * (states - 4) + [0.1])
    read = {}
    for place in range(len(TAGS)):
        mass = np.zeros((8, states, len(TAGS) + 1))
        mass[:, :, 0], mass[:, :, place] = english, own_mass
        text = np.eye(len(TAGS) + 1)[[place] * 8]
        tag = TAGS[(place + permuted) % len(TAGS)]
        read[tag] = LensMasses(tuple(f"page{n}" for n in range(8)), np.ones(8, dtype=np.int64), mass, text)
    ordered = {tag: read[tag] for tag in TAGS}
    return base(structure=Structure(recorded=lens_measures(ordered, np.full(len(TAGS) + 1, 0.2), SETTINGS)))


def steered(record):
    """Return the record as one of steering: what is planted is now gained."""
    summary = record.summary[0].model_copy(update={"task": "output_language"})
    purpose = record.intervention.model_copy(update={"purpose": "steer"})
    cells = tuple(cell.model_copy(update={"task": "output_language"}) for cell in record.cells)
    return record.model_copy(update={"summary": (summary,), "intervention": purpose, "cells": cells})


PAIRS = [("en", "de"), ("zh", "ru"), ("en", "zh"), ("de", "ru")]
MIXED = [*own(TAGS, ENDS), *shared(PAIRS, 4)]
MERGED = [*own(TAGS, (2,) * LAYERS), *shared(PAIRS, 10)]
APART = [*own(TAGS, (6,) * LAYERS), *shared(PAIRS, 1)]
BY_SCRIPT = [*own(SCRIPTS, ENDS), *shared([SCRIPTS[:4], SCRIPTS[4:]], 8)]
SERBIAN = ("sr", "sr-Latn", "ru", "de")
CROSSING = [*own(SERBIAN, ENDS), *shared([SERBIAN[:2]], 8)]
ALIGNED = {"b-aligned": MERGED, "b-continued": APART}
CASES = {
    "own-language-most": lambda run, labels: [run(MIXED, **labels)],
    "more-than-random": lambda run, labels: [run(MIXED, **labels)],
    "few-neurons-suffice": lambda run, labels: [run(MIXED, budget=0.01, **labels)],
    "english-least": lambda run, labels: [run(MIXED, **labels)],
    "related-add-harm": lambda run, labels: [
        run(MIXED, kinds=kinds, **labels) for kinds in (("specific",), ("specific", "related"))
    ],
    "steering-moves-target": lambda run, labels: [steered(run(MIXED, **labels))],
    "more-selective-than-lape": lambda run, labels: [
        run(MIXED, number=8, **labels),
        run(MIXED, name="another", **labels),
    ],
    "concentrated-at-both-ends": lambda run, labels: [run(MIXED, **labels)],
    "four-stages": lambda run, labels: [run(own(TAGS, STEPS), **labels)],
    "little-overlap": lambda run, labels: [run(own(TAGS, ENDS), **labels)],
    "denser-with-training": lambda _, labels: list(growing(**labels)),
    "alignment-makes-related": lambda run, labels: [
        run(neurons, model_name=name, **labels) for name, neurons in ALIGNED.items()
    ],
    "language-draws-together": lambda _, labels: [drawn_together(**labels)],
    "same-script-takes-the-harm": lambda run, labels: [run(BY_SCRIPT, tags=SCRIPTS, **labels)],
    "language-crosses-scripts": lambda run, labels: [run(CROSSING, tags=SERBIAN, **labels)],
    "three-phases": lambda _, labels: [said(**labels)],
}
OF_MEANINGS = (
    "SADS takes each sentence in all languages at once, so that the labels within it say nothing; with meanings permuted "
    "it is gone: tests/harness/analysis/structure/test_recorded.py"
)
NOT_OF_LANGUAGES = {
    "general-harm-all": "general neurons are those of every language, whatever each is called",
    "meaning-draws-together-in-the-middle": OF_MEANINGS,
    "alignment-grows-with-training": OF_MEANINGS,
    "alignment-grows-with-size": OF_MEANINGS,
}


def verdict(name, records):
    return PLUGINS.resolve("claims", name)().test(records).verdict


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_of_what_is_planted_and_not_with_its_labels_permuted(name, run):
    assert verdict(name, CASES[name](run, {"permuted": False})) == "holds"
    assert verdict(name, CASES[name](run, {"permuted": True})) != "holds"


def test_every_claim_that_ships_is_tried_or_says_why_not():
    assert not set(CASES) & set(NOT_OF_LANGUAGES)
    assert {n for n, e in PLUGINS.entries("claims").items() if e.plugin == "tasks"} == {*CASES, *NOT_OF_LANGUAGES}
