"""`--tokens response` on prompts without an answer: the model answers, and what counts is its answers alone."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from nharness.cli.main import main
from nharness.detector import Need
from nharness.errors import InterruptedRun
from nharness.events import Noted, ignore
from nharness.models import locate, observe
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.run.context import RunContext
from nharness.run.line import run
from nharness.run.plan.plan import Plan
from nharness.run.plan.request import RunRequest
from nharness.run.plan.resolve import resolve
from nharness.run.stages.answer import answer
from nharness.run.stages.evaluate import EvaluateWork
from nharness.run.stages.record import record
from nharness.run.store import Store
from nharness.run.work.executor import LocalExecutor
from nharness.run.work.worker import Worker
from nharness.spec import CorpusSpec, ModelSpec, Named, RunSpec
from nharness.testing import planted_model

TOKENS = 6
PROMPTS = {tag: [f"{tag}{n:02d} {tag}{(n + 3) % 12:02d} " for n in range(9)] for tag in ("en", "de", "ru")}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A run of the planted model on prompts, of which the third and last have an answer already."""
    model, corpus = tmp_path_factory.mktemp("planted"), tmp_path_factory.mktemp("asked")
    planted_model().save(model)
    for tag, prompts in PROMPTS.items():
        rows = [
            {"id": f"q{n}", "prompt": prompt} | ({"text": f"{tag}05"} if n in {2, 8} else {})
            for n, prompt in enumerate(prompts)
        ]
        (corpus / f"detect.{tag}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (corpus / f"eval.{tag}.jsonl").write_text(json.dumps({"id": "e", "text": f"{tag}01 {tag}02 {tag}04"}))
    text = CorpusSpec(name=str(corpus), tokens_of_interest="response", response_tokens=TOKENS)
    return RunSpec(model=ModelSpec(name=str(model), dtype="float32"), corpus=text, languages=tuple(PROMPTS))


def context_of(spec, folder, listen=ignore, **changes):
    resolved = replace(resolve(spec, Plugins()), **changes)
    return RunContext(resolved, Plan.empty(), LocalExecutor(Worker(resolved)), Store(folder), listen)


def answering(spec, folder, listen=ignore):
    context = context_of(spec, folder, listen)
    return context.reading(answer(context))


def greedy(worker, prompt):
    """The answer, one most likely token after the other."""
    tokens = worker.loaded.tokenizer(prompt)["input_ids"]
    start = len(tokens)
    while len(tokens) < start + TOKENS:
        with torch.no_grad():
            best = int(worker.loaded.model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax())
        if best == worker.loaded.tokenizer.eos_token_id:
            break
        tokens = [*tokens, best]
    return tokens, start


def test_open_prompts_are_answered_greedily_and_given_answers_stay(spec, tmp_path):
    context = answering(spec, tmp_path)
    worker = context.worker
    for tag, prompts in PROMPTS.items():
        found = list(context.corpus.documents(tag, "detect"))
        assert [document.prompt for document in found] == prompts
        assert {found[2].text, found[8].text} == {f"{tag}05"}
        for document in found:
            tokens, start = greedy(worker, document.prompt)
            if document.text != f"{tag}05":
                assert worker.loaded.tokenizer(document.prompt + document.text)["input_ids"] == tokens
                assert len(tokens) > start


def test_statistics_are_of_the_answers_alone(spec, tmp_path):
    context = answering(spec, tmp_path)
    worker = context.worker
    model, neuron_map = worker.loaded.model, locate(worker.loaded.model)
    got = record(context, [Need("activation_count")]).evidence.statistics("gate")
    expected, total = np.zeros(got.size, dtype=np.int64), 0
    for document in context.corpus.documents("de", "detect"):
        tokens = worker.loaded.tokenizer(document.prompt + document.text)["input_ids"]
        start = len(worker.loaded.tokenizer(document.prompt)["input_ids"])
        rows = []

        def keep(seen, rows=rows):
            rows.append(seen.values.clone())

        with torch.no_grad(), observe(model, neuron_map, ("gate",), keep):
            model(input_ids=torch.tensor([tokens]))
        expected += np.concatenate([(part[start:] > 0).sum(0).numpy() for part in rows])
        total += len(tokens) - start
    np.testing.assert_array_equal(got.get("activation_count", "positive", "de"), expected)
    assert got.totals["de"].tokens == total


def test_who_goes_on_goes_on_with_the_same_answers(spec, tmp_path, monkeypatch):
    first = answering(spec, tmp_path).corpus
    monkeypatch.setattr("nharness.run.work.prompt_answers.generate", None)  # nothing may be written anew
    again = answering(spec, tmp_path).corpus
    assert again.fingerprint == first.fingerprint
    assert again.name == first.name


def test_asked_to_stop_a_run_stops_while_it_answers(spec, tmp_path, monkeypatch):
    monkeypatch.setattr("nharness.run.stages.answer.BLOCK", 3)
    request = RunRequest(spec.model_copy(update={"detectors": (Named(name="ternary"),)}), tmp_path)
    with pytest.raises(InterruptedRun, match=r"^stopped in stage answer$"):
        run(request, Plugins(), stop=lambda: True)
    assert len(list((tmp_path / "store" / "answers").rglob("*.json"))) == 1


def test_only_as_much_is_answered_as_detection_records(spec, tmp_path, monkeypatch):
    monkeypatch.setattr("nharness.run.stages.answer.BLOCK", 3)
    short = spec.model_copy(update={"corpus": spec.corpus.model_copy(update={"detect_tokens": 8})})
    corpus = answering(short, tmp_path).corpus
    assert {tag: len(list(corpus.documents(tag, "detect"))) for tag in PROMPTS} == dict.fromkeys(PROMPTS, 3)


def test_all_tokens_and_corpora_without_prompts_are_left_alone(spec, tmp_path):
    heard = []
    whole = spec.model_copy(update={"corpus": spec.corpus.model_copy(update={"tokens_of_interest": "all"})})
    assert "answers" not in answering(whole, tmp_path).corpus.notes
    corpus = resolve(spec, Plugins()).corpus
    plain = replace(corpus, readers={**corpus.readers, "detect": corpus.readers["eval"]})
    assert answer(context_of(spec, tmp_path, heard.append, corpus=plain)) is None
    assert any("has a prompt" in event.text for event in heard if isinstance(event, Noted))
    first, *others = PROMPTS
    mixed = {**corpus.readers["detect"], first: corpus.readers["eval"][first]}
    changed = replace(corpus, readers={**corpus.readers, "detect": mixed})
    answer(context_of(spec, tmp_path, heard.append, corpus=changed))
    said = [event.text for event in heard if isinstance(event, Noted)][-1]
    assert others
    assert f" in {first} has a prompt" in said


def test_what_was_answered_travels_to_workers(spec, tmp_path):
    context = answering(spec, tmp_path)
    work = pickle.loads(pickle.dumps(EvaluateWork(context.corpus.fingerprint, context.answered, verify=True)))
    theirs, ours = work.answered.corpus(context.worker.resolved.corpus), context.corpus
    assert theirs.fingerprint == ours.fingerprint == work.corpus
    for tag in PROMPTS:
        assert list(theirs.documents(tag, "detect")) == list(ours.documents(tag, "detect"))


def test_the_record_tells_that_answers_were_written(spec, tmp_path):
    argv = [
        "run",
        "--detector",
        "ternary",
        "--option",
        "top_rate=0.05",
        "--model",
        spec.model.name,
        "--corpus",
        spec.corpus.name,
        "--tokens",
        "response",
        "--response-tokens",
        str(TOKENS),
        "--controls",
        "0",
        "--bootstrap-draws",
        "100",
        "--out",
        str(tmp_path / "out"),
        "-q",
    ]
    assert main(argv) == 0
    record = Record.model_validate_json((tmp_path / "out/records/ternary-zero/record.json").read_text())
    assert record.corpus.name.endswith("(answers written, greedy, at most 6 tokens)")
    assert main(["validate", "--deep", str(tmp_path / "out/records/ternary-zero")]) == 0
