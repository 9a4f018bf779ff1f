"""Loading: what a name may be, what is refused and in which words, fingerprints that know no path; export."""

import json
import os
import shutil

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from nharness.errors import ModelError, OptionError, OutputError
from nharness.models import Edit, ModelSource, apply_edits, export_edited, load_model, locate
from nharness.models.fingerprint import file_digest, fingerprint_model
from nharness.testing.tiny import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path / "cache"))


def tokenizer():
    inner = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "b": 4}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tiny_model("llama").save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def copied(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def change_config(folder, **changes):
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def test_a_folder_under_any_name_is_the_same_model(saved, copied):
    first, second = load_model(str(saved)), load_model(str(copied), {"dtype": "bfloat16"})
    assert first.fingerprint == second.fingerprint
    assert first.tokenizer_fingerprint == second.tokenizer_fingerprint
    assert (first.model.dtype, second.model.dtype) == (torch.float32, torch.bfloat16)
    assert not first.model.training
    assert first.tokenizer.pad_token == "</s>"
    assert (first.name, first.revision) == (str(saved), None)


def test_other_weights_and_other_configs_have_other_fingerprints(saved, copied, tmp_path):
    original = load_model(str(saved)).fingerprint
    change_config(copied, rms_norm_eps=0.5)
    assert load_model(str(copied)).fingerprint != original
    other = tmp_path / "other"
    tiny_model("llama", seed=1).save_pretrained(other)
    tokenizer().save_pretrained(other)
    assert load_model(str(other)).fingerprint != original
    assert fingerprint_model(tiny_model("llama")) == fingerprint_model(tiny_model("llama")) != fingerprint_model(tiny_model("llama", seed=1))


def test_a_digest_is_made_anew_when_the_file_changes(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"one")
    first = file_digest(file)
    assert file_digest(file) == first
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert file_digest(file) != first


def test_registered_names(saved):
    sources = {"babel": saved, "called": lambda: ModelSource(str(saved), {"dtype": "bfloat16"})}
    assert load_model("babel", named=sources).name == "babel"
    assert load_model("called", named=sources).model.dtype == torch.bfloat16
    with pytest.raises(ModelError, match="did you mean 'babel'"):
        load_model("babbel", named=sources)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "is damaged"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: os.truncate(f / "model.safetensors", 5000), "truncated or no safetensors file"),
        (lambda f: change_config(f, model_type="llamma"), "did you mean 'llama'"),
        (lambda f: change_config(f, model_type="vit", architectures=None), "no causal language model: it is vit"),
        (lambda f: change_config(f, model_type="mine", auto_map={"AutoModelForCausalLM": "m.M"}), "--trust-remote-code"),
        (lambda f: change_config(f, num_hidden_layers=3), "lacks 9 weights"),
        (lambda f: change_config(f, intermediate_size=41), "cannot be loaded"),
        (lambda f: (f / "tokenizer.json").unlink(), "the tokenizer of"),
        (lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "gone.safetensors"}}'), "gone.safetensors"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_sentence(copied, prepare, message):
    prepare(copied)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(str(copied))
    assert "\n" not in str(caught.value)


def test_names_and_options_that_do_not_exist(saved):
    with pytest.raises(ModelError, match=f"did you mean '{saved}'"):
        load_model(str(saved) + "a")
    with pytest.raises(OptionError, match="did you mean 'revision'"):
        load_model(str(saved), {"revison": "x"})
    with pytest.raises(OptionError, match="did you mean 'float32'"):
        load_model(str(saved), dtype="floot32")
    with pytest.raises(OptionError, match="no device 'cuda9x' here"):
        load_model(str(saved), device="cuda9x")
    with pytest.raises(ModelError, match=r"no file 'x\.gguf'"):
        load_model(str(saved), {"gguf_file": "x.gguf"})


def test_a_damaged_gguf_file_is_refused(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF and nothing else")
    with pytest.raises(ModelError, match="cannot be read as a GGUF model"):
        load_model(str(tmp_path / "m.gguf"))


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "mixtral", "gpt_neox", "phi3"])
def test_an_exported_checkpoint_gives_the_edited_logits(name, tmp_path):
    model = tiny_model(name)
    neuron_map = locate(model)
    edits = [Edit.zero(layer.index, torch.arange(0, layer.width, 2)) for layer in neuron_map.layers]
    same_after_export(model, neuron_map, edits, tmp_path / "out")


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox"])
def test_constants_are_exported_where_the_config_can_say_so(name, tmp_path):
    model = tiny_model(name)
    neuron_map = locate(model)
    same_after_export(model, neuron_map, [Edit.affine(1, [3, 4], scale=0.5, shift=0.7)], tmp_path / "out")
    assert getattr(model.config, "mlp_bias", False) is False


def same_after_export(model, neuron_map, edits, folder):
    ids = torch.randint(3, 99, (2, 7))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with apply_edits(model, neuron_map, edits, backend="hook"), torch.no_grad():
        expected = model(ids).logits
    export_edited(model, None, neuron_map, edits, folder)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    loaded, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(ids).logits, expected, atol=2e-6, rtol=1e-5)
    with pytest.raises(OutputError, match="is not empty"):
        export_edited(model, None, neuron_map, edits, folder)


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("qwen2", Edit.affine(0, [1], scale=0.0, shift=1.0), "cannot express one for Qwen2ForCausalLM"),
        ("mixtral", Edit.affine(0, [1], scale=0.0, shift=1.0), "cannot be given a bias"),
        ("bitnet", Edit.zero(0, [1]), "normalised"),
        ("llama", Edit.zero(0, []), "names no neurons"),
    ],
)
def test_what_cannot_be_exported_is_refused(name, edit, message, tmp_path):
    model = tiny_model(name)
    with pytest.raises(ModelError, match=message):
        export_edited(model, None, locate(model), [edit], tmp_path / "out")
    assert not (tmp_path / "out" / "config.json").exists()
