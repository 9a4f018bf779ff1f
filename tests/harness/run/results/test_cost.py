"""What a detector itself needs of the model is counted from its needs, whatever else the run recorded."""

from types import SimpleNamespace
from typing import Any

import pytest

from narrowing import present
from nharness.detector import Evidence
from nharness.plugins import Plugins
from nharness.run.plan.resolve import resolve
from nharness.run.results.provenance import describe_cost
from nharness.run.stages.record import Recorded
from nharness.spec import Named, RunSpec
from nharness.statistics import LanguageTotals, Statistics

WIDTHS, TOKENS = (3, 4), (100, 50)


@pytest.mark.parametrize(
    ("name", "passes"),
    [("lape", 1), ("attribution", 3), ("random", 0)],
)
def test_a_detector_is_charged_for_its_own_passes(name, passes):
    resolved = resolve(RunSpec(languages=("en", "de"), detectors=(Named(name=name),)), Plugins())
    totals = dict(zip(("en", "de"), (LanguageTotals(tokens, 1) for tokens in TOKENS), strict=True))
    evidence = Evidence({site: Statistics(site, WIDTHS, totals, {}) for site in ("gate", "hidden")})
    recorded = Recorded(evidence, {}, (), 12_345, 0.0)
    assert present(describe_cost(resolved, name, recorded)).tokens == passes * sum(TOKENS)


def test_an_ablation_of_every_neuron_is_a_pass_each():
    detector = Named(name="exhaustive", options={"tokens": 64})
    resolved = resolve(RunSpec(languages=("en", "de"), detectors=(detector,)), Plugins())
    model: Any = SimpleNamespace(layer_widths=WIDTHS, component="mlp")
    evidence = Evidence.without_statistics(("en", "de"), model)
    recorded = Recorded(evidence, {}, (), 0, 0.0)
    ablated = resolved.detectors["exhaustive"].ablation_tokens()
    assert present(describe_cost(resolved, "exhaustive", recorded)).tokens == ablated * 2 * sum(WIDTHS)
