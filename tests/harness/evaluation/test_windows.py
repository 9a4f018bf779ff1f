"""Windows: lm-eval's with its policy, and under any policy every token scored once with enough context."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import GPT2Config, LlamaConfig

from nharness.corpora import EncodedDocument
from nharness.errors import OptionError
from nharness.evaluation.windows import WindowPolicy, default_policy, windows


def document(count, low=0):
    return EncodedDocument("d", "en", "d", 0, np.arange(100, 100 + count), low, count, 7)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17, 40])
@pytest.mark.parametrize(("window", "context"), [(8, 1), (8, 3), (1, 1), (64, 1)])
def test_are_those_of_lm_eval(count, window, context):
    policy = WindowPolicy(window=window, stride=window - context + 1, prefix=5)
    theirs = [
        (list(before), list(scored))
        for before, scored in map(
            make_disjoint_window,
            get_rolling_token_windows(list(range(100, 100 + count)), 5, max_seq_len=window, context_len=context),
        )
    ]
    ours = [
        (piece.tokens[: piece.counted_from].tolist(), piece.tokens[piece.counted_from : piece.counted_to].tolist())
        for piece in windows(document(count), policy)
    ]
    assert ours == theirs


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_counted_token_is_scored_once_with_the_promised_context(data):
    window = data.draw(st.integers(1, 12))
    stride = data.draw(st.integers(1, window))
    prefix = data.draw(st.sampled_from([None, 5]))
    count = data.draw(st.integers(1, 60))
    low = data.draw(st.integers(0, count - 1))
    policy = WindowPolicy(window=window, stride=stride, prefix=prefix)
    pieces = list(windows(document(count, low), policy))
    scored = [token for piece in pieces for token in piece.tokens[piece.counted_from : piece.counted_to].tolist()]
    first = max(low, 0 if prefix is not None else 1)
    assert scored == list(range(100 + first, 100 + count))
    for piece in pieces:
        assert len(piece.tokens) - 1 <= window
        assert piece.counted_to == len(piece.tokens)
        seen = piece.counted_from  # tokens before the first scored one
        assert seen >= 1
        assert seen >= min(window - stride + 1, piece.tokens[piece.counted_from] - 100 + (prefix is not None))
    assert sum(piece.bytes for piece in pieces) == (7 if pieces else 0)


def configured(config):
    """A model that has no tables of positions, for what its configuration says."""
    model = torch.nn.Module()
    model.config = config
    return model


def test_default_policy_takes_the_models_context_and_its_first_token(tokenizer):
    policy = default_policy(configured(LlamaConfig(max_position_embeddings=512)), tokenizer)
    assert (policy.window, policy.stride, policy.prefix) == (512, 512, 0)
    assert default_policy(configured(GPT2Config(n_positions=128)), tokenizer).window == 128
    assert default_policy(configured(LlamaConfig(max_position_embeddings=100_000)), tokenizer).window == 2048
    assert default_policy(configured(LlamaConfig()), tokenizer, window=64, stride=16).provenance == {
        "window": 64,
        "stride": 16,
        "prefix": 0,
    }


def test_a_window_the_model_cannot_read_is_an_error(tokenizer):
    with pytest.raises(OptionError, match="window is 600 tokens, but the model reads at most 512: --max-length 512"):
        default_policy(configured(LlamaConfig(max_position_embeddings=512)), tokenizer, window=600)
    with pytest.raises(OptionError, match="stride is 1 to window; got stride 9, window 8"):
        WindowPolicy(window=8, stride=9, prefix=None)
