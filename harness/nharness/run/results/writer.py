"""The last stage of a run: one record per detector, intervention, budget and strength, validated before it is written.

A record has a folder of its own, with its items (JSON Lines) and its neurons file beside it, named with their SHA-256.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from nharness.analysis.analyse import Analysis, Known, analyse, unknown_text
from nharness.analysis.control_effects import control_effects_of
from nharness.analysis.curves import curve_point
from nharness.analysis.effects import Aim, effects_of
from nharness.analysis.headline import headline_of
from nharness.analysis.ladder_items import climbed_of
from nharness.analysis.measurements import Failure, Key, Measurement, by_key
from nharness.analysis.structure.recorded import lens_measures, meanings
from nharness.analysis.structure.section import HarmMatrix, structure_of
from nharness.atomic import replaced_folder, write_json
from nharness.cells import Cell, CellOutcome, Edition
from nharness.errors import NharnessError
from nharness.neurons import Detection
from nharness.record.cautions import unranked_languages, with_cautions
from nharness.record.cells import Controls, Shortfall, Target, Task
from nharness.record.headline import Headline
from nharness.record.items import RecordedItem, write_items
from nharness.record.model import Record
from nharness.record.results import AnalysisSettings, Cost, CurvePoint
from nharness.record.sources import Corpus, FileEntry, Identity, Selection
from nharness.record.store import describe
from nharness.record.structure import Structure, StructureMeasure
from nharness.record.types import one_line
from nharness.record.validate import validate_bytes
from nharness.run.context import RunContext
from nharness.run.plan.plan import target_names
from nharness.run.plan.request import RunRequest
from nharness.run.results import provenance
from nharness.run.results.folder import RunFolder, file_stem
from nharness.run.stages.assess import Assessed
from nharness.run.stages.climb import Ladders
from nharness.run.stages.detect import Detected
from nharness.run.stages.editions import Editions
from nharness.run.stages.evaluate import Evaluated
from nharness.run.stages.lens import Layers
from nharness.run.versions import installed
from nharness.run.work.jobs import neurons_digest
from nharness.spec import public_text
from nharness.targets import GENERAL, whose

KINDS_OF_A_LANGUAGE = ("specific", "related", "general")


@dataclass(frozen=True)
class Combination:
    """What one record is about."""

    detector: str
    intervention: str
    budget: float | None
    strength: float | None

    @classmethod
    def of(cls, edition: Edition) -> Combination:
        """Return the combination that an edition belongs to."""
        return cls(edition.detector, edition.intervention, edition.budget, edition.strength)

    @property
    def stem(self) -> str:
        """The name of its folder."""
        budget = "" if self.budget is None else f"budget{self.budget:g}"
        strength = "" if self.strength is None else f"strength{self.strength:g}"
        return file_stem(self.detector, self.intervention, budget, strength)


@dataclass(frozen=True)
class Products:
    """What the stages of a run made, and the context that they were given."""

    context: RunContext
    editions: Editions
    evaluated: Evaluated
    ladders: Ladders
    detected: Mapping[str, Detected]
    assessed: Assessed = field(default_factory=Assessed)
    layers: Layers | None = None


@dataclass
class RecordWriter:
    """Makes the records of a finished evaluation."""

    request: RunRequest
    folder: RunFolder
    made: Products

    def write(self) -> dict[Path, Record]:
        """Write every record with the files beside it; return records by path, in the order of the plan."""
        editions = [
            cell.edition for cell in self._outcomes if cell.edition and cell.edition.detector in self.made.detected
        ]
        combinations = list(dict.fromkeys(map(Combination.of, editions)))
        analyses = {combination: self._analysis(combination) for combination in combinations}
        curve = self._dose_response(combinations)
        written = {}
        for combination, analysis in analyses.items():
            points = [point for other, point in curve if _same_curve(other, combination, point.axis)]
            if points:
                analysis = self._analysis(combination, points)  # noqa: PLW2901 - the area under the curve is part of it
            path, record = self._written(combination, analysis, points)
            written[path] = record
        return written

    def _dose_response(self, combinations: Sequence[Combination]) -> list[tuple[Combination, CurvePoint]]:
        """Return a point per task and combination where budget or strength was varied; nothing where neither was."""
        budgets = {combination.budget for combination in combinations}
        strengths = {combination.strength for combination in combinations}
        if len(budgets) < 2 and len(strengths) < 2:
            return []
        axis: Literal["budget", "strength"] = "budget" if len(budgets) > 1 else "strength"
        points = []
        for combination in combinations:
            measurements, failures = self.measured(combination)
            table, targets = by_key(measurements), self.targets(combination)
            tried = sorted({*table, *(failure.key for failure in failures)}, key=repr)
            value = combination.budget if axis == "budget" else combination.strength
            for task in self.tasks:
                effects = effects_of(task, targets, table, self.settings, self.aim(combination))
                controls = control_effects_of(effects, targets, table, tried)
                point = curve_point(effects, targets, axis=axis, value=float(value or 0), controls=controls)
                points.append((combination, point))
        return points

    def _written(
        self, combination: Combination, analysis: Analysis, curve: Sequence[CurvePoint]
    ) -> tuple[Path, Record]:
        """Make a record and the files beside it in a folder of their own, which takes its place once it is valid.

        Raises `NharnessError` for a record that is not valid, which is kept aside; what was there before stays.
        """
        goal = self.folder.records / combination.stem
        with replaced_folder(goal) as folder:
            record = with_cautions(self._record(combination, analysis, curve, folder))
            path = folder / "record.json"
            write_json(path, record.document())
            _, problems = validate_bytes(path.read_bytes())
            if problems:
                write_json(self.folder.records / f"{combination.stem}.invalid.json", record.document())
                raise NharnessError(f"the record of {combination.stem} is not valid: {problems[0]}")
        path = goal / "record.json"
        self.context.plugins.hook.nharness_record_written(record=record, path=str(path))
        return path, record

    @property
    def context(self) -> RunContext:
        """What the stages of the run were given."""
        return self.made.context

    @property
    def _outcomes(self) -> Mapping[Cell, CellOutcome]:
        return self.made.evaluated.outcomes

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of the run as records describe them."""
        return provenance.describe_tasks(self.context.plan, self.context.resolved, self.context.worker)

    @cached_property
    def settings(self) -> AnalysisSettings:
        """How intervals are made."""
        spec = self.made.editions.spec
        return AnalysisSettings(
            bootstrap_draws=spec.analysis.bootstrap_draws, seed=spec.seed, confidence=spec.analysis.confidence
        )

    def targets(self, combination: Combination) -> tuple[Target, ...]:
        """Return the rows of the combination's matrix, in order."""
        chosen = tuple(self.made.editions.spec.kinds) or KINDS_OF_A_LANGUAGE
        names = target_names(self.made.editions.spec, self.context.languages)
        flats = {name: self.made.editions.neurons(combination.detector, combination.budget, name) for name in names}
        short = self._short(combination)
        return tuple(
            Target(
                name=name,
                language=None if name == GENERAL else whose(name)[0],
                kinds=chosen,
                neurons=len(flat),
                digest=neurons_digest(flat),
                short=short.get(name),
            )
            for name, flat in flats.items()
        )

    def _short(self, combination: Combination) -> dict[str, Shortfall]:
        """Return, by language, which detections hold fewer neurons than the budget asks for."""
        if combination.budget is None:
            return {}
        found = self.made.detected[combination.detector].detection.cut(combination.budget).short
        return {tag: Shortfall(asked=asked, got=got) for tag, (asked, got) in found.items()}

    def cells(self, combination: Combination) -> dict[Cell, CellOutcome]:
        """Return the combination's outcomes, baselines and controls included."""
        return {
            cell: outcome
            for cell, outcome in self._outcomes.items()
            if cell.edition is None or Combination.of(cell.edition) == combination
        }

    def measured(self, combination: Combination) -> tuple[list[Measurement], list[Failure]]:
        """Return what the analysis reads: measurements, and the cells that gave none."""
        measurements, failures = [], []
        for cell, outcome in self.cells(combination).items():
            target = cell.edition.target if cell.edition else None
            control = cell.edition.control if cell.edition else None
            if outcome.status == "passed":
                key = (cell.task, target, control, cell.language)
                measurements.append(_measurement(key, outcome))
            elif outcome.status == "failed":
                failures.append(Failure(cell.task, target, control, cell.language, public_text(outcome.reason)))
        return measurements, failures

    def aim(self, combination: Combination) -> Aim:
        """Return what the combination's intervention is for."""
        intervention = self.made.editions.intervention(combination.intervention, combination.strength)
        return Aim(intervention.purpose, self.made.editions.spec.source_language if intervention.needs_source else None)

    def climbed(self, combination: Combination) -> dict[Cell, CellOutcome]:
        """Return the combination's rungs and their draws; ladders climb whole lists, whatever the budget."""
        lists = replace(combination, budget=None)
        return {
            cell: outcome
            for cell, outcome in self.made.ladders.outcomes.items()
            if cell.edition is not None and Combination.of(cell.edition) == lists
        }

    def _headline(self, combination: Combination) -> Headline | None:
        """Return the headline of the first task of documents; None where no ladder was climbed."""
        rungs = self.climbed(combination)
        tasks = [task for task in self.tasks if any(cell.task == task.name for cell in rungs)]
        if not tasks:
            return None
        found = [*self.cells(combination).items(), *rungs.items()]
        measurements = [
            _measurement(_key(cell), outcome)
            for cell, outcome in found
            if outcome.status == "passed" and (cell.edition is None or cell in rungs)
        ]
        climbed = climbed_of(measurements, tasks[0], self.context.languages, unranked_languages(self._corpus))
        held = {
            climber.language: number
            for climber, number in self.made.ladders.held.items()
            if (climber.detector, climber.intervention, climber.strength, climber.task)
            == (combination.detector, combination.intervention, combination.strength, tasks[0].name)
        }
        return headline_of(climbed, self.settings, tasks[0].name, held)

    def _analysis(self, combination: Combination, curve: Sequence[CurvePoint] = ()) -> Analysis:
        measurements, failures = self.measured(combination)
        floors = {
            (cell.task, cell.language): outcome.noise_floor
            for cell, outcome in self._outcomes.items()
            if cell.edition is None and outcome.noise_floor is not None
        }
        measured_on_text = [task.name for task in self.tasks if task.lm_eval is None]
        overlapping = {(name, found.language) for name in measured_on_text for found in self._corpus.overlap}
        unknown = unknown_text(self.tasks, self._corpus)
        known = Known(failures, floors, overlapping, unknown, curve, self.aim(combination))
        return analyse(
            measurements, tasks=self.tasks, targets=self.targets(combination), settings=self.settings, known=known
        )

    @cached_property
    def _corpus(self) -> Corpus:
        return provenance.describe_corpus(self.context, self.made.editions.recorded)

    def _record(
        self, combination: Combination, analysis: Analysis, curve: Sequence[CurvePoint], folder: Path
    ) -> Record:
        spec, worker = self.made.editions.spec, self.context.worker
        device = str(self.context.identity["device"])
        detected = self.made.detected[combination.detector]
        chosen = detected.detection if combination.budget is None else detected.detection.cut(combination.budget)
        files = self._write_files(combination, chosen, folder)
        neurons_file = next(entry for entry in files if entry.role == "neurons")
        outcomes = self.cells(combination)
        return Record(
            identity=Identity(
                id="0" * 64,
                created=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                nharness=installed("nharness"),
                command=public_text(one_line(self.request.command)),
                study=self.request.study,
                specification=provenance.public_specification(spec),
                source=provenance.describe_source(self.context.resolved, combination.detector),
            ),
            model=provenance.describe_model(worker, device, self.made.editions.recorded.dtype),
            corpus=self._corpus,
            detector=provenance.describe_detector(self.context.resolved, combination.detector, detected),
            intervention=provenance.describe_intervention(
                self.made.editions.intervention(combination.intervention, combination.strength),
                combination.strength,
                self._site(combination),
                self._backend(outcomes),
                worker.resolved,
            ),
            selection=Selection(kinds=tuple(spec.kinds) or KINDS_OF_A_LANGUAGE, budget=combination.budget),
            languages=self.context.languages,
            neurons=provenance.describe_neurons(chosen, file=neurons_file.name, sha256=neurons_file.sha256),
            tasks=self.tasks,
            targets=self.targets(combination),
            baseline=analysis.baseline,
            cells=analysis.cells,
            controls=self._controls(combination, analysis),
            summary=analysis.summary,
            headline=self._headline(combination),
            curve=tuple(curve),
            structure=self._structure(combination, chosen, analysis),
            ground_truth=self.made.assessed.truths.get(combination.detector) or None,
            stability=self.made.assessed.repeated.stability.get(combination.detector) or None,
            repeats=provenance.describe_repeats(self.made.editions, combination.detector),
            cost=self._cost(combination, outcomes, detected),
            analysis=self.settings,
            files=tuple(files),
            environment=provenance.describe_environment(
                worker.device, used=device, lm_eval=any(task.lm_eval is not None for task in self.tasks)
            ),
        ).with_id()

    def _structure(self, combination: Combination, chosen: Detection, analysis: Analysis) -> Structure:
        harmful = self.aim(combination).purpose == "harm"
        matrix = HarmMatrix(self.tasks, self.targets(combination), analysis.cells, harmful=harmful)
        return structure_of(chosen, matrix, self.settings).model_copy(update={"recorded": self._recorded})

    @cached_property
    def _recorded(self) -> tuple[StructureMeasure, ...]:
        """What was recorded says of structure, whatever the detector: meanings of parallel text, and layers."""
        recorded, layers = self.made.editions.recorded, self.made.layers
        hidden = recorded.evidence.sites.get("hidden")
        met = () if hidden is None else meanings(hidden, recorded.documents, self.settings)
        return met if layers is None else (*met, *lens_measures(layers.masses, layers.shares, self.settings))

    def _controls(self, combination: Combination, analysis: Analysis) -> Controls | None:
        if not analysis.control_changes:
            return None
        spec = self.made.editions.spec.controls
        sets = {}
        for target, draw in analysis.control_changes:
            flat = self.made.editions.neurons(combination.detector, combination.budget, target, draw)
            sets[target, draw] = (len(flat), neurons_digest(flat))
        return Controls(
            kind=spec.match,
            seed=self.made.editions.spec.seed,
            draws=analysis.draws(sets),
            options=spec.model_dump(mode="json"),
        )

    def _cost(self, combination: Combination, outcomes: Mapping[Cell, CellOutcome], detected: Detected) -> Cost:
        ladder = [outcome for outcome in self.climbed(combination).values() if outcome.status == "passed"]
        passed = [outcome for outcome in outcomes.values() if outcome.status == "passed"]
        reused = [outcome for outcome in passed if outcome.reused]
        unasked = [cell for cell in self.context.plan.cells if cell not in self._outcomes]
        spared = sum(self.made.editions.spec.controls.eval_tokens for _ in unasked) + sum(o.tokens for o in reused)
        spared += sum(outcome.spared for outcome in outcomes.values())
        evaluations = {"evaluate": passed, "climb": ladder} if ladder else {"evaluate": passed}
        return Cost(
            forward_tokens={
                "record": self.made.editions.recorded.tokens,
                **{stage: sum(outcome.tokens for outcome in found) for stage, found in evaluations.items()},
            },
            seconds={
                "record": self.made.editions.recorded.seconds,
                "detect": detected.seconds,
                **{stage: sum(outcome.seconds for outcome in found) for stage, found in evaluations.items()},
            },
            detector=provenance.describe_cost(self.context.resolved, combination.detector, self.made.editions.recorded),
            cells_computed=len(passed) - len(reused),
            cells_reused=len(reused),
            tokens_saved=spared,
        )

    def _site(self, combination: Combination) -> Literal["gate", "hidden"]:
        for cell, outcome in self.cells(combination).items():
            if cell.edition is not None and cell.edition.control is None and outcome.status == "passed":
                for change in self.made.editions.changes(cell.edition):
                    return change.site
        return "hidden"

    def _backend(self, outcomes: Mapping[Cell, CellOutcome]) -> str:
        return "+".join(sorted({outcome.backend for outcome in outcomes.values() if outcome.backend})) or "none"

    def _write_files(self, combination: Combination, detection: Detection, folder: Path) -> list[FileEntry]:
        items = write_items(folder, _lines(self.cells(combination), self.context.plan.cells))
        neurons = folder / "neurons.safetensors"
        detection.save(neurons)
        written = [describe(folder, items, "items"), describe(folder, neurons, "neurons")]
        rungs = self.climbed(combination)
        if rungs:
            written.append(describe(folder, write_items(folder, _lines(rungs, rungs), stem="ladder"), "ladder"))
        return written


def _lines(outcomes: Mapping[Cell, CellOutcome], order: Iterable[Cell]) -> list[RecordedItem]:
    """Return every item, cell by cell in an order that equal runs have in common, so that they write equal files."""
    return [
        RecordedItem(*_key(cell), item.id, item.cluster, item.values, item.text)
        for cell in order
        if cell in outcomes
        for item in outcomes[cell].items
    ]


def _key(cell: Cell) -> Key:
    edition = cell.edition
    return (cell.task, edition.target if edition else None, edition.control if edition else None, cell.language)


def _measurement(key: Key, outcome: CellOutcome) -> Measurement:
    return Measurement.of(
        key, outcome.items, edited_activations=outcome.edited_activations, available=outcome.available
    )


def _same_curve(a: Combination, b: Combination, axis: str) -> bool:
    """Tell whether nothing but the dose differs: of two sweeps at once, each budget curve has one strength."""
    if (a.detector, a.intervention) != (b.detector, b.intervention):
        return False
    return a.strength == b.strength if axis == "budget" else a.budget == b.budget
