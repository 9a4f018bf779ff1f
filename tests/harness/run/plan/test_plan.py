"""Plans: order, number, parts, and what -k keeps of them."""

import time

import pytest

from nharness.errors import NothingCollectedError, OptionError, UsageError
from nharness.plugins import Plugins
from nharness.run.plan.parts import Part, part_of, read_part
from nharness.run.plan.plan import make_plan, select
from nharness.run.plan.resolve import resolve
from nharness.spec import ControlSpec, Named, RunSpec
from nharness.task import TaskSpec

LANGUAGES = ("en", "de", "zh")


def task(name, language, family="ppl"):
    return TaskSpec(name, family, language, "perplexity", "bits_per_byte", "bits per byte", higher_is_better=False)


def plan_of(languages=LANGUAGES, names=("ppl", "acc"), draws=2, **more):
    tasks = [task(name, language, family=name) for name in names for language in languages]
    return make_plan(RunSpec(controls=ControlSpec(draws=draws), **more), languages, tasks)


def test_baselines_then_each_target_with_its_draws():
    plan = plan_of()
    ids = [cell.id for cell in plan.cells]
    assert ids[:6] == [f"baseline::{name}[{tag}]" for name in ("ppl", "acc") for tag in LANGUAGES]
    assert ids[6:12] == [f"lape[en]/zero::{name}[{tag}]" for name in ("ppl", "acc") for tag in LANGUAGES]
    assert ids[12:18] == [f"lape[en]~0/zero::{name}[{tag}]" for name in ("ppl", "acc") for tag in LANGUAGES]
    assert len(ids) == len(set(ids)) == 6 + 3 * (6 + 2 * 6)


def test_draws_are_measured_on_the_control_tasks_alone_where_those_are_named():
    tasks = [task(name, language, family=name) for name in ("ppl", "acc") for language in LANGUAGES]
    plan = make_plan(RunSpec(controls=ControlSpec(draws=2, tasks=("ppl",))), LANGUAGES, tasks)
    assert {cell.task for cell in plan.cells if cell.edition and cell.edition.control is not None} == {"ppl"}
    assert len(plan.cells) == 6 + 3 * (6 + 2 * 3)


def test_sweeps_multiply_and_are_named():
    plan = plan_of(
        names=("ppl",),
        draws=0,
        detectors=(Named(name="a"), Named(name="b")),
        interventions=(Named(name="scale"),),
        strengths=(0.5, 1.0),
        budget_curve=(0.01, 0.02, 0.05),
    )
    assert len(plan.cells) == 3 + 2 * 2 * 3 * 9
    assert "b@0.02[de]/scale@0.5::ppl[zh]" in {cell.id for cell in plan.cells}


def test_general_neurons_are_one_target():
    plan = plan_of(names=("ppl",), draws=0, kinds=("general",))
    assert {cell.edition.target for cell in plan.cells if cell.edition} == {"general"}


def test_selection_keeps_the_baselines_it_needs():
    plan = select(plan_of(), "lape[zh]/zero::ppl[de]")
    assert [cell.id for cell in plan.cells] == ["baseline::ppl[de]", "lape[zh]/zero::ppl[de]"]
    with pytest.raises(NothingCollectedError, match="matches none of 60 cells"):
        select(plan_of(), "nothing")


@pytest.mark.parametrize("of", [1, 2, 3, 5, 40])
def test_parts_are_disjoint_complete_and_keep_order(of):
    plan = plan_of(draws=4)
    parts = [part_of(plan, Part(number + 1, of)) for number in range(of)]
    baselines = [cell for cell in plan.cells if cell.edition is None]
    assert all([cell for cell in part.cells if cell.edition is None] == baselines for part in parts)
    edited = [cell for part in parts for cell in part.cells if cell.edition is not None]
    assert len(edited) == len(set(edited))
    assert set(edited) == {cell for cell in plan.cells if cell.edition is not None}
    order = {cell: place for place, cell in enumerate(plan.cells)}
    assert all([order[cell] for cell in part.cells] == sorted(order[cell] for cell in part.cells) for part in parts)
    targets = [
        len({cell.edition for cell in part.cells if cell.edition and cell.edition.control is None}) for part in parts
    ]
    assert max(targets) - min(targets) <= 1


def test_parts_are_read_and_shown():
    assert read_part("2/5") == Part(2, 5)
    assert str(Part(2, 5)) == "2/5"
    with pytest.raises(OptionError, match="expected i/n"):
        read_part("6/5")


def test_a_hundred_thousand_cells_are_planned_at_once():
    languages = [f"l{number}" for number in range(20)]
    tasks = [task(name, language) for name in ("ppl", "other") for language in languages]
    spec = RunSpec(
        detectors=tuple(Named(name=f"d{n}") for n in range(6)), controls=ControlSpec(draws=20, tasks=("ppl",))
    )
    started = time.process_time()  # not the clock on the wall: other work on the machine is not counted
    plan = make_plan(spec, languages, tasks)
    assert len(plan.cells) > 100_000
    assert time.process_time() - started < 2


def test_editing_only_what_is_written_wants_tasks_that_write():
    with pytest.raises(UsageError, match="--scope generation edits nothing while the model reads"):
        resolve(RunSpec(scope="generation", languages=("en", "de")), Plugins())
    spec = RunSpec(scope="generation", languages=("en", "de"), tasks=("output_language",))
    assert {task.kind for task in resolve(spec, Plugins()).tasks} == {"generation"}


@pytest.mark.parametrize(
    ("detector", "ladder", "asked", "settled"),
    [("lape", True, None, 4), ("lape", True, 2, 2), ("lape", False, None, 0), ("random", True, 4, 0)],
)
def test_a_ladder_repeats_what_can_be_repeated(detector, ladder, asked, settled):
    spec = RunSpec(languages=("en", "de"), detectors=(Named(name=detector),), ladder=ladder, folds=asked)
    assert resolve(spec, Plugins()).spec.folds == settled


def test_folds_of_what_cannot_be_repeated_are_refused_where_they_are_the_point():
    spec = RunSpec(languages=("en", "de"), detectors=(Named(name="random"),), folds=4)
    with pytest.raises(UsageError, match="nothing here can be repeated"):
        resolve(spec, Plugins())
