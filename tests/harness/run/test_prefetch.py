"""What is brought into one folder is found there again without a network: same model, same data, same text."""

import json

import datasets
import numpy as np
import pytest
from safetensors.numpy import save_file

from nharness.cli.main import main
from nharness.corpora import load_corpus
from nharness.errors import ModelError, OutputError, UsageError
from nharness.evaluation.local_files import kept_in, served_from
from nharness.evaluation.task_loading import TaskLoader
from nharness.models import load_model
from nharness.plugins import Plugins
from nharness.run.prefetch import fetch_corpus, fetch_folder, fetch_model, fetch_tasks
from nharness.spec import ModelSpec, TaskOptions
from nharness.task import expand_tasks

TASK = """task: quiz_en
dataset_path: {path}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_choice: choices
doc_to_target: label
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0}}
"""


@pytest.fixture
def quiz(tmp_path, monkeypatch):
    """A task over a folder of two splits, as a hub dataset has them."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for split in ("train", "test"):
        rows = [{"q": f"{split} {n}?", "choices": ["yes", "no"], "label": n % 2} for n in range(5)]
        place = tmp_path / "source" / f"{split}.jsonl"
        place.parent.mkdir(exist_ok=True)
        place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "quiz.yaml").write_text(TASK.format(path=tmp_path / "source"), encoding="utf-8")
    (spec,), _ = expand_tasks("lm-eval:quiz_en[en]", [], {})
    return spec


def test_a_tasks_data_is_served_from_where_it_was_kept(quiz, tmp_path):
    include = [str(tmp_path / "tasks")]
    before = TaskLoader(include_path=include).load(quiz)["quiz_en"]
    kept = fetch_tasks([quiz], TaskOptions(include_path=include, trust_tasks=True), Plugins(), tmp_path / "out")
    assert {path.relative_to(tmp_path / "out" / "datasets").as_posix() for path in kept.files} >= {
        "source/train.parquet",
        "source/test.parquet",
    }
    (tmp_path / "source").rename(tmp_path / "gone")
    after = TaskLoader(include_path=include, dataset_dir=str(tmp_path / "out" / "datasets")).load(quiz)["quiz_en"]
    assert list(after.test_docs()) == list(before.test_docs())
    assert list(after.training_docs()) == list(before.training_docs())


FILES = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {first}, train: ["{second}"]}}}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{{{q}}}} of {mentioned}"
doc_to_choice: choices
doc_to_target: label
metric_list: [{{metric: acc, aggregation: mean}}]
metadata: {{version: 1.0}}
"""


def test_a_fetched_folder_of_tasks_says_nothing_of_the_machine_it_comes_from(quiz, tmp_path, monkeypatch):
    source, tasks, out = tmp_path / "source", tmp_path / "tasks", tmp_path / "out"
    text = FILES.format(name="by_files", first=source / "test.jsonl", second=source / "tr*.jsonl", mentioned="tasks")
    (tasks / "by_files.yaml").write_text(text, encoding="utf-8")
    options = TaskOptions(include_path=(str(tasks),))
    (own,), _ = expand_tasks("lm-eval:by_files[en]", [], {})
    kept = fetch_tasks([quiz, own], options, Plugins(), out)
    folder = fetch_folder(tasks, out, kept.renamed)
    assert fetch_folder(tasks, out, kept.renamed) == folder  # again, over what is there
    assert not [path for path in folder.rglob("*.yaml") if str(tmp_path) in path.read_text(encoding="utf-8")]
    source.rename(tmp_path / "gone")
    for task in (quiz, own):
        loaded = TaskLoader(include_path=[str(folder)], dataset_dir=str(out / "datasets")).load(task)
        (found,) = loaded.values()
        assert [row["q"] for row in found.test_docs()] == [f"test {n}?" for n in range(5)]
        assert [row["q"] for row in found.training_docs()] == [f"train {n}?" for n in range(5)]


def test_data_named_by_a_relative_path_stays_below_the_folder(quiz, tmp_path, monkeypatch):
    (tmp_path / "source" / "below").mkdir()
    monkeypatch.chdir(tmp_path / "source" / "below")
    with kept_in(tmp_path / "out") as kept:
        datasets.load_dataset("..")
    assert {path.parent for path in kept.files} == {tmp_path / "out" / "source"}


def test_splits_of_like_names_stay_apart(tmp_path):
    for split, count in (("dev", 2), ("val", 3), ("test", 1), ("validation_matched", 4)):
        place = tmp_path / "owner" / "exam" / "zh" / f"{split}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list([{"q": f"{split} {n}"} for n in range(count)]).to_parquet(str(place))
    with served_from(tmp_path, {}):
        found = datasets.load_dataset("owner/exam", "zh")
    assert {name: len(found[name]) for name in ("dev", "val", "test", "devtest", "validation_matched", "train")} == {
        "dev": 2,
        "val": 3,
        "test": 1,
        "devtest": 1,
        "validation_matched": 4,
        "train": 0,
    }


def test_a_corpus_keeps_its_fingerprint(tmp_path):
    folder = tmp_path / "texts"
    for split in ("detect", "eval"):
        for tag in ("en", "fr"):
            (folder / split).mkdir(parents=True, exist_ok=True)
            rows = [
                {"id": f"{split}{n}#1", "text": f"{tag} {n}", "source": "s", "prompt": "p" if n else ""}
                for n in range(4)
            ]
            (folder / split / f"{tag}.jsonl").write_text(
                "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
            )
    corpus = load_corpus(folder)
    copied = load_corpus(fetch_corpus(corpus, corpus.languages, tmp_path / "out"))
    assert copied.fingerprint == corpus.fingerprint
    assert copied.languages == corpus.languages
    few = load_corpus(fetch_corpus(corpus, ["fr"], tmp_path / "few", documents=2))
    assert [doc.id for doc in few.documents("fr", "eval")] == ["eval0#1", "eval1#1"]
    assert few.languages == ("fr",)


def test_a_registered_model_and_a_folder_are_copied_whole(tmp_path):
    plugins = Plugins()
    named = {"babel": plugins.resolve("models", "babel")}
    folder, args = fetch_model(ModelSpec(name="babel"), named, tmp_path)
    assert (folder, args) == (tmp_path / "models" / "babel", {})
    again, _ = fetch_model(ModelSpec(name=str(folder)), {}, tmp_path / "second")
    assert again == tmp_path / "second" / "models" / "babel"
    assert load_model(str(again)).fingerprint == load_model("babel", named=named).fingerprint


def test_a_hub_that_cannot_be_reached_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match=r"^model 'some-lab/some-model' cannot be fetched from the hub \(\w+: .*\)$"):
        fetch_model(ModelSpec(name="some-lab/some-model"), {}, tmp_path)


def test_two_models_of_like_names_are_never_mixed(tmp_path):
    for version, text in (("Model-3.1", "one"), ("Model-3.2", "two"), ("elsewhere/Model-3.1", "three")):
        save(tmp_path / version, text)
    out = tmp_path / "out"
    folders = [fetch_model(ModelSpec(name=str(tmp_path / name)), {}, out)[0] for name in ("Model-3.1", "Model-3.2") * 2]
    assert [folder.name for folder in folders] == ["Model-3.1", "Model-3.2"] * 2
    with pytest.raises(OutputError, match="already exists and holds something else; choose another --out"):
        fetch_model(ModelSpec(name=str(tmp_path / "elsewhere" / "Model-3.1")), {}, out)
    assert (out / "models" / "Model-3.1" / "NOTICE").read_text() == "one"
    with pytest.raises(UsageError, match="--out lies inside "):
        fetch_model(ModelSpec(name=str(tmp_path / "Model-3.2")), {}, tmp_path / "Model-3.2" / "out")


def save(folder, text):
    """A folder that looks like a model's."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "NOTICE").write_text(text)
    save_file({"a": np.zeros(1)}, folder / "model.safetensors")


def test_a_corpus_of_the_same_name_with_other_languages_is_refused(tmp_path):
    for place, tag in (("one", "en"), ("two", "fr")):
        for split in ("detect", "eval"):
            (tmp_path / place / "texts" / split).mkdir(parents=True)
            (tmp_path / place / "texts" / split / f"{tag}.jsonl").write_text(json.dumps({"text": "some"}) + "\n")
    fetch_corpus(load_corpus(tmp_path / "one" / "texts"), ["en"], tmp_path / "out")
    with pytest.raises(OutputError, match="choose another --out"):
        fetch_corpus(load_corpus(tmp_path / "two" / "texts"), ["fr"], tmp_path / "out")


def test_tasks_of_ones_own_come_along(quiz, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["prefetch", "--tasks", "lm-eval:quiz_en[en]", "--include-path", "tasks", "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert "--dataset-dir out/datasets --include-path out/tasks/tasks" in printed
    (tmp_path / "tasks").rename(tmp_path / "gone")
    loader = TaskLoader(include_path=["out/tasks/tasks"], dataset_dir="out/datasets")
    assert len(list(loader.load(quiz)["quiz_en"].test_docs())) == 5
