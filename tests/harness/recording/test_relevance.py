"""Layer-wise relevance propagation against the same written out with fractions, one operation after the other."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from nharness.errors import ModelError
from nharness.models import locate
from nharness.models.relevance_rules import relevance_rules
from nharness.recording import Recorder, RecordingOptions
from nharness.recording.gradients import require_conserved
from nharness.testing import planted_model, tiny_model

from .conftest import documents

WIDTH, UNITS, HEADS, WORDS = 8, 6, 2, 99
FITTING = ("llama", "gpt2", "qwen2", "olmo2", "phi3", "gemma2", "opt", "mixtral", "qwen3_moe")


def one_layer(activation="silu"):
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        num_key_value_heads=1,
        intermediate_size=UNITS,
        hidden_act=activation,
        tie_word_embeddings=False,
        rms_norm_eps=1e-6,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        model = LlamaForCausalLM(config).double().eval()
        for parameter in model.parameters():
            parameter.normal_(0, 0.6)
    return model


def shares(parts, relevance):
    """Relevance handed on to what a sum is made of: parts [..., n, out], relevance [..., out]; [..., n]."""
    return (parts / parts.sum(axis=-2, keepdims=True) * relevance[..., None, :]).sum(axis=-1)


def linear(x, weight, relevance):
    """The share of every input in every output of weight [out, in], token by token."""
    return np.stack([shares(row[:, None] * weight.T, r) for row, r in zip(x, relevance, strict=True)])


def normed(x, weight):
    return np.stack([weight * row / np.sqrt((row**2).mean() + 1e-6) for row in x])


def rotated(x, base=10_000.0):
    half = x.shape[1] // 2
    result = np.empty_like(x)
    for t, row in enumerate(x):
        for i in range(half):
            angle = t * base ** (-i / half)
            result[t, i] = row[i] * np.cos(angle) - row[i + half] * np.sin(angle)
            result[t, i + half] = row[i + half] * np.cos(angle) + row[i] * np.sin(angle)
    return result


def attention(n, w):
    """Attention weights [heads, t, s], values [s, d] of the one group, and what all heads give [t, heads * d]."""
    size = WIDTH // HEADS
    key, value = rotated(n @ w["k_proj"].T), n @ w["v_proj"].T
    weights = np.zeros((HEADS, len(n), len(n)))
    for head in range(HEADS):
        query = rotated((n @ w["q_proj"].T)[:, head * size : (head + 1) * size])
        for t in range(len(n)):
            score = np.exp([query[t] @ key[s] / np.sqrt(size) for s in range(t + 1)])
            weights[head, t, : t + 1] = score / score.sum()
    return weights, value, np.concatenate([each @ value for each in weights], axis=1)


def reference(model, tokens):
    """Relevance of every neuron [t, UNITS], of every embedding [t, WIDTH], and the logits that were taken apart."""
    w = {name.split(".")[-2]: p.detach().numpy() for name, p in model.named_parameters()}
    x = w["embed_tokens"][tokens]
    n1 = normed(x, w["input_layernorm"])
    weights, value, heads = attention(n1, w)
    attended = heads @ w["o_proj"].T
    middle = x + attended
    n2 = normed(middle, w["post_attention_layernorm"])
    z = n2 @ w["gate_proj"].T
    hidden = z / (1 + np.exp(-z)) * (n2 @ w["up_proj"].T)
    written = hidden @ w["down_proj"].T
    last = normed(middle + written, w["norm"])
    logits = last @ w["lm_head"].T
    taken = logits[np.arange(len(tokens) - 1), tokens[1:]]

    relevance = np.zeros_like(last)  # of the last norm's output, hence of its input
    for t, word in enumerate(tokens[1:]):
        products = last[t] * w["lm_head"][word]
        relevance[t] = products / products.sum() * taken[t]
    of_middle, of_written = relevance * middle / (middle + written), relevance * written / (middle + written)
    of_hidden = linear(hidden, w["down_proj"], of_written)
    of_middle = of_middle + linear(n2, w["gate_proj"], of_hidden / 2) + linear(n2, w["up_proj"], of_hidden / 2)
    of_x, of_attended = of_middle * x / middle, of_middle * attended / middle
    of_heads = linear(heads, w["o_proj"], of_attended)
    of_value, size = np.zeros_like(value), value.shape[1]
    for head in range(HEADS):
        for t in range(len(tokens)):
            parts = weights[head, t, : t + 1, None] * value[: t + 1]
            of_value[: t + 1] += parts / parts.sum(axis=0) * of_heads[t, head * size : (head + 1) * size]
    return of_hidden, of_x + linear(n1, w["v_proj"], of_value), taken


def recorded(model, found, *needs):
    recorder = Recorder(model, locate(model), needs or [("relevance", "hidden")], RecordingOptions(batch_tokens=64))
    return recorder.record_shard("en", found)["hidden"]


def test_relevance_equals_the_fractions_written_out():
    model = one_layer()
    found = documents((9, 5, 14))
    expected = np.zeros(UNITS)
    for parts in found:
        of_hidden, of_embeddings, taken = reference(model, parts[0].tokens)
        expected += of_hidden.sum(axis=0)
        assert of_embeddings.sum() == pytest.approx(taken.sum(), rel=1e-6)  # relevance is conserved
    got = recorded(model, found).get("relevance", "sum", "en")
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)  # its norm and rotation are in float32


def test_relevance_beside_attribution_is_what_it_is_alone(llama):
    model, _ = llama
    found = documents((9, 5, 14))
    needs = [("relevance", "hidden"), ("attribution", "hidden"), ("moments", "hidden")]
    together = recorded(model, found, *needs)
    for statistic, tensor in (("relevance", "sum"), ("attribution", "abssum"), ("moments", "sumsq")):
        alone = recorded(model, found, (statistic, "hidden"))
        np.testing.assert_array_equal(together.get(statistic, tensor, "en"), alone.get(statistic, tensor, "en"))


def test_the_model_computes_what_it_did_and_is_left_as_it_was(llama):
    model, neuron_map = llama
    tokens = torch.arange(5, 25)[None]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    with torch.no_grad():
        before = model(input_ids=tokens).logits
        with relevance_rules(model, neuron_map):
            assert torch.equal(model(input_ids=tokens).logits, before)
    assert hooks == [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]


@pytest.mark.parametrize("name", FITTING)
def test_relevance_is_conserved(name):
    model = tiny_model(name)
    require_conserved(model, locate(model))
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_relevance_is_conserved_on_the_planted_model():
    model = planted_model().model
    require_conserved(model, locate(model))


@pytest.mark.parametrize("name", ["cohere", "bloom", "jamba"])
def test_a_model_that_the_rules_do_not_fit_is_refused_by_name(name):
    model = tiny_model(name)
    with pytest.raises(ModelError, match=rf"no rules for all of {type(model).__name__}: .*gradient_x_activation"):
        recorded(model, documents((5,)))
