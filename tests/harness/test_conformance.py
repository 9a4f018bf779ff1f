"""The conformance kit passes every detector there is, and catches each sort of broken one."""

import numpy as np
import pytest

from nharness.detector import Detector, Evidence
from nharness.errors import PluginError
from nharness.plugins import Plugins
from nharness.statistics.table import LanguageTotals, Statistics
from nharness.testing.conformance import check_detector

SLOW = {"probe"}


class Sound(Detector):
    """Positive mean activation, and nothing else."""

    name = "sound"

    def needs(self):
        return ()

    def detect(self, evidence):
        mean = evidence.statistics("gate").mean()
        return self.detection(evidence, membership=mean == mean.max(axis=0), score=mean)


class Forgetful(Sound):
    """Drops a language."""

    def detect(self, evidence):
        found = super().detect(evidence)
        return type(found)(
            found.detector, found.languages[:2], found.layer_widths, found.membership[:2], found.score[:2], "highest"
        )


class Moody(Sound):
    """Answers differently every time."""

    calls = 0

    def detect(self, evidence):
        type(self).calls += 1
        found = super().detect(evidence)
        return self.detection(
            evidence, membership=np.roll(found.membership, type(self).calls, axis=1), score=found.score
        )


class Scribbler(Sound):
    """Writes into its evidence."""

    def detect(self, evidence):
        evidence.statistics("gate").tensors["moments/sum/en"][:] += 1
        return super().detect(evidence)


class Ordered(Sound):
    """Gives ties and everything else to the first language."""

    def detect(self, evidence):
        found = super().detect(evidence)
        first = np.zeros_like(found.membership)
        first[0] = True
        return self.detection(evidence, membership=first, score=found.score)


class Lenient(Sound):
    """Accepts anything."""

    def __call__(self, evidence):
        return self.detect(evidence)


class Broken(Sound):
    """Raises."""

    def detect(self, evidence):
        raise ZeroDivisionError("boom")


def failed(detector):
    return [point.name for point in check_detector(detector) if point.problem]


def test_a_sound_detector_passes():
    assert failed(Sound) == []


@pytest.mark.parametrize(
    ("detector", "caught"),
    [
        (Forgetful, "rows for all languages"),
        (Moody, "deterministic"),
        (Scribbler, "leaves its evidence alone"),
        (Ordered, "order of languages"),
        (Lenient, "refuses one language"),
        (Broken, "rows for all languages"),
    ],
)
def test_each_fault_is_caught(detector, caught):
    assert caught in failed(detector)


@pytest.mark.parametrize("name", sorted(set(Plugins().entries("detectors")) - SLOW))
def test_every_registered_detector_conforms(name):
    plugins = Plugins()
    assert [p for p in check_detector(plugins.resolve("detectors", name)) if p.problem] == []


class Broken(Sound):
    """Does to the evidence, or returns, what the test says."""

    def detect(self, evidence):
        return type(self).act(evidence)


def leave(evidence):
    raise SystemExit(0)


def overwrite(evidence):
    evidence.statistics("gate").get("moments", "sum", "en")[:] = 0


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (leave, "detector sound failed: SystemExit: 0"),
        (overwrite, "detector sound failed: ValueError: .* read-only"),
        (lambda evidence: None, "returned None, expected a nharness.Detection"),
        (lambda evidence: evidence.any.missing, "detector sound failed: AttributeError"),
    ],
)
def test_a_detector_that_breaks_is_named_and_leaves_the_evidence_alone(act, message):
    statistics = Statistics(
        "gate",
        (2,),
        {tag: LanguageTotals(3, 1) for tag in ("en", "de")},
        {f"moments/sum/{tag}": np.ones(2) for tag in ("en", "de")},
    )
    Broken.act = staticmethod(act)
    with pytest.raises(PluginError, match=message):
        Broken()(Evidence({"gate": statistics}))
    assert statistics.tensors["moments/sum/en"].tolist() == [1, 1]
