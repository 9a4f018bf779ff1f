"""The logit lens against the layers read one by one in float64, whatever the head, and tokens told by language."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoTokenizer

import nharness_tasks
from nharness.corpora import Document
from nharness.errors import ModelError
from nharness.evaluation.head import Head
from nharness.evaluation.lens import Lens
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.token_language import token_counts, token_languages
from nharness.evaluation.windows import WindowPolicy
from nharness.testing.tiny import VOCABULARY, tiny_model

CLASSES = np.arange(VOCABULARY) % 3
ROW = np.array([5, 12, 19, 26, 33, 40, 47], dtype=np.int64)


def grouped(probabilities):
    """The masses [N, 3] of probabilities [N, V]."""
    return np.stack([probabilities[:, each == CLASSES].sum(axis=1) for each in range(3)], axis=1)


def by_hand(model, places):
    """Every block's output, normed and put through the whole head in float64, softmaxed, added up: [L + 1, N, 3]."""
    states = []
    handles = [
        layer.register_forward_hook(
            lambda _m, _i, output: states.append(output if torch.is_tensor(output) else output[0])
        )
        for layer in model.model.layers
    ]
    with torch.no_grad():
        model(input_ids=torch.from_numpy(ROW)[None])
        states.insert(0, model.model.embed_tokens(torch.from_numpy(ROW)[None]))
        for handle in handles:
            handle.remove()
        return np.stack(
            [grouped(model.lm_head(model.model.norm(state[0][places])).softmax(-1).numpy()) for state in states]
        )


@pytest.mark.parametrize("tile", [(1024, 1024), (2, 7), (1, 98)])
def test_every_layer_is_read_as_the_last_one_is(tile):
    model = tiny_model("llama").double()
    lens = Lens(Head(model, tile=tile), CLASSES, 3)
    places = np.array([0, 3, 6])
    found = lens.masses(ROW, places)
    assert found.shape == (3, 3, 3)
    np.testing.assert_allclose(found, by_hand(model, places), rtol=1e-12)
    np.testing.assert_allclose(lens.shares, [1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize("name", ["gpt2", "phi3", "gemma2", "bloom", "gpt_neox", "cohere", "granite", "phi", "qwen2"])
def test_the_last_state_gives_what_the_model_says(name):
    capped = name == "gemma2"  # which computes its cap in single precision
    model = tiny_model(name) if capped else tiny_model(name).double()
    found = Lens(Head(model, tile=(4, 10)), CLASSES, 3).masses(ROW, np.arange(len(ROW)))
    with torch.no_grad():
        own = model(input_ids=torch.from_numpy(ROW)[None], use_cache=False).logits[0].softmax(-1).numpy()
    np.testing.assert_allclose(found[-1], grouped(own), rtol=1e-5 if capped else 1e-9)
    assert np.abs(found[0] - found[-1]).max() > 1e-3
    np.testing.assert_allclose(found.sum(axis=2), 1.0, rtol=1e-6)


def test_a_head_that_is_no_plain_layer_is_called():
    model = tiny_model("llama").double()
    expected = Lens(Head(model), CLASSES, 3).masses(ROW, np.arange(7))
    model.lm_head.register_forward_hook(lambda _module, _inputs, output: output * 1.0)
    head = Head(model, values=2 * VOCABULARY)
    assert not head.linear
    np.testing.assert_allclose(Lens(head, CLASSES, 3).masses(ROW, np.arange(7)), expected, rtol=1e-12)


class Largest(TorchDispatchMode):
    """Notes the most values of any tensor that is made."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.most = max(self.most, made.numel())
        return made


def test_no_tensor_of_positions_by_vocabulary_is_held():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=20_000, num_key_value_heads=2, **sizes)).eval()
    lens = Lens(Head(model, tile=(16, 256)), np.arange(20_000) % 3, 3)
    with Largest() as largest:
        lens.masses(np.arange(64, dtype=np.int64), np.arange(64))
    assert largest.most < 64 * 256 < 64 * 20_000


def test_a_trunk_that_ends_in_no_norm_is_refused():
    model = tiny_model("llama")
    model.model.norm = torch.nn.Identity()
    with pytest.raises(ModelError, match="no norm is the last module of LlamaModel"):
        Lens(Head(model), CLASSES, 3)


def test_a_trunk_that_keeps_its_states_to_itself_is_refused():
    model = tiny_model("llama")
    own = model.model.forward

    def forward(output_hidden_states=False, **given):
        if output_hidden_states:
            raise TypeError("unexpected keyword argument")
        return own(**given)

    model.model.forward = forward
    with pytest.raises(ModelError, match="LlamaModel does not give its hidden states"):
        Lens(Head(model), CLASSES, 3)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(Path(nharness_tasks.__file__).parent / "babel" / "model")


def test_positions_are_spread_over_documents_and_add_up(tokenizer, tiny_model_folder):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder, dtype=torch.float64)
    engine = PerplexityEngine(model, tokenizer)
    texts = ["The cell is empty.", "Choose a file, then press the button to open it at once.", "Yes."]
    documents = engine.encode([Document(id=str(n), text=text) for n, text in enumerate(texts)], language="en")
    classes = np.arange(len(tokenizer)) % 2
    lens, policy = Lens(engine.head, classes, 2), WindowPolicy(window=8, stride=8, prefix=0)
    whole, some = lens.read(documents, policy, 10_000), lens.read(documents, policy, 5)
    tokens = [len(document.tokens) for document in documents]
    assert whole.positions.tolist() == tokens
    assert 3 <= some.positions.sum() <= 6
    assert some.clusters == ("0", "1", "2")
    np.testing.assert_allclose(whole.mass.sum(axis=2), np.repeat(np.array(tokens)[:, None], 3, axis=1))
    assert whole.text.sum(axis=1).tolist() == tokens
    ids = np.concatenate([[0], documents[0].tokens])
    np.testing.assert_allclose(whole.mass[0], lens.masses(ids[:-1], np.arange(tokens[0])).sum(axis=1), rtol=1e-9)
    assert whole.text[0].tolist() == np.bincount(classes[documents[0].tokens], minlength=2).tolist()


def test_a_token_belongs_to_the_language_in_which_it_is_clearly_more_frequent(tokenizer):
    vocabulary = len(tokenizer)
    texts = {
        "en": ["the file is open and the cell is empty"] * 3,
        "de": ["die Datei ist leer und die Zelle ist da"] * 3,
        "ru": [],
    }
    counts = {tag: token_counts(tokenizer, each, vocabulary) for tag, each in texts.items()}
    found = token_languages(tokenizer, counts)

    def of(text):
        (token,) = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found[token]

    assert [of(" the"), of(" und"), of(" die")] == [0, 1, 1]
    twice = {"en": counts["en"], "de": 2 * counts["en"]}
    assert set(token_languages(tokenizer, twice)[counts["en"] > 0]) == {2}  # equally frequent, whatever the counts
    assert of(" из") == 2  # never seen: Cyrillic is only Russian's here
    assert of(" los") == 3  # never seen, and Latin is two languages' script
    assert of("!") == 3
    pieces = [n for n in range(vocabulary) if "\N{REPLACEMENT CHARACTER}" in tokenizer.decode([n])]
    assert set(found[pieces]) <= {3}
