"""What a model's logits depend on: later tokens, batch neighbours, chance, the length of the batch."""

import json

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from nharness.errors import ModelError
from nharness.models import load_model
from nharness.models.context import longest_context, vocabulary_of
from nharness.models.dependence import Dependence, dependence_of
from nharness.testing import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path / "cache"))


def changed(model, change):
    """The model with its logits changed by a function of token ids and logits."""
    forward = model.forward

    def other(input_ids, use_cache=False):
        output = forward(input_ids=input_ids, use_cache=use_cache)
        output.logits = change(input_ids, output.logits)
        return output

    model.forward = other
    return model


def one_ahead(ids, logits):
    return logits + 0.05 * torch.roll(ids, -1, 1)[..., None].float().sin() * torch.arange(logits.shape[-1]).cos()


def mean_of_the_batch(_ids, logits):
    return logits - 0.1 * logits.mean(0, keepdim=True)


def by_chance(_ids, logits):
    return torch.nn.functional.dropout(logits, 0.1, training=True)


def by_length(_ids, logits):
    return logits * (1 + logits.shape[1] / 20)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "mixtral", "recurrent_gemma", "doge"])
def test_models_that_read_left_to_right_are_not_taken_for_others(name, dtype):
    assert dependence_of(tiny_model(name).to(dtype)) == Dependence()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_moves_the_logits_is_told_apart(dtype):
    found = {change: dependence_of(changed(tiny_model("llama").to(dtype), change)) for change in CHANGES}
    assert found[one_ahead].later > 0.02
    assert found[one_ahead].neighbour == found[one_ahead].repeated == 0
    assert found[mean_of_the_batch].neighbour > 0.02
    assert found[mean_of_the_batch].later == found[mean_of_the_batch].repeated == 0
    assert found[by_chance].repeated > 0.02
    assert found[by_length] == Dependence(together=0)
    assert [each.together for each in found.values()] == [0, 0, 0, 0]


CHANGES = (one_ahead, mean_of_the_batch, by_chance, by_length)


def test_ties_and_training_mode_fool_nobody():
    model = tiny_model("llama")
    model.model.config.attention_dropout = 0.5
    model.train()
    assert dependence_of(model) == Dependence()
    assert model.training
    assert dependence_of(changed(model, lambda _ids, logits: logits * 0)) == Dependence()


def saved(folder, name, **config):
    tiny_model(name).save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    inner = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>").save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("name", ["bert", "roberta", "electra", "xlm-roberta"])
def test_a_model_that_reads_ahead_is_refused_unless_its_config_makes_it_a_decoder(name, tmp_path):
    with pytest.raises(
        ModelError, match=r"reads ahead: a change of later tokens moves .* \"is_decoder\": true"
    ) as caught:
        load_model(saved(tmp_path / "a", name))
    assert "\n" not in str(caught.value)
    assert load_model(saved(tmp_path / "b", name, is_decoder=True)).together is None


def test_an_xlnet_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"reads ahead.*left to right$"):
        load_model(saved(tmp_path / "a", "xlnet"))


@pytest.mark.parametrize(
    ("name", "longest"), [("llama", 64), ("roberta", 63), ("mpt", 64), ("gpt2", 64), ("xlnet", None), ("bloom", None)]
)
def test_the_longest_context_is_what_positions_allow(name, longest):
    model = tiny_model(name)
    assert longest_context(model) == longest
    assert vocabulary_of(model) == 99
    for length, fits in ((longest or 200, True), *([((longest or 0) + 1, False)] if name in TABLES else [])):
        ids = torch.arange(length)[None] % 90 + 5
        if fits:
            assert model(input_ids=ids).logits.shape[1] == length
        else:
            with pytest.raises((IndexError, RuntimeError)):
                model(input_ids=ids)


TABLES = ("roberta", "mpt", "gpt2")
