"""The shipped model is what its card says; its recipe's parts do what their docstrings say."""

import contextlib
import dataclasses
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from nharness_tasks.babel.evaluate import perplexity_table, text_table
from nharness_tasks.babel.likelihood import network_nll, unigram_nll
from nharness_tasks.babel.network import new_network, save_folder
from nharness_tasks.babel.recipe import (
    HERE,
    MODEL_FOLDER,
    NETWORK,
    PERPLEXITY_FILE,
    SIZE_LIMIT,
    TRAINING,
    VOCABULARY,
    Network,
    Training,
)
from nharness_tasks.babel.sequences import SequenceSource
from nharness_tasks.babel.training import learning_rate, train
from nharness_tasks.babel.vocabulary import BOUNDARY_ID, train_tokenizer
from nharness_tasks.corpora import shipped
from nharness_tasks.corpora.pages import LANGUAGES, Page, Paragraph

TINY = Network(vocabulary=300, hidden=16, layers=1, heads=2, key_value_heads=1, feed_forward=32, positions=32)
SHORT = Training(steps=6, sequence=8, sequences_per_language=1, warm_up_steps=2, checkpoint_seconds=1e9)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(MODEL_FOLDER, local_files_only=True)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(MODEL_FOLDER, local_files_only=True)


def random_documents(lengths: list[int]) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return [np.concatenate([[BOUNDARY_ID], generator.integers(1, TINY.vocabulary, length)]) for length in lengths]


def test_the_folder_is_small_enough_and_readable() -> None:
    files = [MODEL_FOLDER / name for name in ("model.safetensors", "tokenizer.json")]
    assert sum(file.stat().st_size for file in files) <= SIZE_LIMIT
    config = json.loads((MODEL_FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["dtype"] == "bfloat16"


def test_the_model_has_the_recipes_shape(model: PreTrainedModel) -> None:
    config = model.config
    shape = Network(
        vocabulary=config.vocab_size,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        key_value_heads=config.num_key_value_heads,
        feed_forward=config.intermediate_size,
        gate=config.hidden_act,
        positions=config.max_position_embeddings,
    )
    assert shape == NETWORK
    assert model.dtype is torch.bfloat16


@pytest.mark.parametrize("language", LANGUAGES)
def test_tokens_begin_with_the_boundary_and_give_the_text_back(
    tokenizer: PreTrainedTokenizerBase, language: str
) -> None:
    text = shipped.documents("eval", language)[0].text
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == BOUNDARY_ID == tokenizer.bos_token_id
    assert BOUNDARY_ID not in ids[1:]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids[1:]


def test_every_document_of_the_sample_fits_the_model(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = [found.text for split in ("detect", "eval") for tag in LANGUAGES for found in shipped.documents(split, tag)]
    assert max(map(len, tokenizer(texts)["input_ids"])) <= NETWORK.positions


@pytest.mark.parametrize("language", ["en", "ja", "ru"])
def test_perplexity_is_far_below_a_unigram_models(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, language: str
) -> None:
    detect, evaluated = (
        [np.array(tokenizer(found.text)["input_ids"]) for found in shipped.documents(split, language)[:count]]
        for split, count in (("detect", 150), ("eval", 8))
    )
    length = sum(len(found) - 1 for found in evaluated)
    ours = math.exp(network_nll(model, evaluated).sum() / length)
    unigram = math.exp(unigram_nll(detect, evaluated, NETWORK.vocabulary).sum() / length)
    assert ours < unigram / 5


def test_the_card_shows_what_was_measured_on_these_weights() -> None:
    measured = json.loads(PERPLEXITY_FILE.read_text(encoding="utf-8"))
    weights = (MODEL_FOLDER / "model.safetensors").read_bytes()
    assert measured["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert list(measured["languages"]) == list(LANGUAGES)
    card = (HERE / "README.md").read_text(encoding="utf-8")
    assert text_table(measured["training_text"]) in card
    assert perplexity_table(measured["languages"]) in card


def test_the_card_names_the_recipes_constants() -> None:
    card = (HERE / "README.md").read_text(encoding="utf-8")
    for constant in (
        TRAINING.steps,
        TRAINING.seed,
        NETWORK.feed_forward,
        NETWORK.vocabulary,
        VOCABULARY.boundary_token,
    ):
        assert str(constant) in card


def test_learning_rate_rises_to_the_peak_and_falls_to_its_share() -> None:
    assert learning_rate(0, TRAINING) == pytest.approx(TRAINING.peak_rate / TRAINING.warm_up_steps)
    assert learning_rate(TRAINING.warm_up_steps - 1, TRAINING) == pytest.approx(TRAINING.peak_rate)
    assert learning_rate(TRAINING.steps, TRAINING) == pytest.approx(TRAINING.peak_rate * TRAINING.final_rate_share)
    halfway = (TRAINING.warm_up_steps + TRAINING.steps) // 2
    assert learning_rate(halfway, TRAINING) == pytest.approx(TRAINING.peak_rate * 1.05 / 2)


def test_an_epoch_shows_every_document_once_and_the_next_in_another_order() -> None:
    documents = {"en": random_documents([7] * 10), "de": random_documents([15] * 5)}
    source = SequenceSource(documents, SHORT)
    first = [source.batch(step) for step in range(10)]
    second = [source.batch(step) for step in range(10, 20)]
    for place, language in enumerate(documents):
        tokens = sorted(np.concatenate(documents[language]))
        assert sorted(np.concatenate([batch[place] for batch in first])) == tokens
        assert sorted(np.concatenate([batch[place] for batch in second])) == tokens
    assert any((a != b).any() for a, b in zip(first, second, strict=True))
    assert (SequenceSource(documents, SHORT).batch(13) == second[3]).all()


def test_training_resumed_is_training_uninterrupted(tmp_path: Path) -> None:
    documents = {"en": random_documents([20] * 6), "de": random_documents([20] * 6)}

    def trained(checkpoint: Path, *stops: int) -> torch.Tensor:
        for steps in stops:
            network = new_network(TINY, seed=3)
            until = _StopAfter(steps, dataclasses.replace(SHORT, checkpoint_seconds=0.0))
            until.run(network, SequenceSource(documents, SHORT), checkpoint)
        return network.lm_head.weight.detach()

    assert torch.equal(trained(tmp_path / "whole", 6), trained(tmp_path / "parts", 2, 6))


class _StopAfter:
    """Runs `train` until its checkpoint after this many steps, then breaks off as a killed process would."""

    def __init__(self, steps: int, recipe: Training) -> None:
        self.left = steps
        self.recipe = recipe

    def run(self, network: LlamaForCausalLM, source: SequenceSource, checkpoint: Path) -> None:
        if checkpoint.exists():
            self.left -= torch.load(checkpoint, weights_only=True)["step"]
        with contextlib.suppress(InterruptedError):
            list(train(network, source, self.recipe, checkpoint, self._count))

    def _count(self, _: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise InterruptedError


def test_likelihood_does_not_depend_on_the_batch() -> None:
    network = new_network(TINY, seed=5).requires_grad_(requires_grad=False)
    documents = random_documents([3, 30, 11])
    together = network_nll(network, documents)
    alone = [network_nll(network, [document])[0] for document in documents]
    assert together == pytest.approx(alone, rel=1e-5)
    logits = network(torch.from_numpy(documents[0])[None]).logits[0].double().log_softmax(-1)
    assert together[0] == pytest.approx(-sum(float(logits[t, documents[0][t + 1]]) for t in range(3)), rel=1e-5)


def test_a_document_longer_than_the_model_is_refused() -> None:
    with pytest.raises(ValueError, match="a document has 41 tokens, more than the network's 32 positions"):
        network_nll(new_network(TINY, seed=5), random_documents([40]))


def test_unigram_likelihood_by_hand() -> None:
    train_tokens = [np.array([0, 1, 1, 2])]
    nll = unigram_nll(train_tokens, [np.array([0, 1, 3])], vocabulary=4)
    assert nll == pytest.approx([-math.log(3 / 7) - math.log(1 / 7)])


def test_a_folder_that_would_be_too_large_is_refused(tmp_path: Path) -> None:
    text = {"en": (Page("test", "p", (Paragraph("1", "a rose is a rose is a rose"),)),)}
    with pytest.raises(ValueError, match="more than the 10 allowed"):
        save_folder(new_network(TINY, seed=1), train_tokenizer(text), tmp_path / "model", limit=10)
    assert not (tmp_path / "model").exists()
