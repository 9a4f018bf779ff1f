"""Register the executors and the kinds of task that come with nharness; the local executor needs no plug-in."""

from __future__ import annotations

from collections.abc import Sequence

from nharness.hookspecs import Entry, hookimpl


@hookimpl
def nharness_register_task_runners() -> Sequence[Entry]:
    """Register perplexity, generation and lm-eval's tasks."""
    return (
        Entry("perplexity", "perplexity of the corpus's documents", "nharness.run.plan.runners:PerplexityRunner"),
        Entry("generation", "what the model writes after prompts", "nharness.run.plan.runners:GenerationRunner"),
        Entry("lm-eval", "a task of lm-eval's, or in its format", "nharness.run.plan.runners:LmEvalRunner"),
    )


@hookimpl
def nharness_register_executors() -> Sequence[Entry]:
    """Register Ray; its package is imported when it is used."""
    return (Entry("ray", "actors on one machine or many (extra ray)", "nharness.run.ray.executor:RayExecutor"),)
