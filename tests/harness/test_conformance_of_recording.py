"""The checks of statistics and executors pass what comes along, and find what is bad in one way."""

from dataclasses import replace
from typing import ClassVar
from weakref import WeakKeyDictionary

import pytest
import torch

from nharness.plugins import Plugins
from nharness.recording import Accumulator
from nharness.recording.builtin import ACCUMULATORS
from nharness.run.work.executor import LocalExecutor
from nharness.testing import check, checks_of, parametrize_with_checks
from nharness.testing.checks import KINDS, LIGHT, kind_of


def failed(thing):
    return [point.name for point in check(thing) if point.problem]


@parametrize_with_checks([*ACCUMULATORS.values()])
def test_every_statistic(thing, check):
    check(thing)


@parametrize_with_checks(
    [LocalExecutor, *(Plugins().resolve("executors", name) for name in Plugins().entries("executors"))]
)
def test_every_executor(thing, check):
    check(thing)


class Largest(Accumulator):
    """The largest activation of each neuron."""

    name, version, merge = "largest", "1", {"largest": "max"}

    def __init__(self, shard):
        super().__init__(shard)
        self.most = torch.full((shard.size,), -torch.inf)

    def add(self, activations):
        most = self.most[activations.columns]
        torch.maximum(most, activations.values.amax(0), out=most)

    def tensors(self):
        return {"largest": self.most.numpy()}


class Unmerged(Largest):
    merge: ClassVar = {}


class Overdeclared(Largest):
    merge: ClassVar = {"largest": "max", "smallest": "min"}


class Summed(Largest):
    merge: ClassVar = {"largest": "sum"}


class Kept(Largest):
    """Goes on where the model's last shard ended."""

    kept: ClassVar = WeakKeyDictionary()

    def __init__(self, shard):
        super().__init__(shard)
        self.most = Kept.kept.setdefault(shard.model, self.most)

    def tensors(self):
        return {"largest": self.most.numpy().copy()}


class ByTheFirst(Largest):
    """Is measured in lengths of the first document that the model ever read."""

    first: ClassVar = WeakKeyDictionary()

    def __init__(self, shard):
        super().__init__(shard)
        self.length = ByTheFirst.first.setdefault(shard.model, int(shard.document_tokens[0]))

    def tensors(self):
        return {"largest": self.most.numpy() / self.length}


class Hurried(Largest):
    """Has room for the longest document: on a CPU, tokens come a document at a time."""

    def add(self, activations):
        super().add(replace(activations, values=activations.values[: self.shard.document_tokens.max()]))


class Scribbling(Largest):
    def add(self, activations):
        activations.values.abs_()
        super().add(activations)


class Seeding(Largest):
    def __init__(self, shard):
        super().__init__(shard)
        torch.manual_seed(torch.initial_seed() + 1)


class Total(Largest):
    """One number for the whole model, which no file of statistics has room for."""

    def tensors(self):
        return {"largest": self.most.numpy().max(keepdims=True)}


class Dense(Largest):
    def __init__(self, shard):
        super().__init__(shard)
        if shard.routed:
            raise ValueError("experts")


def here():
    """Return a statistic that no other process finds."""

    class Here(Largest):
        pass

    return Here


class Idle(LocalExecutor):
    @classmethod
    def check(cls, workers, options):
        super().check(max(1, workers), options)


class Deaf(LocalExecutor):
    @classmethod
    def check(cls, workers, options):
        super().check(workers, {})


class Backwards(LocalExecutor):
    def map(self, work, pieces, seen):
        yield from reversed(list(super().map(work, pieces, seen)))


def there():
    """Return an executor that no other process finds."""

    class There(LocalExecutor):
        pass

    return There


BAD = {
    "statistics": (
        (Overdeclared, "declares its merge"),
        (Kept, "starts afresh"),
        (Summed, "shards in any number"),
        (ByTheFirst, "shards in any order"),
        (Hurried, "batches of any size"),
        (Scribbling, "leaves its activations alone"),
        (Seeding, "leaves the process alone"),
        (Total, "survives its file"),
        (Dense, "experts"),
        (here(), "pickles"),
    ),
    "executors": (
        (Idle, "refuses zero workers"),
        (Deaf, "refuses unknown options"),
        (Backwards, "returns every result, in order"),
        (there(), "pickles"),
    ),
}


@pytest.mark.parametrize("sound", [Largest, LocalExecutor])
def test_a_sound_one_passes(sound):
    assert failed(sound) == []


@pytest.mark.parametrize(("bad", "caught"), [pair for pairs in BAD.values() for pair in pairs])
def test_a_bad_one_fails_exactly_its_check(bad, caught):
    assert failed(bad) == [caught]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(LIGHT)))
def test_every_check_has_a_bad_one(kind):
    bad, caught = zip(*BAD[kind], strict=True)
    assert {kind_of(each) for each in bad} == {kind}
    assert list(caught) == [each.name for each in checks_of(bad[0])]


def test_a_statistic_without_a_rule_is_told_so_by_the_first_check():
    """Nothing can be recorded of it, so that the others fail too."""
    first = check(Unmerged)[0]
    assert first.name == "declares its merge"
    assert "does not say how its shards are merged; expected a rule for every tensor" in first.problem
