"""What a task is, as the runner plans with it: families, languages, and one specification per task and language.

Nothing here imports lm-eval or a tensor library.
"""

from nharness.task.expansion import CODE, expand_tasks
from nharness.task.families import CodedFamily, PerplexityFamily, TaskFamily
from nharness.task.outputs import JUDGEMENTS, OutputLanguageFamily, written_in
from nharness.task.runner import Role, TaskRunner
from nharness.task.spec import FEWSHOT_SEED, TaskSpec

__all__ = [
    "CODE",
    "FEWSHOT_SEED",
    "JUDGEMENTS",
    "CodedFamily",
    "OutputLanguageFamily",
    "PerplexityFamily",
    "Role",
    "TaskFamily",
    "TaskRunner",
    "TaskSpec",
    "expand_tasks",
    "written_in",
]
