"""What every stage of a run is given: one frozen value, made once the model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nharness.corpora import Corpus
from nharness.events import Listener
from nharness.plugins import Plugins
from nharness.run.plan.plan import Plan
from nharness.run.plan.resolve import Resolved
from nharness.run.store import Store
from nharness.run.work.executor import Executor
from nharness.run.work.prompt_answers import Answered
from nharness.run.work.worker import Worker
from nharness.spec import RunSpec


def never() -> bool:
    """Return False: the run is not asked to stop."""
    return False


@dataclass(frozen=True)
class RunContext:
    """The things and cells of a run, who works for it, where products are kept, and who listens.

    resolved: the things that the specification names; its corpus is the one with the model's own answers where there
    are any. worker: of this process. stop: tells whether the run was asked to end. part: only a part of the cells is
    run, and no record is written. maxfail: failed cells after which the run ends; 0 for never. answered: what the model
    wrote where the corpus had open prompts.
    """

    resolved: Resolved
    plan: Plan
    executor: Executor
    store: Store
    listen: Listener
    stop: Callable[[], bool] = never
    part: bool = False
    maxfail: int = 0
    answered: Answered | None = field(default=None, repr=False)

    @property
    def worker(self) -> Worker:
        """The worker of this process."""
        return self.executor.worker

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything about model and software, where the work is done, that can change a number."""
        return self.executor.identity

    @property
    def spec(self) -> RunSpec:
        """The specification, its names settled."""
        return self.resolved.spec

    @property
    def plugins(self) -> Plugins:
        """The plug-ins of the run."""
        return self.resolved.plugins

    @property
    def corpus(self) -> Corpus:
        """The text of the run."""
        return self.resolved.corpus

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the run, in order."""
        return self.resolved.languages

    def reading(self, answered: Answered | None) -> RunContext:
        """Return the context of a run that reads what its model answered; itself where nothing was."""
        if answered is None:
            return self
        return replace(self, resolved=replace(self.resolved, corpus=answered.corpus(self.corpus)), answered=answered)
