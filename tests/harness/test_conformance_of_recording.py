"""The checks of statistics and executors pass what comes along, and find what is bad in one way."""

from typing import ClassVar

import pytest
import torch

from nharness.errors import OptionError
from nharness.plugins import Plugins
from nharness.recording import Accumulator
from nharness.recording.builtin import ACCUMULATORS
from nharness.run.work.executor import Executor, LocalExecutor
from nharness.testing import check, parametrize_with_checks


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


class Summed(Largest):
    merge: ClassVar = {"largest": "sum"}


class Kept(Largest):
    """Goes on where the last shard ended."""

    merge: ClassVar = {"largest": "sum"}
    kept: ClassVar = {}

    def __init__(self, shard):
        super().__init__(shard)
        self.most = Kept.kept.setdefault(shard.size, torch.zeros(shard.size))

    def add(self, activations):
        self.most[activations.columns] += activations.values.abs().sum(0)

    def tensors(self):
        return {"largest": self.most.numpy().copy()}


def test_a_sound_statistic_passes():
    assert failed(Largest) == []


def test_bad_statistics_are_caught():
    """Most of what can be bad shows in several checks: what is not merged cannot be merged in any order either."""
    assert failed(Summed) == ["shards in any number"]
    assert "declares its merge" in failed(Unmerged)
    assert "starts afresh" in failed(Kept)


def test_one_that_other_processes_do_not_find_is_caught():
    class Here(Largest):
        pass

    class There(LocalExecutor):
        pass

    assert failed(Here) == failed(There) == ["pickles"]


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


@pytest.mark.parametrize(
    ("bad", "caught"),
    [(Idle, "refuses zero workers"), (Deaf, "refuses unknown options"), (Backwards, "returns every result, in order")],
)
def test_a_bad_executor_fails_exactly_its_check(bad, caught):
    assert failed(bad) == [caught]
    with pytest.raises(OptionError):
        LocalExecutor.check(0, {})
    assert issubclass(bad, Executor)
