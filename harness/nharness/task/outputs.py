"""Tasks in which the model writes, and which language it writes in is judged, with how well it does.

One generation is judged in several ways, each a task of its own with intervals of its own: `output_language`,
`output_language.lines`, `output_language.fluency`, `output_language.repetition`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nharness.errors import UsageError
from nharness.languages import primary
from nharness.task.families import TaskFamily
from nharness.task.spec import TaskSpec

_CODES = """
    af am an ar arz as ast av az azb ba bar be bg bho bik bn bo bpy br bs bua ca cbk ce ceb chm ckb co cs cv cy
    da de dsb dty dv egl el en eo es et eu fa fi fil fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy
    ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lah lb lez li lmo lo lrc lt lv mai mg min
    mk ml mn mr mrj ms mt mwl my myv mzn nah nap nb nds ne new nl nn oc or os pa pam pfl pl pms ps pt qu rm ro
    ru rue sa sah sc scn sco sd si sk sl so sq sr su sv sw ta te tg th tk tr tt tyv ug uk ur uz vec vep vi vls
    vo wa war wuu xal xmf yi yo yue zh zza
"""
IDENTIFIED = frozenset(_CODES.split())
"""Languages that lid.176 knows, without region and script, which it does not tell apart; letters tell the script."""

VERSION = "3"  # regions are not told apart, scripts are
Questions = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Judgement:
    """One way to judge what was written: the end of the task's name, the item value, its unit.

    of_language: whether it depends on the language that is asked after, and not on the text alone.
    """

    suffix: str
    metric: str
    unit: str
    higher_is_better: bool
    of_language: bool


JUDGEMENTS = (
    Judgement("", "in_language", "share of outputs", higher_is_better=True, of_language=True),
    Judgement(".lines", "lines_in_language", "share of lines", higher_is_better=True, of_language=True),
    Judgement(".fluency", "fluency", "bits per byte of output", higher_is_better=False, of_language=False),
    Judgement(".repetition", "repetition", "share of 4-grams", higher_is_better=False, of_language=False),
)


@dataclass(frozen=True)
class OutputLanguageFamily(TaskFamily):
    """Whether what the model writes is in the language it should be in.

    questions: by language, what is answered; without any, the model goes on from the openings of the corpus's
    evaluation documents. outputs: how many at most.
    """

    name: str = "output_language"
    summary: str = "What the model goes on writing: share in the language of its prompt, fluency, repetition"
    questions: Mapping[str, Questions] = field(default_factory=dict)
    outputs: int = 32

    def languages(self) -> tuple[str, ...]:
        """Return the languages of the questions; without questions nothing, since the corpus decides."""
        return tuple(self.questions)

    def tasks_for(self, language: str) -> tuple[TaskSpec, ...]:
        """Return one task a judgement; their limit is the number of outputs.

        None for a language without questions, where there are any, and for one that no output could be taken for.
        """
        if primary(language) not in IDENTIFIED or (self.questions and language not in self.questions):
            return ()
        return tuple(
            TaskSpec(
                name=self.name + how.suffix,
                family=self.name,
                language=language,
                kind="generation",
                metric=how.metric,
                unit=how.unit,
                higher_is_better=how.higher_is_better,
                limit=self.outputs,
                prompts=self.questions.get(language, ()),
                version=VERSION,
            )
            for how in JUDGEMENTS
        )


def written_in(task: TaskSpec, source: str, tasks: Sequence[TaskSpec]) -> TaskSpec | None:
    """Return the task going on from prompts in `source`; None for what is asked in the column of `source` already.

    The column of a language then says how much of what follows a prompt in `source` is in that language, which is how
    steering away from `source` is judged. What depends on the text alone is asked once, in the column of `source`.
    Raises `UsageError` when the tasks have no prompts in `source`.
    """
    own = next((t for t in tasks if (t.name, t.language) == (task.name, source)), None)
    if own is None:
        raise UsageError(f"task {task.name} has no prompts in --source-language {source!r}")
    of_language = task.metric in {how.metric for how in JUDGEMENTS if how.of_language}
    return replace(task, prompts=own.prompts, prompted_in=source) if of_language or task.language == source else None
