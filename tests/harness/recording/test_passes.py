"""`record`, from text to a file: languages of unequal size, progress, provenance, errors, memory."""

import gc
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from nharness.corpora import Document, EncodingPolicy
from nharness.detector import Need
from nharness.errors import CorpusError, FileFormatError, UsageError
from nharness.models import locate
from nharness.recording import RecordingOptions, Text, record
from nharness.statistics import load, merge
from nharness.tensorfile import save

NEEDS = (Need("activation_count"), Need("moments"), Need("histogram"), Need("document_mean", "hidden"))

Located = tuple[Any, Any]  # a model and the map of its neurons


@pytest.fixture(scope="module")
def tokenizer():
    letters = {chr(code): 3 + code - ord("a") for code in range(ord("a"), ord("z") + 1)}
    inner = Tokenizer(models.BPE({"<unk>": 0, **letters}, [], unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def texts(count, *, seed=0, words=6):
    random = np.random.default_rng(seed)
    return [
        Document(f"{n}", " ".join("".join(map(chr, random.integers(97, 123, 5))) for _ in range(words)))
        for n in range(count)
    ]


def test_languages_of_unequal_size_in_one_pass(llama: Located, tokenizer, tmp_path):
    corpora = {"en": texts(150), "zh": iter(texts(3, seed=1)), "de": texts(70, seed=2)}
    calls = []
    policy = EncodingPolicy(max_length=16)
    got = record(
        *llama, Text(tokenizer, corpora, policy), NEEDS, provenance={"model": "m", "corpus": "c"}, progress=calls.append
    )
    assert set(got) == {"gate", "hidden"}
    gate = got["gate"]
    assert gate.languages == ("en", "zh", "de")
    assert {tag: (t.tokens, t.documents) for tag, t in gate.totals.items()} == {
        "en": (4500, 150),
        "zh": (90, 3),
        "de": (2100, 70),
    }
    assert got["hidden"].get("document_mean", "mean", "en").shape == (150, gate.size)
    assert gate.provenance["encoding"]["max_length"] == 16
    assert gate.provenance["dtype"] == "float32"
    last = [call for call in calls if call.finished]
    assert [(call.language, call.documents, call.of_documents, call.tokens) for call in last] == [
        ("en", 150, 150, 4500),
        ("zh", 3, None, 90),
        ("de", 70, 70, 2100),
    ]
    assert all(call.tokens_per_second > 0 for call in calls)
    for site, statistics in got.items():
        statistics.save(tmp_path / site)
        again = load(tmp_path / site)
        again.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / site).read_bytes()
        assert again.provenance == statistics.provenance


def test_the_same_text_gives_the_same_bytes_and_apart_they_merge(llama: Located, tokenizer, tmp_path):
    needs = NEEDS[:2]
    whole = {"en": texts(10), "de": texts(20, seed=2)}
    options = RecordingOptions(shard_documents=4, batch_tokens=60)
    first, second = (record(*llama, Text(tokenizer, whole), needs, options=options)["gate"] for _ in range(2))
    apart = [
        record(*llama, Text(tokenizer, {tag: found}), needs, options=options)["gate"] for tag, found in whole.items()
    ]
    for name, statistics in (("a", first), ("b", second), ("c", merge(apart))):
        statistics.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_a_budget_bounds_every_language(llama: Located, tokenizer):
    got = record(*llama, Text(tokenizer, {"en": texts(9), "de": texts(2)}, max_tokens=100), NEEDS[:1])["gate"]
    assert (got.totals["en"].tokens, got.totals["de"].tokens) == (90, 60)
    assert got.provenance["max_tokens"] == 100


def test_a_language_without_text_and_nothing_to_do(llama: Located, tokenizer):
    with pytest.raises(CorpusError, match="no document of language 'de'"):
        record(*llama, Text(tokenizer, {"en": texts(2), "de": []}), NEEDS)
    with pytest.raises(UsageError, match="nothing to record"):
        record(*llama, Text(tokenizer, {"en": texts(2)}), [])
    with pytest.raises(UsageError, match="nothing to record"):
        record(*llama, Text(tokenizer, {}), NEEDS)


def test_memory_does_not_grow_with_the_corpus(llama: Located, tokenizer):
    """Peak of what Python and NumPy hold, for twenty-five and for fifty shards."""

    def peak(count):
        documents = (document for n in range(count) for document in texts(1, seed=n))
        gc.collect()
        tracemalloc.start()
        record(*llama, Text(tokenizer, {"en": documents}), NEEDS[:3], options=RecordingOptions(shard_documents=8))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(8)
    assert peak(400) < 1.25 * peak(200)


HIGH_WATER = Path("/proc/self/clear_refs")


@pytest.mark.skipif(not os.access(HIGH_WATER, os.W_OK), reason="the process's memory peak can be reset on Linux only")
def test_the_peak_of_the_process_does_not_grow_with_the_corpus(tokenizer):
    """Torch's tensors included: five shards of ten short documents, and eighty."""
    config = LlamaConfig(
        vocab_size=99, hidden_size=32, intermediate_size=2048, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(config).eval()
    neuron_map = locate(model)

    def peak(count):
        documents = (document for n in range(count) for document in texts(1, seed=n, words=2))
        gc.collect()
        HIGH_WATER.write_text("5")
        record(
            model,
            neuron_map,
            Text(tokenizer, {"en": documents}),
            NEEDS[:3],
            options=RecordingOptions(shard_documents=10),
        )
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    few = max(peak(50) for _ in range(3))  # the first runs also make room in the heap
    many = peak(800)
    assert many - few < 5, f"{few:.0f} MiB with 50 documents, {many:.0f} MiB with 800"


def test_a_file_that_others_wrote_loads(tmp_path):
    tensors = {f"activation_count/positive/{tag}": np.arange(5) for tag in ("en", "zh")}
    metadata = {
        "format": "nharness-statistics/1",
        "site": "gate",
        "layer_widths": [3, 2],
        "languages": {"en": {"tokens": 9}, "zh": {"tokens": 7, "documents": 1}},
    }
    save(tmp_path / "foreign", tensors, metadata)
    statistics = load(tmp_path / "foreign")
    np.testing.assert_allclose(statistics.activation_probability(), [np.arange(5) / 9, np.arange(5) / 7])
    save(
        tmp_path / "short",
        {"activation_count/positive/en": np.arange(4)},
        {**metadata, "languages": {"en": {"tokens": 9}}},
    )
    with pytest.raises(FileFormatError, match=r"is \(4,\), expected 5 neurons"):
        load(tmp_path / "short")
