"""Cells that judge what an edited model writes: one generation for all, judged by the model as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nharness.cells import Cell, Edition
from nharness.evaluation.generation import generate
from nharness.evaluation.output_language import openings
from nharness.intervention import Change
from nharness.models import apply_edits
from nharness.plugins import Plugins
from nharness.run.plan.resolve import resolve
from nharness.run.work.edits import to_edits
from nharness.run.work.jobs import Job
from nharness.run.work.worker import Worker
from nharness.spec import CorpusSpec, RunSpec, TaskOptions

LANGUAGES = ("de", "fr")
EDITION = Edition("lape", "fr", "zero")


def made(**changes):
    spec = RunSpec(
        languages=LANGUAGES,
        tasks=("output_language",),
        task_options=TaskOptions(limit=3),
        corpus=CorpusSpec(eval_tokens=600),
        **changes,
    )
    return Worker(resolve(spec, Plugins()))


@pytest.fixture(scope="module")
def worker():
    return made()


@pytest.fixture(scope="module")
def changes(worker):
    flat = np.arange(0, sum(worker.neuron_map.layer_widths), 9)
    nothing = np.zeros(len(flat), dtype=np.float32)
    return (Change("hidden", flat, nothing, nothing),)


def outcomes(worker, edition, changes):
    cells = tuple(Cell(edition, task.name, task.language) for task in worker.resolved.tasks)
    job = Job(edition, changes, cells, tuple(cell.id for cell in cells))
    return {(done.cell.task, done.cell.language): done.outcome for done in worker.evaluate(job, worker.resolved.corpus)}


@pytest.fixture(scope="module")
def edited(worker, changes):
    return outcomes(worker, EDITION, changes)


def by_hand(worker, changes, tag):
    """What the edited model writes, and the unedited one's nats for it, token by token in float32."""
    model, tokenizer = worker.loaded.model, worker.loaded.tokenizer
    prompts = openings(worker.beginnings(tag).documents[:3], prefix=tokenizer.bos_token_id)
    with apply_edits(model, worker.neuron_map, to_edits(changes, worker.neuron_map)):
        written = generate(model, tokenizer, prompts)
    nats = []
    for output in written:
        ids = torch.tensor([[*output.prompt.tolist(), *output.tokens.tolist()]])
        with torch.inference_mode():
            logs = model(ids).logits[0].float().log_softmax(-1)
        places = range(len(output.prompt) - 1, ids.shape[1] - 1)
        nats.append(-sum(float(logs[place, ids[0, place + 1]]) for place in places))
    return written, nats


def test_fluency_is_the_unedited_models_and_the_text_the_edited_ones(worker, changes, edited):
    for tag in LANGUAGES:
        written, nats = by_hand(worker, changes, tag)
        items = edited["output_language.fluency", tag].items
        assert [item.values["bytes"] for item in items] == [len(output.text.encode()) for output in written]
        assert [item.values["nll"] for item in items] == pytest.approx(nats, rel=0.02)  # bfloat16, batched otherwise


def test_one_generation_is_paid_once_and_every_cell_says_what_was_edited(worker, edited):
    assert len(edited) == 8
    assert all(outcome.status == "passed" and outcome.edited_activations > 0 for outcome in edited.values())
    for tag in LANGUAGES:
        whole, *rest = (edited[f"output_language{end}", tag] for end in ("", ".lines", ".fluency", ".repetition"))
        assert whole.tokens > 3 * 24
        assert [outcome.tokens for outcome in rest] == [0, whole.tokens, 0]
        assert {outcome.edited_activations for outcome in rest} == {whole.edited_activations}
        assert {tuple(item.id for item in outcome.items) for outcome in (whole, *rest)} == {
            tuple(document.id for document in worker.text(tag).documents[:3])
        }
    assert any(name.startswith("second_") for name in edited["output_language", "de"].items[0].values)


def test_an_edit_that_reaches_nothing_fails_its_cells(worker, changes):
    none = replace(changes[0], flat=changes[0].flat[:0], scale=changes[0].scale[:0], shift=changes[0].shift[:0])
    assert {(o.status, o.reason[:34]) for o in outcomes(worker, EDITION, (none,)).values()} == {
        ("failed", "the edit reached no activation: no")
    }


def test_baseline_and_edit_have_the_same_prompts_and_other_texts(worker, edited):
    intact = outcomes(worker, None, ())
    assert all(outcome.status == "passed" and outcome.edited_activations == 0 for outcome in intact.values())
    assert [i.id for i in intact["output_language", "de"].items] == [
        i.id for i in edited["output_language", "de"].items
    ]
    assert intact["output_language.fluency", "de"].items != edited["output_language.fluency", "de"].items


def test_with_a_source_language_every_column_judges_the_same_outputs(changes):
    steered = outcomes(made(source_language="de"), EDITION, changes)
    assert set(steered) == {(f"output_language{end}", tag) for end in ("", ".lines") for tag in LANGUAGES} | {
        ("output_language.fluency", "de"),
        ("output_language.repetition", "de"),
    }
    own, other = (steered["output_language", tag].items for tag in LANGUAGES)
    for first, second in zip(own, other, strict=True):
        assert {k: v for k, v in first.values.items() if k != "in_language"} == {
            k: v for k, v in second.values.items() if k != "in_language"
        }
        assert first.values["in_language"] + second.values["in_language"] <= 1
