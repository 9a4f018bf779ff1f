"""Cells that stop early: when, on which documents, and what they cost; against the rule applied by hand."""

import numpy as np
import pytest

from nharness.analysis.sequential import Precision, evaluation_order
from nharness.cells import Cell, Edition
from nharness.corpora import EncodedDocument
from nharness.evaluation.items import Item
from nharness.run.work.stopping import rule_for, score_until
from nharness.run.work.texts import LanguageText
from nharness.spec import AnalysisSpec, RunSpec

LN2 = np.log(2)


def make_text(clusters, per_cluster=2):
    rng = np.random.default_rng(1)
    documents = tuple(
        EncodedDocument(
            f"d{n}-{part}", "en", f"c{n}", 0, np.arange(size := int(rng.integers(5, 30))), 0, size, 4 * size
        )
        for n in range(clusters)
        for part in range(per_cluster)
    )
    return LanguageText("en", documents)


def scorer(changes, calls):
    """Return a scorer whose bits per byte change by what `changes` says of a document's cluster."""

    def score(part):
        calls.append([document.id for document in part.documents])
        return [
            Item(
                d.id,
                d.cluster,
                {"nll": (d.counted + changes[d.cluster] * d.bytes) * LN2, "tokens": d.counted, "bytes": d.bytes},
            )
            for d in part.documents
        ]

    return score


def run(text, changes, **rule):
    calls = []
    before = scorer(dict.fromkeys(changes, 0.0), [])(text)
    items, tokens = score_until(scorer(changes, calls), text, before, rule=Precision(**rule), seed=3)
    return items, tokens, calls


def test_a_steady_change_stops_at_the_fewest_clusters_in_the_common_order():
    text = make_text(90)
    items, tokens, calls = run(text, {f"c{n}": 0.5 for n in range(90)}, half_width=0.01)
    order = evaluation_order([d.cluster for d in text.documents], seed=3)
    expected = {text.documents[place].id for place in order[:60]}
    assert {item.id for item in items} == expected
    assert len(calls) == 1
    assert [item.id for item in items] == [d.id for d in text.documents if d.id in expected]
    assert tokens == sum(d.counted for d in text.documents if d.id in expected)


def test_a_change_all_over_the_place_takes_every_document_once():
    text = make_text(90)
    noise = np.random.default_rng(0).normal(0, 5, 90)
    items, tokens, calls = run(text, {f"c{n}": float(noise[n]) for n in range(90)}, half_width=0.01)
    assert [item.id for item in items] == [d.id for d in text.documents]
    assert sorted(name for call in calls for name in call) == sorted(d.id for d in text.documents)
    assert tokens == text.tokens


def test_a_stricter_precision_sees_more_and_all_that_the_looser_saw():
    text = make_text(200)
    noise = np.random.default_rng(0).normal(0, 0.3, 200)
    changes = {f"c{n}": float(noise[n]) for n in range(200)}
    seen = [{item.id for item in run(text, changes, half_width=width)[0]} for width in (0.2, 0.1, 0.065)]
    assert seen[0] <= seen[1] <= seen[2]
    assert len(seen[0]) < len(seen[2]) < len(text.documents)


def test_few_clusters_are_all_seen():
    text = make_text(7)
    items, _, _ = run(text, {f"c{n}": 0.1 for n in range(7)}, half_width=0.01)
    assert len(items) == 14


@pytest.mark.parametrize(
    ("edition", "precision", "stops"),
    [
        (Edition("lape", "en", "zero"), 0.01, True),
        (Edition("lape", "en", "zero"), None, False),
        (Edition("lape", "en", "zero", control=1), 0.01, False),
        (None, 0.01, False),
    ],
)
def test_targets_on_text_may_stop_and_nothing_else(edition, precision, stops):
    spec = RunSpec(analysis=AnalysisSpec(precision=precision, confidence=0.9))
    rule = rule_for(Cell(edition, "ppl", "en"), spec)
    assert (rule is not None) is stops
    if rule is not None:
        assert (rule.half_width, rule.level) == (0.01, 0.9)
