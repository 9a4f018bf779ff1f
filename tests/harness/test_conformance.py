"""The checks pass everything that comes along, and a plug-in that is bad in one way fails exactly one of them."""

import subprocess
import sys
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import Field, field_serializer

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.errors import PluginError, UsageError
from nharness.intervention import Change, Intervention, InterventionOptions, ValueChange
from nharness.neurons import Detection
from nharness.plugins import Plugins
from nharness.statistics.table import LanguageTotals, Statistics
from nharness.task import TaskFamily, TaskSpec
from nharness.testing import check, checks_of, parametrize_with_checks
from nharness.testing.checks import LIGHT, kind_of

PLUGINS = Plugins()


def shipped(kind):
    found = {name: PLUGINS.resolve(kind, name) for name in PLUGINS.entries(kind)}
    return {name: thing() if kind in {"detectors", "interventions"} else thing for name, thing in found.items()}


def known(thing):
    if thing.name == "random":
        return {"names of languages": "its draw is seeded by the language's tag"}
    return {}


@parametrize_with_checks([*shipped("detectors").values()], expected_failed_checks=known)
def test_every_detector(thing, check):
    check(thing)


@parametrize_with_checks([*shipped("interventions").values(), *shipped("tasks").values()])
def test_every_intervention_and_family(thing, check):
    check(thing)


class Sound(Detector):
    """The language with the largest mean activation."""

    name = "sound"

    def needs(self):
        return (Need("moments", "gate"),)

    def detect(self, evidence):
        mean = evidence.statistics("gate").mean()
        return self.detection(evidence, membership=mean == np.fmax.reduce(mean, axis=0), score=mean)


class Undeclared(Sound):
    def detect(self, evidence):
        evidence.statistics("gate").activation_probability()
        return super().detect(evidence)


class Few(Sound):
    def detect(self, evidence):
        if len(evidence.languages) > 3:
            raise ValueError("too many")
        return super().detect(evidence)


class Even(Sound):
    def detect(self, evidence):
        evidence.statistics("gate").mean().reshape(-1, len(evidence.layer_widths), evidence.layer_widths[0])
        return super().detect(evidence)


class Dense(Sound):
    def detect(self, evidence):
        if any("/routed/" in name for name in evidence.any.tensors):
            raise ValueError("experts")
        return super().detect(evidence)


class Plain(Sound):
    def detect(self, evidence):
        found = super().detect(evidence)
        return Detection(found.detector, found.languages, found.layer_widths, found.membership, found.score, found.best)


class Lively(Sound):
    def detect(self, evidence):
        if (evidence.statistics("gate").variance() == 0).all(axis=0).sum() > 10:  # more than experts leave out
            raise ValueError("a dead neuron")
        return super().detect(evidence)


class Trusting(Sound):
    def detect(self, evidence):
        mean = evidence.statistics("gate").mean()
        return self.detection(evidence, membership=~(mean < np.fmax.reduce(mean, axis=0)), score=np.nan_to_num(mean))


class Anglophile(Sound):
    def detect(self, evidence):
        found = super().detect(evidence)
        found.membership[[tag == "en" for tag in evidence.languages]] = False
        return found


class Ordered(Sound):
    def detect(self, evidence):
        found = super().detect(evidence)
        found.membership[0] = False
        return found


class Moody(Sound):
    calls = 0

    def detect(self, evidence):
        Moody.calls += 1
        found = super().detect(evidence)
        return replace(found, score=found.score + np.float32(Moody.calls))


class Scribbler(Sound):
    def detect(self, evidence):
        for name, tensor in evidence.any.tensors.items():
            if name.startswith("activation_count"):
                np.add(tensor, 1, out=tensor)
        return super().detect(evidence)


class Loud(Sound):
    def detect(self, evidence):
        np.random.seed(len(evidence.languages) + int(np.random.random() * 1000))  # noqa: NPY002
        return super().detect(evidence)


class Bound(Sound):
    def __init__(self, **options):
        super().__init__(**options)
        self.helper = lambda: 0


class Percent(Sound):
    class Options(DetectorOptions):
        rate: float = Field(0.5, gt=0, le=1)

        @field_serializer("rate")
        def _in_percent(self, value):
            return value * 100


class Lenient(Sound):
    def __call__(self, evidence):
        return self.detect(evidence)


class Precise(Sound):
    def detect(self, evidence):
        return replace(super().detect(evidence), score=evidence.statistics("gate").mean())


class Uncut(Sound):
    def detect(self, evidence):
        found = super().detect(evidence)
        return Whole(**{name: getattr(found, name) for name in Detection.__dataclass_fields__})


class Whole(Detection):
    def cut(self, budget):
        return self


class Nameless(Sound):
    def detect(self, evidence):
        found = super().detect(evidence)
        return replace(found, score=np.where(found.membership, np.inf, found.score).astype(np.float32))


class Greedy(Sound):
    def detect(self, evidence):
        if evidence.any.size > 1000:
            np.zeros((9 << 30) * evidence.any.size // 458_752, dtype=np.uint8)
        return super().detect(evidence)


def failed(thing):
    return [point.name for point in check(thing) if point.problem]


BAD_DETECTORS = (
    (Undeclared, "declared needs suffice"),
    (Few, "two, three and seven languages"),
    (Even, "layers of unequal width"),
    (Dense, "experts"),
    (Plain, "other components"),
    (Lively, "dead and duplicate neurons"),
    (Trusting, "NaN"),
    (Anglophile, "names of languages"),
    (Ordered, "order of languages"),
    (Moody, "deterministic"),
    (Scribbler, "leaves its evidence alone"),
    (Loud, "leaves the process alone"),
    (Bound, "pickles"),
    (Percent, "options round trip"),
    (Lenient, "refuses one language"),
    (Precise, "survives its file"),
    (Uncut, "can be cut to a budget"),
    (Nameless, "finite scores"),
    (Greedy, "time and memory"),
)


class Off(Intervention):
    """Switched off."""

    name = "off"

    def changes(self, target, evidence):
        flat = np.asarray(target.flat)
        return (
            (Change("gate", flat, np.zeros(flat.size, np.float32), np.zeros(flat.size, np.float32)),)
            if flat.size
            else ()
        )


class Tactless(Off):
    def changes(self, target, evidence):
        evidence.statistics("gate").mean()
        return super().changes(target, evidence)


class Wide(Off):
    def changes(self, target, evidence):
        return super().changes(
            replace(target, flat=np.append(target.flat, 0)) if len(target.flat) else target, evidence
        )


class Always(Off):
    def changes(self, target, evidence):
        return super().changes(target if len(target.flat) else replace(target, flat=np.array([0])), evidence)


class Particular(Off):
    def changes(self, target, evidence):
        if target.language == "general":
            raise PluginError("no")
        return super().changes(target, evidence)


class Drawn(Off):
    """Draws from a generator of its own, which a copy has too."""

    def __init__(self, **options):
        super().__init__(**options)
        self.random = np.random.default_rng(0)

    def changes(self, target, evidence):
        return tuple(
            replace(change, shift=self.random.normal(size=change.flat.size))
            for change in super().changes(target, evidence)
        )


class Doodler(Off):
    def changes(self, target, evidence):
        for tensor in evidence.any.tensors.values():
            np.add(tensor, 1, out=tensor)
        return super().changes(target, evidence)


class Noisy(Off):
    def changes(self, target, evidence):
        np.random.seed(int(np.random.random() * 1000))  # noqa: NPY002
        return super().changes(target, evidence)


class Tied(Off):
    def __init__(self, **options):
        super().__init__(**options)
        self.helper = lambda: 0


class Rated(Off):
    class Options(InterventionOptions):
        rate: float = Field(0.5, gt=0, le=1)

        @field_serializer("rate")
        def _in_percent(self, value):
            return value * 100


def halved(values):
    return values / 2


def one_column(values):
    return values[:, :1]


def root(values, below):
    return (values - below).sqrt()


def centred(values):
    return values - values.mean(0)


def above(values, floor):
    return values.clamp(min=floor)


class Halved(Intervention):
    """A function of the values."""

    name, function = "halved", staticmethod(halved)

    def changes(self, target, evidence):
        return (ValueChange("gate", target.flat, self.function),) if len(target.flat) else ()


class Narrowed(Halved):
    function = staticmethod(one_column)


class Rooted(Halved):
    """Takes the root of what is below a bound, unless there are experts: a bound that is right for them alone."""

    def needs(self):
        return (Need("moments", "gate"),)

    def changes(self, target, evidence):
        below = -1e9 if any("/routed/" in name for name in evidence.any.tensors) else 0.0
        return (ValueChange("gate", target.flat, root, {"below": below}),) if len(target.flat) else ()


class Centred(Halved):
    function = staticmethod(centred)


class Unreached(Halved):
    """Divides by the number of tokens that reached each neuron, which is 0 for some experts."""

    def needs(self):
        return (Need("moments", "gate"),)

    def changes(self, target, evidence):
        table = evidence.statistics("gate")
        with np.errstate(all="ignore"):
            sums = np.array([table.get("moments", "sum", tag) / table.tokens(tag) for tag in evidence.languages])
        floor = sums.mean(axis=0)[target.flat]
        return (ValueChange("gate", target.flat, above, {"floor": floor}),) if len(target.flat) else ()


BAD_INTERVENTIONS = (
    (Tactless, "declared needs suffice"),
    (Wide, "changes its target alone"),
    (Rooted, "finite values"),
    (Narrowed, "values of the same shape"),
    (Centred, "each token by itself"),
    (Always, "nothing for no neuron"),
    (Particular, "general neurons"),
    (Unreached, "experts"),
    (Drawn, "deterministic"),
    (Doodler, "leaves its evidence alone"),
    (Noisy, "leaves the process alone"),
    (Tied, "pickles"),
    (Rated, "options round trip"),
)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"function": lambda values: values}, "expected one defined at the top of a module"),
        ({"function": np.float64(1).item}, "expected one defined at the top of a module"),
        ({"site": "up"}, "a change has site 'up'; expected one of 'gate', 'hidden'"),
        ({"flat": np.array([3, 3])}, "names a neuron twice"),
        ({"parameters": {"noise": 1.0}}, "a parameter 'noise'; expected an argument of its function, not `noise`"),
        ({"parameters": {"low": np.zeros(3)}}, r"a parameter low \[3\]; expected a number, or .* its 2 neurons"),
        ({"parameters": {"low": np.array([1, np.nan])}}, "a parameter low that is NaN or infinite"),
    ],
)
def test_a_change_of_values_that_cannot_be_is_refused_when_it_is_made(given, message):
    with pytest.raises(PluginError, match=message):
        ValueChange(**{"site": "gate", "flat": np.array([3, 9]), "function": halved} | given)


class Family(TaskFamily):
    name, summary = "family", "made up"

    def languages(self):
        return ("en", "de")

    def tasks_for(self, language):
        if language not in self.languages():
            return ()
        return (TaskSpec(self.name, self.name, language, "perplexity", "bits_per_byte", "bits per byte"),)


class Everywhere(Family):
    def tasks_for(self, language):
        return (TaskSpec(self.name, self.name, language, "perplexity", "bits_per_byte", "bits per byte"),)


class Misspelt(Family):
    def languages(self):
        return ("eng", "de")


class Twice(Family):
    def tasks_for(self, language):
        return super().tasks_for(language) * 2


class Stolen(Family):
    def tasks_for(self, language):
        return tuple(replace(spec, family="ppl") for spec in super().tasks_for(language))


class Promising(Family):
    def tasks_for(self, language):
        return super().tasks_for(language) if language == "en" else ()


class Counting(Family):
    asked = 0

    def tasks_for(self, language):
        self.asked += 1
        return tuple(replace(spec, name=f"{spec.name}-{self.asked}") for spec in super().tasks_for(language))


class Attached(Family):
    def __init__(self):
        self.helper = lambda: 0


BAD_FAMILIES = (
    (Misspelt, "canonical languages"),
    (Promising, "a task for every language"),
    (Stolen, "tasks of its own"),
    (Everywhere, "no task for others"),
    (Twice, "distinct names"),
    (Counting, "deterministic"),
    (Attached, "pickles"),
)
BAD = {"detectors": BAD_DETECTORS, "interventions": BAD_INTERVENTIONS, "tasks": BAD_FAMILIES}


@pytest.mark.parametrize("sound", [Sound, Off, Halved, Family])
def test_a_sound_one_passes(sound):
    assert failed(sound()) == []


@pytest.mark.parametrize(("bad", "caught"), [pair for pairs in BAD.values() for pair in pairs])
def test_a_bad_one_fails_exactly_its_check(bad, caught):
    assert failed(bad()) == [caught]


@pytest.mark.parametrize("kind", LIGHT)
def test_every_check_has_a_bad_one(kind):
    """The other kinds, whose checks run models: test_conformance_of_recording.py."""
    bad, caught = zip(*BAD[kind], strict=True)
    assert {kind_of(each()) for each in bad} == {kind}
    assert list(caught) == [each.name for each in checks_of(bad[0]())]


def test_the_kit_is_light_and_refuses_what_it_does_not_know():
    code = "import sys, nharness.testing; assert not {'torch', 'pytest', 'transformers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(UsageError, match="is no plug-in that can be checked; expected one of detectors"):
        check("lape")
    with pytest.raises(UsageError, match="no check is named 'experst'"):
        parametrize_with_checks([Sound()], expected_failed_checks=lambda _: {"experst": "a slip"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"site": "output"}, "a change has site 'output'; expected one of 'gate', 'hidden'"),
        ({"values_from": "clip"}, "a change has values_from 'clip'; expected one of '', 'resample', 'patch'"),
        ({"flat": np.array([3, 3])}, "names a neuron twice"),
        ({"flat": np.array([-1, 3])}, "expected flat indices"),
        ({"flat": np.array([1.5, 3])}, "expected flat indices"),
        ({"shift": np.zeros(3)}, r"expected one number per neuron, \[2\]"),
        ({"scale": np.array([1, np.nan])}, "a change has a scale that is NaN or infinite"),
    ],
)
def test_a_change_that_cannot_be_is_refused_when_it_is_made(changes, message):
    whole = {"site": "gate", "flat": np.array([1, 2]), "scale": np.zeros(2), "shift": np.zeros(2)}
    with pytest.raises(PluginError, match=message):
        Change(**{**whole, **changes})


@pytest.mark.parametrize("given", [("",), ("moments", ""), ("moments/sum",), (None,)])
def test_a_need_that_cannot_be_is_refused_when_it_is_made(given):
    with pytest.raises(PluginError, match=r"expected Need\('moments', 'gate'\)"):
        Need(*given)


class Broken(Sound):
    """Does to the evidence, or returns, what the test says."""

    act: ClassVar[Any]

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
        (lambda evidence: None, "returned None, expected an nharness.Detection"),
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


class Brackets(DetectorOptions):
    top_rate: float = 0.5


class OfBase(Detector[Brackets]):
    name = "bracketed"

    def needs(self):
        return ()

    def detect(self, evidence):
        raise NotImplementedError


class Derived(OfBase):
    """Has the options of what it derives from."""


class OwnOptions(OfBase):
    class Options(Brackets):
        top_rate: float = 0.25


def test_a_detectors_options_are_those_in_its_brackets():
    assert OfBase(top_rate=0.1).options == Brackets(top_rate=0.1)
    assert Derived().options == Brackets()
    assert OwnOptions().options.top_rate == 0.25

    class Damp(Intervention[InterventionOptions]):
        name = "damp"

        def changes(self, target, evidence):
            return ()

    assert Damp.Options is InterventionOptions
    assert Damp().options == InterventionOptions()
