"""What a task is, as the runner plans with it: families, languages, and one specification per task and language.

Nothing here imports lm-eval or a tensor library.
"""

from nharness.task.expansion import expand_tasks
from nharness.task.families import CodedFamily, PerplexityFamily, TaskFamily
from nharness.task.outputs import JUDGEMENTS, OutputLanguageFamily, prompted_in
from nharness.task.spec import TaskKind, TaskSpec

__all__ = [
    "JUDGEMENTS",
    "CodedFamily",
    "OutputLanguageFamily",
    "PerplexityFamily",
    "TaskFamily",
    "TaskKind",
    "TaskSpec",
    "expand_tasks",
    "prompted_in",
]
