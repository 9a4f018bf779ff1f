"""From names to things: what a specification means with the plug-ins at hand, before any model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nharness.corpora import SPLITS, Columns, Corpus, load_corpus
from nharness.corpora.separated import first_repeated
from nharness.detector import Detector, Evidence, Need
from nharness.errors import (
    FileFormatError,
    NharnessError,
    NothingCollectedError,
    PluginError,
    UnknownNameError,
    UsageError,
)
from nharness.evaluation.include_paths import check_include_paths
from nharness.intervention import Intervention
from nharness.languages import choose_languages, parse_languages
from nharness.neurons import Detection, same_model
from nharness.neurons import load as load_neurons
from nharness.plugins import Plugins, told
from nharness.record.types import require_nameable
from nharness.spec import REPEATS, CorpusSpec, Named, RunSpec, as_identifier
from nharness.task import TaskFamily, TaskRunner, TaskSpec, expand_tasks

FILE = "file:"


class FromFile(Detector):
    """A detection that is read, not made: `--detector file:N.safetensors` evaluates any neurons.

    It is called after the file, with a hyphen for whatever the name of a detector cannot have.
    """

    name = "file"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.name = f"{FILE}{as_identifier(path.name)}"
        self.detection_read = read_detection(path)

    def needs(self) -> tuple[Need, ...]:
        """Need nothing recorded."""
        return ()

    def detect(self, evidence: Evidence) -> Detection:
        """Return the file's detection; unused, since `__call__` checks and returns it."""
        return self(evidence)

    def __call__(self, evidence: Evidence) -> Detection:
        """Return the rows of the run's languages.

        Raises `UsageError` when the file is of a model of other widths or has no row for one of the languages.
        """
        found = self.detection_read
        same_model(found, evidence, what=f"the neurons of {self.name}")
        rows = [found.row(tag) for tag in evidence.languages]
        return replace(
            found,
            detector=self.name,
            languages=evidence.languages,
            membership=found.membership[rows],
            score=found.score if found.score.ndim == 1 else found.score[rows],
            candidates=None if found.candidates is None else found.candidates[rows],
        )


@dataclass(frozen=True)
class Resolved:
    """Everything a run needs beside its model."""

    spec: RunSpec
    plugins: Plugins
    corpus: Corpus
    languages: tuple[str, ...]
    detectors: Mapping[str, Detector]
    interventions: Mapping[str, Intervention]
    tasks: tuple[TaskSpec, ...]
    warnings: tuple[str, ...]

    def runner(self, task: TaskSpec) -> TaskRunner:
        """Return the kind that a task is of."""
        return task_runner(task, self.plugins)


def resolve(spec: RunSpec, plugins: Plugins, *, unread: bool = False) -> Resolved:
    """Return the things behind the specification's names; raises `UsageError` in one sentence for the first fault.

    unread: the corpus is not opened, for what can be said without it; it then has the languages that are named.
    The returned specification names the detectors as cells will: by the name of what was found.
    """
    if not (spec.detectors and spec.interventions and spec.tasks):
        raise NothingCollectedError("nothing to run: expected at least one detector, one intervention and one task")
    detectors = {detector.name: detector for detector in (load_detector(named, plugins) for named in spec.detectors)}
    if len(detectors) < len(spec.detectors):
        raise UsageError("a detector is named twice; to compare its options, run it twice with different --out")
    interventions = {named.name: load_intervention(named, plugins) for named in spec.interventions}
    if len(interventions) < len(spec.interventions):
        raise UsageError("an intervention is named twice; to compare its options, run it twice with different --out")
    _check_strengths(spec, interventions)
    _check_repeats(spec, detectors)
    spec = spec.model_copy(update={"folds": _folds(spec, detectors)})
    _check_source(spec, interventions)
    if spec.progressive and spec.kinds == ("general",):
        raise UsageError(
            "--progressive switches off shares of each language's neurons; --kinds general has no languages"
        )
    corpus = unread_corpus(spec) if unread else open_corpus(spec.corpus, spec.languages, plugins)
    languages = choose_languages(spec.languages, corpus.languages, where=f"corpus {corpus.name!r}")
    if len(languages) < 2:
        raise UsageError(f"a run compares languages and needs at least 2; got {', '.join(languages) or 'none'}")
    tasks, warnings = expanded(spec, languages, plugins)
    if not tasks:
        raise NothingCollectedError(f"nothing to run: {'; '.join(warnings)}")
    twice = first_repeated(task.id for task in tasks)
    if twice is not None:
        raise UsageError(
            f"two tasks are both {twice} in a record, whose names have fewer characters than lm-eval's; rename one"
        )
    _check_scope(spec, tasks, plugins)
    warnings += _check_controls(spec, tasks, plugins)
    tasks = _with_options(tasks, spec, plugins)
    source = spec.source_language
    if source is not None:
        (source,) = choose_languages((source,), languages, where="the run")
        tasks = _prompted_in(source, tasks, plugins)
    named = [Named(name=name, options=entry.options) for name, entry in zip(detectors, spec.detectors, strict=True)]
    settled = spec.model_copy(update={"detectors": tuple(named), "languages": languages, "source_language": source})
    return Resolved(settled, plugins, corpus, languages, detectors, interventions, tasks, warnings)


def load_detector(named: Named, plugins: Plugins) -> Detector:
    """Return the detector of a name, a `module:attribute` path, or a neurons file."""
    if named.name.strip() == FILE:
        raise UsageError(f"{FILE} names no file; expected file:NEURONS.safetensors")
    if named.name.startswith(FILE):
        return FromFile(Path(named.name.removeprefix(FILE)))
    if named.name.endswith(".safetensors"):
        raise UsageError(f"{named.name} is a file; expected {FILE}{named.name}")
    if named.name.endswith((".pth", ".pt")):
        raise UsageError(
            f"{named.name} is a file from another project; nharness import masks converts it to a neurons file"
        )
    found: Detector = _instance("detectors", Detector, named, plugins)
    return found


def load_intervention(named: Named, plugins: Plugins) -> Intervention:
    """Return the intervention of a name or a `module:attribute` path."""
    found: Intervention = _instance("interventions", Intervention, named, plugins)
    return found


def task_families(plugins: Plugins) -> Mapping[str, TaskFamily]:
    """Return every registered task family by name."""
    return {name: plugins.resolve("tasks", name) for name in plugins.entries("tasks")}


def expanded(spec: RunSpec, languages: Sequence[str], plugins: Plugins) -> tuple[tuple[TaskSpec, ...], tuple[str, ...]]:
    """Return the tasks that a specification names, and warnings, as `expand_tasks`.

    Raises `UsageError` as `check_include_paths` does, and for a folder of data that is none.
    """
    options = spec.task_options
    check_include_paths(options.include_path, trusted=options.trust_tasks)
    if options.dataset_dir is not None and not Path(options.dataset_dir).is_dir():
        raise UsageError(f"--dataset-dir {options.dataset_dir} is not a folder")

    def included(name: str) -> bool:
        kinds = [plugins.resolve("task_runners", kind) for kind in plugins.entries("task_runners")]
        return any(kind().includes(name, options) for kind in kinds)

    return expand_tasks(spec.tasks, languages, task_families(plugins), included=included)


def task_runner(task: TaskSpec, plugins: Plugins) -> TaskRunner:
    """Return the kind of a task; raises `UnknownNameError` for one that is not registered."""
    found = plugins.resolve("task_runners", task.kind)
    if not (isinstance(found, type) and issubclass(found, TaskRunner)):
        raise PluginError(f"kind of task {task.kind!r} is {found!r}, expected a subclass of nharness.task.TaskRunner")
    return found()


def open_corpus(spec: CorpusSpec, languages: Sequence[str], plugins: Plugins) -> Corpus:
    """Return the corpus that a specification names."""
    named = {name: plugins.resolve("corpora", name) for name in plugins.entries("corpora")}
    return load_corpus(
        spec.name,
        named=named,
        languages=languages,
        config=spec.config,
        streaming=spec.streaming,
        romanised=spec.romanised,
        columns=Columns(text=spec.text_column, id=spec.id_column, language=spec.language_column),
        splits={k: v for k, v in (("detect", spec.detect_split), ("eval", spec.eval_split)) if v} or None,
    )


def unread_corpus(spec: RunSpec) -> Corpus:
    """Return a corpus of a specification's languages that holds no text; raises `UsageError` where none are named."""
    if not spec.languages:
        raise UsageError(
            f"corpus {spec.corpus.name!r} cannot be reached from here; name --languages to estimate the cost without it"
        )
    return Corpus(spec.corpus.name, {split: dict.fromkeys(parse_languages(spec.languages), tuple) for split in SPLITS})


def plugin_of(kind: str, name: str, plugins: Plugins) -> tuple[str, str | None]:
    """Return the module of the plug-in that registered a name, and its distribution with version."""
    registered = plugins.entries(kind).get(name)
    status = next((s for s in plugins.statuses if registered and s.name == registered.plugin), None)
    if status is None:
        return "-", None
    return status.module, f"{status.distribution} {status.version}" if status.distribution else None


def origin_of(kind: str, name: str, thing: object, plugins: Plugins) -> tuple[str, str | None]:
    """Return the plug-in's module and distribution as `plugin_of`, of a detector or intervention that is in use.

    A thing that is called as a registered one and is another (`--detector mine:Lape`) comes from its own module.
    """
    known = name in plugins.entries(kind) and isinstance(thing, plugins.resolve(kind, name))
    return plugin_of(kind, name, plugins) if known else (type(thing).__module__, None)


def _instance(kind: str, base: type[Any], named: Named, plugins: Plugins) -> Any:
    found: Callable[..., Any] = plugins.resolve(kind, named.name)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{named.name!r} is {found!r}, expected a subclass of nharness.{base.__name__}")
    try:
        made = found(**named.options)
    except TypeError as error:  # an abstract method that was left out
        raise PluginError(f"{named.name!r} is an incomplete {base.__name__}: {error}") from error
    except (NharnessError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the plug-in boundary: third-party code, exit() included
        raise PluginError(f"{named.name!r} cannot be made: {told(error)}") from error
    require_nameable(made, named.name)
    _require_needs(made, named.name)
    return made


def _require_needs(made: Any, name: str) -> None:
    """Raise `PluginError` unless a detector or intervention says what it needs, as `Need` values."""
    try:
        needs = made.needs()
    except (NharnessError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the plug-in boundary: third-party code, exit() included
        raise PluginError(f"{name!r} does not say what it needs: {told(error)}") from error
    if not isinstance(needs, tuple | list) or not all(isinstance(need, Need) for need in needs):
        raise PluginError(f"{name!r} needs {needs!r}, expected a tuple of nharness.Need")


def _with_options(tasks: Sequence[TaskSpec], spec: RunSpec, plugins: Plugins) -> tuple[TaskSpec, ...]:
    """Return the tasks with the user's options, each with a metric."""
    found = []
    for task in tasks:
        runner = task_runner(task, plugins)
        found.append(runner.with_options(runner.settled(task, spec.task_options), spec.task_options))
    return tuple(found)


def _prompted_in(source: str, tasks: Sequence[TaskSpec], plugins: Plugins) -> tuple[TaskSpec, ...]:
    """Return the tasks, those with prompts going on from prompts in `source`."""
    moved = (task_runner(task, plugins).prompted_in(task, source, tasks) for task in tasks)
    return tuple(task for task in moved if task is not None)


def _check_controls(spec: RunSpec, tasks: Sequence[TaskSpec], plugins: Plugins) -> tuple[str, ...]:
    """Refuse a task of the controls that is not registered; warn when none of them is measured."""
    measured = {task.family for task in tasks}
    for name in spec.controls.tasks:
        if name not in measured and name not in plugins.entries("tasks"):
            raise UnknownNameError("task of --control-tasks", name, measured)
    if spec.controls.draws and not any(map(spec.controls.measures, measured)):
        return (f"no random controls: {', '.join(spec.controls.tasks)} is not measured; see --control-tasks",)
    return ()


def why_not_repeated(detector: Detector) -> str:
    """Return why a detector cannot be repeated on parts of the text; empty when it can."""
    if detector.ablation_tokens():
        return "every neuron would have to be ablated again for every part of the text"
    return "" if detector.needs() else "its neurons come from a file, or it uses no text"


def _check_repeats(spec: RunSpec, detectors: Mapping[str, Detector]) -> None:
    reasons = {name: why_not_repeated(detector) for name, detector in detectors.items()}
    if ((spec.folds and not spec.ladder) or spec.null) and all(reasons.values()):
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UsageError(f"--folds and --null repeat detection, but nothing here can be repeated ({told})")


def _folds(spec: RunSpec, detectors: Mapping[str, Detector]) -> int:
    """Return on how many parts of the text detection is repeated: as asked, or as a headline's interval requires.

    A ladder is climbed without repeats where nothing can be repeated, whatever was asked: its record says so.
    """
    if all(why_not_repeated(detector) for detector in detectors.values()):
        return 0
    return (REPEATS if spec.ladder else 0) if spec.folds is None else spec.folds


def _check_strengths(spec: RunSpec, interventions: Mapping[str, Intervention]) -> None:
    for name, intervention in interventions.items():
        if spec.strengths and intervention.strength_option is None:
            swept = [n for n, i in interventions.items() if i.strength_option]
            raise UsageError(
                f"intervention {name} has no strength to sweep{'; only ' + ', '.join(swept) if swept else ''}"
            )


def _check_source(spec: RunSpec, interventions: Mapping[str, Intervention]) -> None:
    for name, intervention in interventions.items():
        if intervention.needs_source and spec.source_language is None:
            raise UsageError(f"intervention {name} needs --source-language, whose neurons it switches off")


def _check_scope(spec: RunSpec, tasks: Sequence[TaskSpec], plugins: Plugins) -> None:
    reading = next((task.name for task in tasks if task_runner(task, plugins).reads_only), None)
    if spec.scope == "generation" and reading is not None:
        raise UsageError(
            f"--scope generation edits nothing while the model reads, and in task {reading} it only reads; "
            "expected tasks in which it writes, such as output_language"
        )


def read_detection(path: Path) -> Detection:
    """Return the detection of a neurons file; raises `FileFormatError` when it has no neuron at all."""
    found = load_neurons(path)
    if not found.membership.any():
        raise FileFormatError(f"{path}: no language has any neuron")
    return found
