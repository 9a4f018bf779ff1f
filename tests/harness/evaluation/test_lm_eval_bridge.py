"""lm-eval's tasks on a model object: the numbers of lm-eval itself, inside and outside edits, nothing carried over."""

import json
import math
import warnings

import pytest
import torch
from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from nharness.errors import CellError, UnknownNameError, UsageError
from nharness.evaluation.lm_eval_bridge import LmEvalBridge, LmEvalOptions
from nharness.evaluation.quiet import quiet
from nharness.evaluation.task_loading import TaskLoader
from nharness.models import Edit, apply_edits, locate
from nharness.task import expand_tasks

from .conftest import byte_tokenizer, llama

CHOICE = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}, train: {data}}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_choice: choices
doc_to_target: label
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 3.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two tasks and a group of both, over the same twelve questions."""
    place = tmp_path_factory.mktemp("tasks")
    rows = [
        {"q": f"Question {n}?", "choices": [f" yes {n}", f" no {n * n}", " so"], "label": n % 3, "link": f"p{n // 4}"}
        for n in range(12)
    ]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for name in ("quiz_a", "quiz_b"):
        (place / f"{name}.yaml").write_text(CHOICE.format(name=name, data=place / "rows.jsonl"), encoding="utf-8")
    (place / "group.yaml").write_text("group: quizzes\ntask: [quiz_a, quiz_b]\n", encoding="utf-8")
    return str(place)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.fixture
def bridge(model, tokenizer, folder, cache):
    return LmEvalBridge(model, tokenizer, loader=TaskLoader(include_path=[folder]))


def spec(request, **options):
    (found,), _ = expand_tasks(f"lm-eval:{request}[en]", [], {})
    return found.with_options(**options)


def edits(model, layer, scale):
    count = model.config.intermediate_size
    return [Edit(layer, "hidden", torch.arange(count), torch.full((count,), scale), torch.zeros(count))]


def test_scores_are_those_of_simple_evaluate(bridge, model, folder):
    ours = bridge.measure(spec("quiz_a"))
    with quiet():
        lm = HFLM(pretrained=model, tokenizer=byte_tokenizer(), batch_size=5)
        theirs = evaluator.simple_evaluate(
            lm,
            tasks=["quiz_a"],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            bootstrap_iters=0,
        )
    assert ours.score == theirs["results"]["quiz_a"]["acc,none"]
    assert [item.values["acc"] for item in ours.items] == [row["acc"] for row in theirs["samples"]["quiz_a"]]
    assert (ours.metric, len(ours.items)) == ("acc", 12)
    assert [item.cluster for item in ours.items] == [f"p{n // 4}" for n in range(12)]
    assert ours.settings["tasks"] == {"quiz_a": 3.0}
    assert ours.tokens > 0


def test_likelihoods_are_the_models_own(bridge, model, tokenizer):
    item = bridge.measure(spec("quiz_a", limit=1)).items[0]
    values = []
    for choice in (" yes 0", " no 0", " so"):
        ids = tokenizer("Question 0? " + choice.strip())["input_ids"]
        start = len(tokenizer("Question 0?")["input_ids"])
        context, whole = "Question 0?", "Question 0? " + choice  # the delimiter is a space, the choice begins with one
        ids, start = tokenizer(whole)["input_ids"], len(tokenizer(context)["input_ids"])
        with torch.inference_mode():
            logs = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        values.append(sum(float(logs[place - 1, ids[place]]) for place in range(start, len(ids))))
    assert item.values["margin"] == pytest.approx(values[0] - max(values[1:]), abs=1e-3)
    assert item.values["choices"] == 3


def test_an_edit_changes_the_answer_and_leaves_nothing_behind(bridge, model):
    before = bridge.measure(spec("quiz_a")).items
    results = []
    for layer, scale in ((0, 0.0), (1, 0.0), (0, 3.0)):
        with apply_edits(model, locate(model), edits(model, layer, scale)) as report:
            results.append(bridge.measure(spec("quiz_a")).items)
        assert report.edited_activations > 0
    margins = [tuple(item.values["margin"] for item in items) for items in (before, *results)]
    assert len(set(margins)) == 4
    assert bridge.measure(spec("quiz_a")).items == before


def test_two_bridges_over_one_cache_folder_share_no_result(model, tokenizer, folder, cache):
    """The datasets cache is one; the responses are each model's own."""
    results = []
    for layer in (0, 1):
        with apply_edits(model, locate(model), edits(model, layer, 0.0)):
            fresh = LmEvalBridge(model, tokenizer, loader=TaskLoader(include_path=[folder]))
            results.append(fresh.measure(spec("quiz_a")).items)
    assert results[0] != results[1]


def test_few_shot_examples_are_the_same_at_every_evaluation(bridge):
    first = bridge.measure(spec("quiz_a", num_fewshot=2, limit=4))
    again = bridge.measure(spec("quiz_a", num_fewshot=2, limit=4))
    assert first == again
    assert first.settings["num_fewshot"] == 2
    assert first.items != bridge.measure(spec("quiz_a", num_fewshot=0, limit=4)).items


def test_chosen_items_alone(bridge):
    every = {item.id: item for item in bridge.measure(spec("quiz_a")).items}
    some = bridge.measure(spec("quiz_a"), ids=["7", "2", "11"]).items
    assert [item.id for item in some] == ["2", "7", "11"]
    for item in some:
        assert item.values["margin"] == pytest.approx(every[item.id].values["margin"], abs=1e-4)
    with pytest.raises(UnknownNameError, match="item of task quiz_a"):
        bridge.measure(spec("quiz_a"), ids=["12"])


def test_a_group_gives_its_leaves_items(bridge):
    items = bridge.measure(spec("quizzes", limit=2)).items
    assert [item.id for item in items] == ["quiz_a/0", "quiz_a/1", "quiz_b/0", "quiz_b/1"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_likelihoods_that_are_not_finite_stop_the_cell(tokenizer, folder, cache, value):
    model = llama()
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.fill_(value)
    bridge = LmEvalBridge(model, tokenizer, loader=TaskLoader(include_path=[folder]))
    with pytest.raises(CellError, match="a log-likelihood is nan, expected a finite number"):
        bridge.measure(spec("quiz_a"))


def test_what_does_not_exist_is_said(bridge, model, tokenizer, folder, monkeypatch):
    from dataclasses import replace

    with pytest.raises(UnknownNameError, match=r"metric of task quiz_a.*'f1'"):
        bridge.measure(replace(spec("quiz_a"), metric="f1"))
    with pytest.raises(UnknownNameError, match="unknown lm-eval task 'quiz_aa'; did you mean 'quiz_a'"):
        TaskLoader().load(replace(spec("quiz_aa"), include_path=folder))
    with pytest.raises(UsageError, match="the tokenizer has none"):
        LmEvalBridge(model, tokenizer, options=LmEvalOptions(chat_template=True))


@pytest.mark.parametrize(
    ("name", "metric", "higher", "answer_filter"),
    [
        ("quiz_a", "acc", True, "none"),
        ("quizzes", "acc", True, "none"),
        ("gsm8k", "exact_match", True, "strict-match"),
        ("lambada_openai", "acc", True, "none"),
        ("xcopa", "acc", True, "none"),
        ("lambada", "acc", True, "none"),
    ],
)
def test_a_task_asked_for_by_name_has_the_metric_that_its_yaml_says(folder, name, metric, higher, answer_filter):
    found = TaskLoader(include_path=[folder]).settle(spec(name))
    assert (found.metric, found.higher_is_better, found.metric_filter) == (metric, higher, answer_filter)


def test_a_task_without_a_mean_over_items_cannot_be_paired():
    with pytest.raises(
        UsageError, match=r"'wikitext' has no metric that is a mean .*: word_perplexity, byte_perplexity"
    ):
        TaskLoader().settle(spec("wikitext"))


def test_a_task_whose_data_needs_a_network_fails_with_a_sentence():
    (xcopa,), _ = expand_tasks("lm-eval:xcopa_zh[zh]", [], {})
    with pytest.raises(CellError, match=r"lm-eval cannot load 'xcopa_zh'.*give its files with --dataset-dir"):
        TaskLoader().load(xcopa)


def test_the_chat_template_is_used(model, folder, cache):
    template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    tokenizer = byte_tokenizer(chat_template=template)
    plain, wrapped = (
        LmEvalBridge(
            model, tokenizer, options=LmEvalOptions(chat_template=chat), loader=TaskLoader(include_path=[folder])
        ).measure(spec("quiz_a", limit=3))
        for chat in (False, True)
    )
    assert plain.items != wrapped.items
    assert wrapped.settings["chat_template"] is True


def test_nothing_is_printed_or_warned_and_the_tokenizer_is_left_alone(model, folder, cache, capfd, caplog):
    tokenizer = byte_tokenizer()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LmEvalBridge(model, tokenizer, loader=TaskLoader(include_path=[folder])).measure(spec("quiz_b"))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert tokenizer.pad_token is None


def test_a_template_that_fails_over_a_later_document_fails_its_cell(model, tokenizer, folder, tmp_path, cache):
    late = "{{{{q}}}}{{% if '5' in q %}}{{{{ absent }}}}{{% endif %}}"
    text = CHOICE.replace("{{{{q}}}}", late).format(name="quiz_late", data=f"{folder}/rows.jsonl")
    (tmp_path / "quiz_late.yaml").write_text(text, encoding="utf-8")
    bridge = LmEvalBridge(model, tokenizer, loader=TaskLoader(include_path=[str(tmp_path)]))
    with pytest.raises(CellError, match=r"lm-eval failed \(TemplateError: UndefinedError: 'absent' is undefined\)"):
        bridge.measure(spec("quiz_late"))
