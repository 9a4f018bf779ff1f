"""A kind of task is a plug-in: planned, measured, keyed and described by what it registered, from plan to cell."""

import dataclasses
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from narrowing import present
from nharness import Entry, hookimpl
from nharness.cells import Cell, Edition
from nharness.errors import CellError, PluginError, UnknownNameError
from nharness.evaluation.items import Item
from nharness.intervention import Change
from nharness.plugins import Plugins
from nharness.run.plan.planned import planned
from nharness.run.plan.price import estimated_tokens
from nharness.run.plan.resolve import resolve
from nharness.run.plan.runners import PerplexityRunner
from nharness.run.results.provenance import describe_tasks
from nharness.run.work.jobs import Job
from nharness.run.work.measuring.protocol import Measured, Measuring, Product
from nharness.run.work.worker import Worker
from nharness.spec import ControlSpec, RunSpec, TaskOptions
from nharness.task import TaskFamily, TaskRunner, TaskSpec

EDITION = Edition("lape", "de", "zero")


class NormMeasuring(Measuring):
    """The norm of the last hidden state: made under the edit, squared outside; batches may run out of memory."""

    on_intact = True
    batch, made = 2, 0

    def key(self, cell, task):
        return {"norm": 2, "limit": task.limit}

    def shared(self, cell, task):
        return cell.language

    def make(self, cell, task, before):
        type(self).made += 1
        if self.batch > 1:
            raise torch.OutOfMemoryError("too large")
        ids = torch.arange(3, 9)[None]
        with torch.inference_mode():
            state = self.bench.loaded.model(ids, output_hidden_states=True).hidden_states[-1]
        return Product(float(state.norm()), 6)

    def measured(self, cell, task, product):
        if task.name == "norm.broken":
            raise CellError("nobody knows")
        return Measured([Item("one", "one", {task.metric: product.value**2})], 1)

    def halve(self):
        self.batch, before = max(1, self.batch // 2), self.batch
        self.note = f"in batches of {self.batch}"
        return self.batch < before


class NormRunner(TaskRunner):
    measuring = "norm_plugin:NormMeasuring"

    def tokens(self, task, spec, role):
        return 7

    def described(self, task, spec):
        return {"dataset": "three to nine", "chat_template": True}


class NormFamily(TaskFamily):
    name, summary = "norm", "norms"

    def languages(self):
        return ()

    def tasks_for(self, language):
        one = TaskSpec("norm", "norm", language, "norm-kind", "square", "norm units")
        return one, dataclasses.replace(one, name="norm.broken")


@pytest.fixture
def plugins(monkeypatch):
    module: Any = ModuleType("norm_plugin")
    module.NormMeasuring = NormMeasuring
    module.nharness_register_tasks = hookimpl(
        lambda: [Entry("norm", "norms", NormFamily())], specname="nharness_register_tasks"
    )
    module.nharness_register_task_runners = hookimpl(
        lambda: [Entry("norm-kind", "norms", NormRunner)], specname="nharness_register_task_runners"
    )
    monkeypatch.setitem(sys.modules, "norm_plugin", module)
    return Plugins(extra=["norm_plugin"], strict=True)


SPEC = RunSpec(
    languages=("de", "fr"), tasks=("norm",), task_options=TaskOptions(limit=3), controls=ControlSpec(draws=0)
)


def test_a_kind_of_ones_own_is_planned_measured_and_described(plugins):
    resolved, plan = planned(SPEC, plugins)
    assert estimated_tokens(resolved, plan) == 2 * 30_000 + 7 * len(plan.cells)
    assert {(task.dataset, task.chat_template, task.limit) for task in describe_tasks(plan, resolved)} == {
        ("three to nine", True, 3)
    }
    worker = Worker(resolved)
    flat = np.arange(sum(worker.neuron_map.layer_widths))
    nothing = np.zeros(len(flat), dtype=np.float32)
    found = {}
    for edition, changes in ((None, ()), (EDITION, (Change("hidden", flat, nothing, nothing),))):
        cells = tuple(Cell(edition, task.name, task.language) for task in resolved.tasks)
        for done in worker.evaluate(
            Job(edition, changes, cells, tuple(cell.id for cell in cells)), worker.resolved.corpus
        ):
            found[done.cell] = done.outcome
    assert NormMeasuring.made == 1 + 2 * 2  # once too large; then once a language and edition, for both its tasks
    good = [found[Cell(edition, "norm", "de")] for edition in (None, EDITION)]
    assert [(one.status, one.tokens, one.note) for one in good] == [("passed", 7, "in batches of 1")] * 2
    assert good[0].items[0].values != good[1].items[0].values
    assert (good[0].edited_activations, good[1].edited_activations) == (0, 6 * len(flat))
    bad = found[Cell(EDITION, "norm.broken", "de")]
    assert (bad.status, bad.reason) == ("failed", "nobody knows")


def test_its_key_is_part_of_the_cells(plugins):
    keys = []
    for limit in (3, 4):
        spec = SPEC.model_copy(update={"task_options": TaskOptions(limit=limit)})
        worker = Worker(resolve(spec, plugins))
        keys.append(worker.key(Cell(None, "norm", "de"), "0" * 64, {}))
    assert keys[0] != keys[1]


def test_a_kind_that_nobody_registered_is_named(plugins):
    plugins.entries("task_runners").pop("norm-kind")
    with pytest.raises(UnknownNameError, match="unknown kind of task 'norm-kind'"):
        resolve(SPEC, plugins)


def test_what_is_no_runner_is_refused(plugins, monkeypatch):
    monkeypatch.setattr(Plugins, "resolve", _other(Plugins.resolve))
    with pytest.raises(PluginError, match=r"kind of task 'norm-kind' is 5, expected a subclass of nharness.task.Task"):
        resolve(SPEC, plugins)


def _other(genuine):
    return lambda self, kind, name: 5 if kind == "task_runners" else genuine(self, kind, name)


ASKING = """task: asking
dataset_path: json
dataset_kwargs: {data_files: {test: nowhere.jsonl}}
output_type: generate_until
test_split: test
num_fewshot: 3
repeats: 2
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["."], max_gen_toks: 5, do_sample: true, temperature: 0.7}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0}
"""


@pytest.mark.parametrize(("asked", "chat", "shots"), [(None, False, 3), (1, True, 1), (0, True, 0)])
def test_the_record_says_what_prompts_and_decoding_really_are(tmp_path, asked, chat, shots):
    (tmp_path / "asking.yaml").write_text(ASKING, encoding="utf-8")
    options = TaskOptions(include_path=(str(tmp_path),), num_fewshot=asked, chat_template=chat)
    spec = RunSpec(languages=("de", "fr"), tasks=("lm-eval:asking[de]", "ppl", "output_language"), task_options=options)
    resolved, plan = planned(spec, Plugins())
    found = {task.name: task for task in describe_tasks(plan, resolved)}
    task = found["asking"]
    assert (task.few_shot, task.few_shot_seed, task.multiturn) == (
        shots,
        1234 if shots else None,
        chat if shots else None,
    )
    assert task.decoding == {"until": ["."], "max_gen_toks": 5, "do_sample": False}
    assert (task.repeats, task.scorer, task.plugin, task.distribution) == (2, "lm-eval", None, None)
    assert (found["ppl"].scorer, found["ppl"].decoding, found["ppl"].few_shot_seed) == ("nharness", None, None)
    assert found["ppl"].plugin == "nharness_tasks.plugin"
    assert present(found["ppl"].distribution).startswith("nharness ")
    assert present(found["output_language"].decoding)["temperature"] == 0.0
    assert (found["output_language"].repeats, found["output_language"].dataset) == (1, "sample, split eval")


def test_the_noise_floor_of_the_intact_model_is_in_the_estimate():
    spec = RunSpec(corpus={"eval_tokens": 2000}, controls={"eval_tokens": 300})
    runner, task = PerplexityRunner(), TaskSpec("ppl", "ppl", "de", "perplexity", "bits_per_byte", "bits per byte")
    assert [runner.tokens(task, spec, role) for role in ("intact", "target", "control")] == [2300, 2000, 300]
