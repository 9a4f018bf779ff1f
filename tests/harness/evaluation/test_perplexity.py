"""Perplexity: lm-eval's rolling log-likelihood on the same documents, and sums that do not depend on batching."""

import math

import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from nharness.corpora import Document
from nharness.errors import CellError
from nharness.evaluation.items import Item, bits_per_byte, mean, perplexity, total
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.quiet import quiet
from nharness.evaluation.windows import WindowPolicy

from .conftest import byte_tokenizer, llama


def score(model, tokenizer, documents, **options):
    engine = PerplexityEngine(model, tokenizer, **options)
    return engine.score(engine.encode(documents, language="en"))


@pytest.mark.parametrize("window", [16, 64])
def test_agrees_with_lm_eval(model, tokenizer, documents, window):
    ours = score(model, tokenizer, documents, policy=WindowPolicy(window=window, stride=window, prefix=0))
    with quiet():
        lm = HFLM(pretrained=model, tokenizer=byte_tokenizer(), batch_size=3, max_length=window)
        requests = [Instance("loglikelihood_rolling", {}, (doc.text,), place) for place, doc in enumerate(documents)]
        theirs = lm.loglikelihood_rolling(requests, disable_tqdm=True)
    np.testing.assert_allclose([item.values["nll"] for item in ours], [-value for value in theirs], rtol=2e-6)


def test_equals_a_loop_over_single_tokens_in_float64(tokenizer, documents):
    model = llama(max_position_embeddings=1024).double()
    ours = score(model, tokenizer, documents)
    for item, document in zip(ours, documents, strict=True):
        ids = [0, *tokenizer(document.text)["input_ids"]]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0]
        expected = -sum(float(logits[place].log_softmax(-1)[ids[place + 1]]) for place in range(len(ids) - 1))
        assert item.values["nll"] == pytest.approx(expected, rel=1e-6)
        assert item.values["tokens"] == len(ids) - 1
        assert item.values["bytes"] == len(document.text.encode()) == item.values["tokens"]
        assert (item.id, item.cluster) == (document.id, document.cluster)


@pytest.mark.parametrize("batch_tokens", [1, 50, 4096])
def test_does_not_depend_on_batching(model, tokenizer, documents, batch_tokens):
    policy = WindowPolicy(window=32, stride=16, prefix=0)
    one = score(model, tokenizer, documents, policy=policy, batch_tokens=200)
    other = score(model, tokenizer, documents, policy=policy, batch_tokens=batch_tokens)
    assert [item.values["tokens"] for item in one] == [item.values["tokens"] for item in other]
    np.testing.assert_allclose([i.values["nll"] for i in one], [i.values["nll"] for i in other], rtol=1e-6)


def test_is_the_same_every_time(model, tokenizer, documents):
    assert score(model, tokenizer, documents) == score(model, tokenizer, documents)


def test_without_a_prefix_the_first_token_is_read_only(model, tokenizer, documents):
    items = score(model, tokenizer, documents, policy=WindowPolicy(window=64, stride=64, prefix=None))
    assert [item.values["tokens"] for item in items] == [len(doc.text.encode()) - 1 for doc in documents]


def test_a_prompt_is_context_and_is_scored_with_the_text(model, tokenizer):
    document = Document(id="q", text="answer", prompt="question ")
    (item,) = score(model, tokenizer, [document])
    assert item.values["tokens"] == len(b"question answer") == item.values["bytes"]


def test_a_model_in_training_is_measured_without_dropout_and_left_in_training(tokenizer, documents):
    model = llama(attention_dropout=0.9)
    calm = score(model, tokenizer, documents)
    assert score(model.train(), tokenizer, documents) == calm
    assert model.training


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_stop_the_cell_with_a_sentence(model, tokenizer, documents, value):
    engine = PerplexityEngine(model, tokenizer)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.fill_(value)
    with pytest.raises(CellError, match=r"the NLL of document 'page\d#\d' \(en\) is nan, expected a finite number"):
        engine.score(engine.encode(documents, language="en"))


def test_provenance_says_what_changes_the_numbers(model, tokenizer):
    assert PerplexityEngine(model, tokenizer).provenance == {
        "window": 64,
        "stride": 64,
        "prefix": 0,
        "batch_tokens": 1024,
        "head": "trunk, then LM head in tiles of 1024 x 1024, logits as they are",
    }


def test_totals_by_hand():
    items = [
        Item("a", "a", {"nll": 2 * math.log(2), "tokens": 1, "bytes": 3}),
        Item("b", "b", {"nll": 4 * math.log(2), "tokens": 2, "bytes": 1, "acc": 1.0}),
    ]
    assert perplexity(items) == pytest.approx(4.0)  # 6 bits over 3 tokens
    assert bits_per_byte(items) == pytest.approx(1.5)
    assert total(items, "tokens") == 3
    assert mean(items, "acc") == 1.0
    assert math.isnan(perplexity([]))
    assert math.isnan(bits_per_byte([]))
    assert math.isnan(mean(items, "f1"))
    assert perplexity([Item("c", "c", {"nll": 1e6, "tokens": 1, "bytes": 1})]) == math.inf
