"""Few-shot examples: never the item itself, the same for an item whatever stands before it, from the split that is said."""

import json

import pytest

from nharness.errors import CellError
from nharness.evaluation.few_shot import ItemSampler, split_of
from nharness.evaluation.lm_eval_bridge import LmEvalBridge, LmEvalOptions
from nharness.evaluation.task_loading import TaskLoader
from nharness.task import expand_tasks

from .conftest import byte_tokenizer, llama

YAML = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{{files}}}
output_type: multiple_choice
{splits}
doc_to_text: "{{{{q}}}}"
doc_to_choice: choices
doc_to_target: label
metric_list:
  - metric: acc
    aggregation: mean
metadata:
  version: 1.0
"""
ROWS = 7


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shots")
    for split in ("test", "train", "validation"):
        rows = [{"q": f"{split} {n}?", "choices": ["yes", "no"], "label": n % 2, "id": n} for n in range(ROWS)]
        if split == "test":
            rows.append({**rows[2], "id": 99})  # the same question under another id
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def bridge(place, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    model = llama(max_position_embeddings=512)

    def made(splits, more="", **options):
        files = ", ".join(f"{split}: {place / split}.jsonl" for split in ("test", "train", "validation"))
        lines = "\n".join(f"{use}_split: {split}" for use, split in splits.items())
        text = YAML.format(name="quiz", files=files, splits=lines) + more
        (tmp_path / "quiz.yaml").write_text(text, encoding="utf-8")
        loader = TaskLoader(include_path=[str(tmp_path)])
        return LmEvalBridge(
            model, byte_tokenizer(**options.pop("tokens", {})), options=LmEvalOptions(**options), loader=loader
        )

    return made


def spec(**options):
    (found,), _ = expand_tasks("lm-eval:quiz[en]", [], {})
    return found.with_options(**options)


def contexts(bridge, monkeypatch, **options):
    """Return the prompts of the items, by id, as the model got them."""
    seen = {}
    genuine = type(bridge._lm)._loglikelihood_tokens

    def look(self, requests, *args, **kwargs):
        for asked, request in zip(self._asked, requests, strict=True):
            seen.setdefault(asked.doc["id"], request[0][0])
        return genuine(self, requests, *args, **kwargs)

    monkeypatch.setattr(type(bridge._lm), "_loglikelihood_tokens", look)
    ids = options.pop("ids", None)
    result = bridge.measure(spec(**options), ids=ids)
    monkeypatch.undo()
    return seen, result


@pytest.mark.parametrize(
    ("splits", "drawn"),
    [
        ({"test": "test"}, "test"),
        ({"validation": "validation"}, "validation"),
        ({"test": "test", "fewshot": "test"}, "test"),
        ({"test": "test", "training": "train"}, "train"),
        ({"test": "test", "validation": "validation"}, "validation"),
    ],
)
def test_no_prompt_holds_its_own_question_with_its_answer(bridge, monkeypatch, splits, drawn):
    made = bridge(splits)
    prompts, result = contexts(made, monkeypatch, num_fewshot=5)
    assert len(prompts) == len(result.items) >= ROWS
    for prompt in prompts.values():
        *shots, own = prompt.split("\n\n")
        questions = [shot.partition("?")[0] for shot in shots]
        assert own.partition("?")[0] not in questions  # nor under another id
        assert len(set(questions)) == 5 or drawn == "test"
        assert all(question.startswith(drawn) for question in questions)
    (task,) = made.loader.load(spec()).values()
    assert split_of(task) == drawn
    assert not isinstance(task.sampler, ItemSampler)  # lm-eval's task is as it was


def test_a_template_reaches_no_python_object(bridge):
    more = 'doc_to_text: "{{ q.__class__.__mro__ }}"\n'
    with pytest.raises(CellError, match="SecurityError"):
        bridge({"test": "test"}, more=more).measure(spec())


def test_an_items_examples_do_not_depend_on_the_items_before_it(bridge, monkeypatch):
    made = bridge({"test": "test", "training": "train"})
    every, _ = contexts(made, monkeypatch, num_fewshot=3)
    some, result = contexts(made, monkeypatch, num_fewshot=3, ids=["5", "1"])
    assert some == {number: every[number] for number in (1, 5)}
    assert [item.id for item in result.items] == ["1", "5"]
    assert len({prompt.partition("test")[0] for prompt in every.values()}) > 3  # and differ between items


def test_the_first_examples_are_the_same_for_all_but_the_item(bridge, monkeypatch):
    made = bridge({"test": "test"}, more="fewshot_config: {sampler: first_n}\n")
    prompts, _ = contexts(made, monkeypatch, num_fewshot=2)
    assert [part.partition("?")[0] for part in prompts[5].split("\n\n")] == ["test 0", "test 1", "test 5"]
    assert [part.partition("?")[0] for part in prompts[0].split("\n\n")] == ["test 1", "test 2", "test 0"]


def test_more_examples_than_there_are_beside_the_item_are_refused(bridge):
    with pytest.raises(CellError, match="7 few-shot examples were requested, but there are 6 besides the item itself"):
        bridge({"test": "test"}).measure(spec(num_fewshot=7))
    with pytest.raises(CellError, match="9 few-shot examples were requested, and there are 7"):
        bridge({"test": "test", "training": "train"}).measure(spec(num_fewshot=9))


def test_in_a_chat_template_examples_are_turns(bridge, monkeypatch):
    template = "{% for m in messages %}[{{ m['role'] }}:{{ m['content'] }}]{% endfor %}"
    made = bridge({"test": "test", "training": "train"}, chat_template=True, tokens={"chat_template": template})
    prompts, _ = contexts(made, monkeypatch, num_fewshot=2, limit=1)
    assert [turn.partition(":")[0] for turn in prompts[0].split("[")[1:]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]


def test_a_group_asked_for_some_items_evaluates_no_other(bridge, tmp_path):
    made = bridge({"test": "test"})
    text = (tmp_path / "quiz.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text.replace("task: quiz", "task: other"), encoding="utf-8")
    (tmp_path / "both.yaml").write_text("group: both\ntask: [quiz, other]\n", encoding="utf-8")
    made.loader = TaskLoader(include_path=[str(tmp_path), "."])
    (group,), _ = expand_tasks("lm-eval:both[en]", [], {})
    assert [item.id for item in made.measure(group, ids=["other/3"]).items] == ["other/3"]
