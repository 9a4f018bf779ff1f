"""Our own offline tasks: made again byte for byte, from evaluation text alone, and harder than guessing on the model."""

import gzip
import json
import math
from pathlib import Path

import pytest

from nharness.corpora import content_hash, load_corpus
from nharness.task import expand_tasks
from nharness_tasks.families.table import OWN, own_families
from nharness_tasks.lm_eval import build_items

ITEMS = OWN / "items"
SAMPLE = OWN.parent / "corpora" / "sample"
MODEL = OWN.parent / "babel" / "model"
FAMILIES = {family.name: family for family in own_families()}


def items(task, language, split="test"):
    with gzip.open(ITEMS / f"{task}_{language}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [item for item in map(json.loads, lines) if item.get("split", "test") == split]


def test_the_recipe_makes_the_items_again_byte_for_byte(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["build_items", "--out", str(tmp_path)])
    build_items.main()
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in ITEMS.iterdir()}


def test_items_are_small_and_enough():
    assert sum(path.stat().st_size for path in ITEMS.iterdir()) < 1_000_000
    for name, family in FAMILIES.items():
        assert family.languages() == build_items.LANGUAGES
        assert all(100 <= len(items(name, tag)) <= 200 for tag in family.languages())


@pytest.mark.parametrize("task", FAMILIES)
def test_an_item_is_the_same_question_in_every_language(task):
    english = [(item["id"], item["cluster"], item["label"]) for item in items(task, "en")]
    assert len({name for name, _, _ in english}) == len(english)
    for tag in build_items.LANGUAGES:
        found = items(task, tag)
        assert [(item["id"], item["cluster"], item["label"]) for item in found] == english
        assert all(len(set(item["choices"])) == 4 for item in found)
    places = [label for _, _, label in english]
    assert all(places.count(place) > len(places) / 8 for place in range(4))


@pytest.mark.parametrize("language", ["en", "zh", "ru"])
def test_choices_are_evaluation_text_and_never_detection_text(language):
    corpus = load_corpus(SAMPLE)
    lines = {
        split: {content_hash(line) for doc in corpus.documents(language, split) for line in doc.text.split("\n")}
        for split in ("detect", "eval")
    }
    passages = {doc.id: [line.strip() for line in doc.text.split("\n")] for doc in corpus.documents(language, "eval")}
    for task in FAMILIES:
        for item in items(task, language):
            hashes = {content_hash(choice) for choice in item["choices"]}
            assert hashes <= lines["eval"]
            assert not hashes & lines["detect"]
            name, _, place = item["id"].rpartition(":")
            right = item["choices"][item["label"]]
            assert passages[name][int(place)] == right
            assert not set(passages[name]) & (set(item["choices"]) - {right})


@pytest.mark.parametrize("task", FAMILIES)
def test_few_shot_examples_are_of_other_pages_and_of_detection_text(task):
    detected = {
        content_hash(line) for doc in load_corpus(SAMPLE).documents("de", "detect") for line in doc.text.split("\n")
    }
    shots, questions = items(task, "de", "fewshot"), items(task, "de")
    assert len(shots) == build_items.EXAMPLES == len({item["cluster"] for item in shots})
    assert [item["label"] for item in shots] == [item["label"] for item in items(task, "zh", "fewshot")]
    assert {content_hash(choice) for item in shots for choice in item["choices"]} <= detected
    assert not {item["cluster"] for item in shots} & {item["cluster"] for item in questions}


def test_they_are_what_lm_eval_draws_from():
    from nharness.evaluation.task_loading import TaskLoader

    (spec,), _ = expand_tasks("continuation[de]", [], FAMILIES)
    task = TaskLoader().load(spec)["continuation_de"]
    assert len(task.eval_docs) == len(items("continuation", "de"))
    assert [row["id"] for row in task.fewshot_docs()] == [item["id"] for item in items("continuation", "de", "fewshot")]


def test_a_continuation_follows_its_context():
    texts = {doc.id: doc.text for doc in load_corpus(SAMPLE).documents("fr", "eval")}
    for item in items("continuation", "fr"):
        joined = "\n".join(line.strip() for line in texts[item["id"].rpartition(":")[0]].split("\n"))
        context = "\n".join(line.strip() for line in item["context"].split("\n"))
        assert context + "\n" + item["choices"][item["label"]] in joined


@pytest.fixture(scope="module")
def bridge():
    if not (MODEL / "model.safetensors").is_file():
        pytest.skip("the embedded model is not there")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from nharness.evaluation.lm_eval_bridge import LmEvalBridge

    model = AutoModelForCausalLM.from_pretrained(MODEL).eval()
    return LmEvalBridge(model, AutoTokenizer.from_pretrained(MODEL))


@pytest.mark.slow
@pytest.mark.parametrize(("task", "limit"), [("continuation", 24), ("translation_choice", 48)])
def test_the_embedded_model_is_above_chance(bridge, task, limit):
    specs, _ = expand_tasks(task, build_items.LANGUAGES, FAMILIES)
    right, count = 0.0, 0
    for spec in specs:
        result = bridge.measure(spec.with_options(limit=limit))
        right += sum(item.values[spec.metric] for item in result.items)
        count += len(result.items)
    deviation = math.sqrt(0.25 * 0.75 / count)
    assert right / count > 0.25 + 2 * deviation


def test_their_folder_alone_is_indexed(bridge):
    from nharness.evaluation.task_loading import TaskLoader

    (spec,), _ = expand_tasks("continuation[zh]", [], FAMILIES)
    assert Path(spec.include_path) == OWN
    assert set(TaskLoader().load(spec)) == {"continuation_zh"}
