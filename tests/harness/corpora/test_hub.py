"""Datasets of the `datasets` library: saved folders, and what is said when the hub cannot be reached."""

import subprocess
import sys

import datasets
import pytest

from nharness.corpora import load_corpus
from nharness.corpora.hub import hub_tables
from nharness.corpora.tables import Columns, assemble
from nharness.errors import CorpusError, UsageError


def rows(split):
    return [{"text": f"{split} {language} {n}", "language": language} for n in range(3) for language in ("en", "de")]


def test_a_saved_dataset_loads_like_any_corpus(tmp_path):
    parts = {split: datasets.Dataset.from_list(rows(split)) for split in ("train", "validation")}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    corpus = load_corpus(tmp_path / "saved")
    assert corpus.languages == ("en", "de")
    assert [d.text for d in corpus.documents("de", "eval")] == [f"validation de {n}" for n in range(3)]


@pytest.mark.parametrize("streaming", [False, True])
def test_the_dataset_builder_streamed_or_not(tmp_path, monkeypatch, streaming):
    datasets.Dataset.from_list(rows("train")).to_json(tmp_path / "train.jsonl")
    datasets.Dataset.from_list(rows("test")).to_json(tmp_path / "test.jsonl")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    tables, identity = hub_tables(str(tmp_path), streaming=streaming)
    corpus = assemble("x", tables, Columns(), identity=identity if streaming else "")
    assert [d.text for d in corpus.documents("en", "detect")] == [f"train en {n}" for n in range(3)]
    assert len(corpus.fingerprint) == 64


def test_one_configuration_a_language_needs_the_languages():
    with pytest.raises(UsageError, match="name the languages as well"):
        hub_tables("someone/something", config="2020.{language}")


def test_an_unreachable_hub_is_one_sentence():
    code = (
        "from nharness.corpora import load_corpus\n"
        "from nharness.errors import CorpusError\n"
        "try:\n    load_corpus('someone/no-such-dataset')\n"
        "except CorpusError as error:\n    print(error)\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "PATH": ""}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert "corpus 'someone/no-such-dataset' is not a registered corpus, a local folder or a file" in result.stdout
    assert len(result.stdout.splitlines()) == 1


def test_loading_needs_neither_torch_nor_datasets(tmp_path):
    (tmp_path / "en.jsonl").write_text('{"text": "a"}\n')
    code = (
        f"import sys\nfrom nharness.corpora import load_corpus\nload_corpus({str(tmp_path)!r}).fingerprint\n"
        "print(sorted({'torch', 'datasets', 'transformers', 'pyarrow'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_a_saved_dataset_that_is_damaged(tmp_path):
    (tmp_path / "dataset_dict.json").write_text("{")
    with pytest.raises(CorpusError, match="cannot be loaded"):
        load_corpus(tmp_path)
