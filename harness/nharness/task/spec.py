"""One task in one language, as the runner plans with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nharness.errors import OptionError

FEWSHOT_SEED = 1234
"""The seed that few-shot examples are chosen with, lm-eval's own; recorded with every task that has some."""


@dataclass(frozen=True)
class TaskSpec:
    """One task in one language: the evaluation half of a cell.

    kind: the name of the `TaskRunner` that plans, measures and describes it. Of those that come with nharness,
        "perplexity" and "generation" read the corpus's evaluation documents, "lm-eval" brings its own text.
    metric: the item value that is compared: "bits_per_byte" for perplexity, one of `outputs.JUDGEMENTS` for generation,
        else lm-eval's own name ("acc"); empty means the first that the task reports.
    metric_filter: lm-eval's name of the answer filter, "none" where a task has no filter.
    unit: what a change of the metric is counted in, for people ("bits per byte", "share of items").
    chance: the metric of a model that guesses; None where guessing has no such level or it differs by item.
    lm_eval_task: lm-eval's name of the task, group or tag.
    include_path: the folder of its YAML, empty for lm-eval's own.
    num_fewshot: None leaves the task's own number. limit: at most this many items, None for all.
    columns: (field, column) pairs that read a local file without a header, as `nharness.evaluation.local_files` has it.
    prompts: (id, question) pairs that are answered, for "generation"; none: openings of evaluation documents.
    prompted_in: the language of what "generation" goes on from, empty where it is the task's own.
    version: changes whenever the items or the scoring do.
    """

    name: str
    family: str
    language: str
    kind: str
    metric: str
    unit: str
    chance: float | None = None
    higher_is_better: bool = True
    lm_eval_task: str = ""
    include_path: str = ""
    metric_filter: str = "none"
    num_fewshot: int | None = None
    limit: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    prompts: tuple[tuple[str, str], ...] = ()
    prompted_in: str = ""
    version: str = "1"

    @property
    def id(self) -> str:
        """The task as it stands in a cell's id, `xcopa[zh]`."""
        return f"{self.name}[{self.language}]"

    def with_options(self, *, num_fewshot: int | None = None, limit: int | None = None) -> TaskSpec:
        """Return the task with a user's few-shot number and limit; None keeps what it has.

        Raises `OptionError` for a negative number of shots and for a limit below one.
        """
        if num_fewshot is not None and num_fewshot < 0:
            raise OptionError(f"num_fewshot is a number of examples, 0 or more; got {num_fewshot}")
        if limit is not None and limit < 1:
            raise OptionError(f"limit is a number of items, 1 or more; got {limit}")
        return replace(
            self,
            num_fewshot=self.num_fewshot if num_fewshot is None else num_fewshot,
            limit=self.limit if limit is None else limit,
        )
