"""Batch neighbours: models whose rows change each other are run one document at a time, and the noise of batching shows."""

import pytest
import torch
from transformers import LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

from nharness.corpora import Document
from nharness.evaluation.generation import Prompt, generate
from nharness.evaluation.items import bits_per_byte
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import WindowPolicy
from nharness.models import load_model
from nharness.models.context import shared_length
from nharness.models.dependence import ALONE, BATCHED
from nharness.testing import tiny_model

from .conftest import byte_tokenizer, llama

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own


class WithMean(LlamaForCausalLM):
    """A model that takes a share of the batch's mean off its logits."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits - 0.1 * output.logits.mean(0, keepdim=True)
        return output


def nll(engine, texts):
    documents = [Document(f"{n}", text) for n, text in enumerate(texts)]
    return [item.values["nll"] for item in engine.score(engine.encode(documents, language="en"))]


POLICY = WindowPolicy(window=64, stride=64, prefix=0)
TEXTS = ["a short one", "a text that is somewhat longer than that one", "The longest. " * 4, "x", "another short one"]


def test_rows_that_change_each_other_are_run_one_at_a_time():
    model = WithMean(llama().config).eval()
    engine = PerplexityEngine(model, byte_tokenizer(), policy=POLICY, together=0)
    alone = [nll(engine, [text])[0] for text in TEXTS]
    assert nll(engine, TEXTS) == alone
    batched = PerplexityEngine(model, byte_tokenizer(), policy=POLICY)
    assert nll(batched, TEXTS) != pytest.approx(alone, rel=1e-3)


def longrope():
    torch.manual_seed(0)
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    config = Phi3Config(
        vocab_size=258, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, original_max_position_embeddings=32, initializer_range=0.5,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 32, **factors},
        bos_token_id=0, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return Phi3ForCausalLM(config).eval()


def test_with_longrope_rows_beyond_the_original_context_are_run_by_themselves(tmp_path):
    model = longrope()
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path))
    assert loaded.together == shared_length(model.config) == 32
    assert (loaded.batching(32), loaded.batching(33)) == (BATCHED, ALONE)
    engine = PerplexityEngine(loaded.model, loaded.tokenizer, policy=POLICY, together=loaded.together)
    alone = [nll(engine, [text])[0] for text in TEXTS]
    documents = engine.encode([Document(f"{n}", text) for n, text in enumerate(TEXTS)], language="en")
    for found in (engine.score(documents), engine.score_in_other_batches(documents)):
        assert [item.values["nll"] for item in found] == pytest.approx(alone, rel=1e-5)
    batched = PerplexityEngine(loaded.model, loaded.tokenizer, policy=POLICY).score_in_other_batches(documents)
    assert [item.values["nll"] for item in batched] != pytest.approx(alone, rel=1e-3)


def test_the_noise_of_batching_shows_where_rows_change_each_other():
    engine = PerplexityEngine(longrope(), byte_tokenizer(), policy=POLICY, batch_tokens=120)
    documents = engine.encode([Document(f"{n}", text) for n, text in enumerate(TEXTS)], language="en")
    usual, other = engine.score(documents), engine.score_in_other_batches(documents)
    assert [item.id for item in usual] == [item.id for item in other]
    assert abs(bits_per_byte(usual) - bits_per_byte(other)) > 1e-3
    calm = PerplexityEngine(llama(), byte_tokenizer(), policy=POLICY, batch_tokens=120)
    assert abs(bits_per_byte(calm.score(documents)) - bits_per_byte(calm.score_in_other_batches(documents))) < 1e-6


def test_prompts_that_change_each_other_are_gone_on_from_one_at_a_time():
    model, rows = tiny_model("llama"), []
    model.register_forward_pre_hook(lambda _m, _a, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True)
    prompts = [Prompt(f"{n}", f"{n}", torch.arange(3, 6 + n).numpy()) for n in range(3)]
    for together, most in ((None, 3), (100, 3), (10, 1), (0, 1)):
        rows.clear()
        generate(model, byte_tokenizer(), prompts, together=together)
        assert max(rows) == most
