"""Data from local files: real benchmark folders as they are, every file form, and what is said when there is none."""

import csv
import gzip
import json

import datasets
import pytest

from nharness.errors import CellError, UsageError
from nharness.evaluation.lm_eval_bridge import LmEvalBridge
from nharness.evaluation.local_files import find, served_from
from nharness.evaluation.task_loading import TaskLoader
from nharness.task import CodedFamily, expand_tasks

from .conftest import llama

FAMILIES = {
    "xcopa": CodedFamily("xcopa", "", task="xcopa_{code}", codes={"zh": "zh", "sw": "sw", "ht": "ht"}),
    "mgsm": CodedFamily(
        "mgsm",
        "",
        task="mgsm_direct_{code}",
        codes={"zh": "zh"},
        metric="exact_match",
        metric_filter="flexible-extract",
        columns={"question": "0", "answer_number": "1", "answer": ""},
    ),
}
ROWS = [{"q": "one", "label": 0}, {"q": "two", "label": 1}]


def spec(request, limit=6):
    (found,), _ = expand_tasks(request, [], FAMILIES)
    return found.with_options(limit=limit)


@pytest.mark.parametrize("below", ["", "xcopa"])
@pytest.mark.parametrize("language", ["zh", "ht"])
def test_xcopa_as_it_is_through_lm_evals_own_definition(model, tokenizer, shared_text, language, below):
    loader = TaskLoader(dataset_dir=str(shared_text / below))
    (task,) = loader.load(spec(f"xcopa[{language}]")).values()
    lines = (shared_text / "xcopa" / f"test.{language}.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(task.test_docs()) == len(lines) == 500
    assert len(task.validation_docs()) == 100
    assert dict(task.test_docs()[3]) == json.loads(lines[3])
    result = LmEvalBridge(model, tokenizer, loader=loader).measure(spec(f"xcopa[{language}]"))
    assert len(result.items) == 6
    assert set(result.items[0].values) >= {"acc", "margin", "choices"}
    for item in result.items:
        assert item.values["acc"] == float(item.values["margin"] > 0)


def test_mgsm_with_its_column_mapping(tokenizer, shared_text):
    model = llama(max_position_embeddings=1024)
    loader = TaskLoader(dataset_dir=str(shared_text))
    (task,) = loader.load(spec("mgsm[zh]")).values()
    first = task.test_docs()[0]
    text = (shared_text / "mgsm" / "mgsm_zh.tsv").read_text(encoding="utf-8").splitlines()[0]
    assert [first["question"], first["answer_number"], first["answer"]] == [*text.split("\t"), None]
    assert len(task.test_docs()) == 250
    assert task.doc_to_text(first).startswith("问题： 珍妮特的鸭子")
    result = LmEvalBridge(model, tokenizer, loader=loader).measure(spec("mgsm[zh]", limit=1))
    assert result.settings["filter"] == "flexible-extract"
    assert result.score == 0
    with pytest.raises(CellError, match="2 few-shot examples were requested, and no split has any"):
        LmEvalBridge(model, tokenizer, loader=loader).measure(spec("mgsm[zh]").with_options(num_fewshot=2))


def test_a_users_columns_go_before_the_familys(shared_text):
    columns = {"question": "1", "answer_number": "0", "answer": ""}
    (task,) = TaskLoader(dataset_dir=str(shared_text), columns=columns).load(spec("mgsm[zh]")).values()
    assert task.test_docs()[0]["question"] == "18"
    with pytest.raises(UsageError, match="no column '7'"):
        TaskLoader(dataset_dir=str(shared_text), columns={"question": "7", "answer": "0"}).load(spec("mgsm[zh]"))


def _write(path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode()))
    elif kind == "json":
        path.write_text(json.dumps({"data": ROWS}), encoding="utf-8")
    elif kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["q", "label"])
            writer.writeheader()
            writer.writerows(ROWS)
    elif kind == "tsv":
        path.write_text("".join(f"{row['q']}\t{row['label']}\n" for row in ROWS), encoding="utf-8")
    else:
        datasets.Dataset.from_list(ROWS).to_parquet(str(path))


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "json", "csv", "tsv", "parquet"])
@pytest.mark.parametrize(
    "name", ["org/some-set/zh/{}", "some-set/{}.zh", "some_set_zh_{}", "some-set/data/zh-{}", "some-set/{}_zh"]
)
def test_every_form_and_place(tmp_path, name, kind):
    for split in ("val", "test"):
        _write(tmp_path / f"{name.format(split)}.{kind}", kind)
    columns = {"q": "0", "label": "1"} if kind == "tsv" else {}
    found = find(tmp_path, "org/some-set", "zh", columns)
    for split in ("test", "validation", "dev"):
        assert [(row["q"], int(row["label"])) for row in found[split]] == [("one", 0), ("two", 1)]
    assert len(found["train"]) == 0


def test_a_script_in_a_configuration_is_part_of_its_name(tmp_path):
    for code in ("zho_Hans", "zho_Hant"):
        (tmp_path / "belebele").mkdir(exist_ok=True)
        (tmp_path / "belebele" / f"{code}.jsonl").write_text(json.dumps({"q": code}), encoding="utf-8")
    assert find(tmp_path, "facebook/belebele", "zho_Hant", {})["test"][0]["q"] == "zho_Hant"


def test_another_datasets_files_are_not_taken(tmp_path):
    _write(tmp_path / "xcopa" / "test.zh.jsonl", "jsonl")
    _write(tmp_path / "test.zh.jsonl", "jsonl")
    with pytest.raises(UsageError, match=r"has no file of juletxara/mgsm \(zh\) in a folder 'mgsm' or under that name"):
        find(tmp_path, "juletxara/mgsm", "zh", {})
    with pytest.raises(UsageError, match=r"has no file of cambridgeltl/xcopa \(sw\).*did you mean 'test.zh.jsonl'"):
        find(tmp_path, "cambridgeltl/xcopa", "sw", {})


def test_two_files_of_one_name_are_not_added_up(tmp_path):
    for kind in ("jsonl", "jsonl.gz"):
        _write(tmp_path / "some-set" / f"test.zh.{kind}", kind)
    with pytest.raises(UsageError, match=r"test.zh.jsonl and .*test.zh.jsonl.gz have the same name"):
        find(tmp_path, "org/some-set", "zh", {})


def test_lines_end_where_files_say_and_not_at_other_separators(tmp_path):
    (tmp_path / "some-set").mkdir()
    text = "one\u2028two\x85three\x0cfour"
    (tmp_path / "some-set" / "test.zh.jsonl").write_text(json.dumps({"q": text}, ensure_ascii=False), "utf-8")
    (tmp_path / "some-set" / "val.zh.csv").write_text(f'q\n"{text}\nfive"\n', "utf-8")
    found = find(tmp_path, "org/some-set", "zh", {})
    assert found["test"][0]["q"] == text
    assert found["validation"][0]["q"] == text + "\nfive"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test.zh.csv", "q,label\none, two,0\n", "test.zh.csv line 2: 3 cells under 2 columns"),
        ("test.zh.tsv", "one\t0\ntwo\n", "test.zh.tsv line 2: 1 cell under 2 columns"),
        ("test.zh.jsonl", '{"q": "a"}\n{"q": \n', "test.zh.jsonl line 2: damaged JSON"),
        ("test.zh.json", '[{"q": "a", "q": "b"}]', "'q' occurs twice in one object"),
    ],
)
def test_damage_is_told_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / "some-set").mkdir()
    (tmp_path / "some-set" / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        find(tmp_path, "org/some-set", "zh", {})
    assert message in str(caught.value)


def test_the_hub_is_asked_again_afterwards(tmp_path):
    original = datasets.load_dataset
    with served_from(tmp_path, {}):
        assert datasets.load_dataset is not original
        with pytest.raises(UsageError):
            datasets.load_dataset("org/name", "zh")
    assert datasets.load_dataset is original
    with pytest.raises(UsageError, match="is not a folder"), served_from(tmp_path / "absent", {}):
        pass
