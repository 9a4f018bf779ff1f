"""lm-eval's generation tasks: decoded by us, their text kept, prompts that are cut counted, warnings passed on."""

import json

import pytest
import torch
from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import GenerationConfig

from nharness.errors import UsageError
from nharness.evaluation.lm_eval_bridge import LmEvalBridge
from nharness.evaluation.quiet import quiet
from nharness.evaluation.task_loading import TaskLoader
from nharness.task import expand_tasks

from .conftest import byte_tokenizer, llama

WRITE = """task: write
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{a}}}}"
generation_kwargs: {kwargs}
repeats: {repeats}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
{filters}
metadata: {{version: 1.0}}
"""
MAJORITY = """filter_list:
  - name: votes
    filter: [{function: majority_vote}, {function: take_first}]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    rows = [{"q": "Where?" * (1 + 9 * (n == 2)), "a": "here"} for n in range(4)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def write_task(folder, kwargs="{until: ['zzz'], max_gen_toks: 9}", repeats=1, filters=""):
    text = WRITE.format(data=folder / "rows.jsonl", kwargs=kwargs, repeats=repeats, filters=filters)
    place = folder / f"tasks{len(list(folder.iterdir()))}"
    place.mkdir()
    (place / "write.yaml").write_text(text, encoding="utf-8")
    return LmEvalBridge(llama(), byte_tokenizer(), loader=TaskLoader(include_path=[str(place)]))


def spec(name="write", **options):
    (found,), _ = expand_tasks(f"lm-eval:{name}[en]", [], {})
    return found.with_options(**options)


def test_a_task_that_samples_is_decoded_greedily_and_it_is_said(folder):
    plain = write_task(folder).measure(spec())
    assert plain.items[0].text == plain.items[1].text != ""
    assert not any("sampled" in note for note in plain.notes)
    wild = write_task(folder, "{until: ['zzz'], max_gen_toks: 9, do_sample: true, temperature: 9.0, top_k: 5}")
    results = [wild.measure(spec()) for _ in range(2)]
    assert results[0].items == results[1].items == plain.items
    assert results[0].notes[0] == "write asks for sampled text; it is decoded greedily, like everything here"
    definition = wild.loader.definition(spec())
    assert definition.decoding == {"until": ["zzz"], "max_gen_toks": 9, "do_sample": False}
    assert (definition.sampled, definition.repeats, definition.shots) == (True, 1, 0)


def test_a_checkpoints_decoding_counts_for_nothing_and_is_left_alone(folder):
    before = write_task(folder).measure(spec())
    bridge = write_task(folder)
    theirs = GenerationConfig(repetition_penalty=3.0, no_repeat_ngram_size=1, do_sample=True, temperature=2.0)
    bridge._lm.model.generation_config = theirs
    assert bridge.measure(spec()).items == before.items
    assert bridge._lm.model.generation_config is theirs
    ids = torch.tensor([byte_tokenizer()("Where?")["input_ids"]])
    written = bridge._lm.model.generate(ids, max_new_tokens=9, do_sample=False)[0, ids.shape[1] :]
    assert byte_tokenizer().decode(written, skip_special_tokens=True) != before.items[0].text


def test_repeats_are_counted_as_lm_eval_counts_them(folder):
    bridge = write_task(folder, repeats=3, filters=MAJORITY)
    ours = bridge.measure(spec())
    with quiet():
        theirs = evaluator.simple_evaluate(
            HFLM(pretrained=llama(), tokenizer=byte_tokenizer(), batch_size=8),
            tasks=["write"],
            task_manager=TaskManager(include_path=list(bridge.loader._include), include_defaults=False),
            bootstrap_iters=0,
        )
    assert len(ours.items) == len(theirs["samples"]["write"]) == 4
    assert [len(row["resps"][0]) for row in theirs["samples"]["write"]] == [3] * 4
    assert [item.text for item in ours.items] == [row["resps"][0][0] for row in theirs["samples"]["write"]]
    assert ours.score == theirs["results"]["write"]["exact_match,votes"]
    assert ours.tokens == write_task(folder).measure(spec()).tokens  # equal answers are written once
    assert bridge.loader.definition(spec()).repeats == 3


def test_a_prompt_longer_than_the_context_is_counted_flagged_and_said(folder):
    result = write_task(folder).measure(spec())
    assert [item.values.get("truncated") for item in result.items] == [None, None, 1.0, None]
    assert result.notes == (
        "1 of 4 prompts of write[en] are longer than the context of 64 tokens and lost their beginning",
    )
    some = write_task(folder).measure(spec(), ids=["0", "2"])  # a prompt's place among those is another
    assert [item.values.get("truncated") for item in some.items] == [None, 1.0]


CHOOSE = """task: choose
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_choice: ["here", "over there, far away"]
doc_to_target: {target}
metric_list: [{{metric: acc, aggregation: mean}}]
metadata: {{version: 1.0}}
"""


def test_a_choice_longer_than_the_context_too(folder):
    (folder / "choose.yaml").write_text(CHOOSE.format(data=folder / "rows.jsonl", target=0), encoding="utf-8")
    result = LmEvalBridge(llama(), byte_tokenizer(), loader=TaskLoader(include_path=[str(folder)])).measure(
        spec("choose")
    )
    assert [item.values.get("truncated") for item in result.items] == [None, None, 1.0, None]
    assert "1 of 4 prompts of choose[en]" in result.notes[-1]


def test_other_warnings_of_lm_eval_are_passed_on_once_a_kind(folder):
    (folder / "choose.yaml").write_text(
        CHOOSE.format(data=folder / "rows.jsonl", target='"{{ 7 if q|length > 9 else 0 }}"'), encoding="utf-8"
    )
    loader = TaskLoader(include_path=[str(folder)])
    found = LmEvalBridge(llama(), byte_tokenizer(), loader=loader).measure(spec("choose"))
    told = [note for note in found.notes if note.startswith("lm-eval: Label index was not in within range")]
    assert len(told) == 1


GROUP = "group: all\ntask: [choose, more]\naggregate_metric_list:\n  - {{metric: acc, weight_by_size: {weighted}}}\n"


@pytest.mark.parametrize(
    ("weighted", "limit", "refused"), [("true", None, False), ("false", None, True), ("false", 2, False)]
)
def test_a_group_whose_score_is_no_mean_over_items_is_refused(folder, weighted, limit, refused):
    (folder / "few.jsonl").write_text(
        (folder / "rows.jsonl").read_text().splitlines()[0] * 1 + "\n" + '{"q": "x", "a": "y"}\n'
    )
    for name, data in (("choose", "rows"), ("more", "few")):
        text = CHOOSE.format(data=folder / f"{data}.jsonl", target=0).replace("task: choose", f"task: {name}")
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "all.yaml").write_text(GROUP.format(weighted=weighted), encoding="utf-8")
    loader = TaskLoader(include_path=[str(folder)])
    task = loader.settle(spec("all", limit=limit))
    if refused:
        with pytest.raises(
            UsageError, match=r"group 'all' gives its tasks equal weight, however many items each has.*choose, more"
        ):
            loader.load(task)
    else:
        assert set(loader.load(task)) == {"choose", "more"}


@pytest.mark.parametrize(
    ("name", "metric", "shots"),
    [("ifeval", "prompt_level_strict_acc", 0), ("coqa", "em", 0), ("mgsm_native_cot_zh", "exact_match", 0)],
)
def test_metrics_that_lm_eval_has_not_registered(name, metric, shots):
    loader = TaskLoader()
    assert loader.settle(spec(name)).metric == metric
    assert loader.definition(spec(name)).shots == shots


def test_what_the_yaml_asks_for_is_the_number_of_examples(folder):
    assert TaskLoader().definition(spec("gsm8k")).shots == 5
    assert TaskLoader().definition(spec("gsm8k_cot")).shots == 8
    assert TaskLoader().definition(spec("gsm8k_cot_self_consistency")).repeats == 64
    assert TaskLoader().definition(spec("gsm8k_cot_self_consistency")).sampled is True


def test_a_task_that_runs_what_the_model_writes_is_refused():
    with pytest.raises(UsageError, match="'humaneval' runs code written by the model"):
        TaskLoader().settle(spec("humaneval"))
