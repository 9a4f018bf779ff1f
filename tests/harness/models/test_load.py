"""Loading: what a name may be, what is refused and in which words, fingerprints that know no path; export."""

import json
import os
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.import_utils import is_bitsandbytes_available

from nharness.corpora import Document
from nharness.errors import CellError, CorpusError, ModelError, OptionError, OutputError
from nharness.evaluation.generation import Decoding, Prompt, generate
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.models import Edit, ModelSource, apply_edits, export_edited, load_model, locate
from nharness.models.edit import Backend
from nharness.models.fingerprint import file_digest, fingerprint_model, fingerprint_tokenizer
from nharness.testing import tiny_model

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
    assert (
        fingerprint_model(tiny_model("llama"))
        == fingerprint_model(tiny_model("llama"))
        != fingerprint_model(tiny_model("llama", seed=1))
    )


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


def pickled(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Pickled()}, folder / "pytorch_model.bin")


def put_tiny(folder, kind, **changes):
    """Put a tiny model of another kind into a folder, with a config.json that was changed afterwards."""
    (folder / "model.safetensors").unlink()
    tiny_model(kind).save_pretrained(folder)
    change_config(folder, **changes)


class Pickled:
    """What is no tensor."""


def with_more_tokens(folder):
    inner = Tokenizer(models.WordLevel({"<unk>": 0, **{f"t{n}": n for n in range(1, 300)}}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>").save_pretrained(folder)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "is damaged"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: os.truncate(f / "model.safetensors", 5000), "truncated or no safetensors file"),
        (lambda f: change_config(f, model_type="llamma"), "did you mean 'llama'"),
        (lambda f: change_config(f, model_type="vit", architectures=None), "not a causal language model but vit"),
        (
            lambda f: change_config(f, model_type="mine", auto_map={"AutoModelForCausalLM": "m.M"}),
            "--trust-remote-code",
        ),
        (lambda f: change_config(f, num_hidden_layers=3), "lacks 9 weights"),
        (lambda f: change_config(f, num_hidden_layers=1), r"9 weights of layers that its config.json leaves out"),
        (lambda f: put_tiny(f, "gpt2", n_layer=1), r"\d+ weights of layers that its config.json leaves out"),
        (
            lambda f: put_tiny(f, "mixtral", num_hidden_layers=1),
            r"\d+ weights of layers that its config.json leaves out",
        ),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "holds an adapter .* merge it into the weights"),
        (pickled, "its weights are pickled objects, which run code"),
        (with_more_tokens, "token ids up to 299, but the model knows 99 tokens"),
        (lambda f: change_config(f, intermediate_size=41), "its weights have other shapes than its config.json says"),
        (lambda f: change_config(f, hidden_size="wide"), "cannot be loaded: .*hidden_size"),
        (lambda f: change_config(f, hidden_act="nope"), "cannot be loaded: KeyError 'nope'"),
        (lambda f: change_config(f, num_attention_heads=10**30), "cannot be loaded: .*: ValueError"),
        (lambda f: change_config(f, num_attention_heads=0), "cannot be loaded"),
        (lambda f: (f / "config.json").write_text("[1]"), "is damaged"),
        (lambda f: (f / "config.json").write_text("3"), "is damaged"),
        (lambda f: (f / "model.safetensors.index.json").write_text("[]"), "index.json is damaged"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": 3}}'),
            "index.json is damaged",
        ),
        (lambda f: (f / "tokenizer.json").unlink(), "the tokenizer of"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "gone.safetensors"}}'),
            "gone.safetensors",
        ),
    ],
)
def test_a_damaged_folder_is_refused_in_one_sentence(copied, prepare, message, caplog):
    prepare(copied)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(str(copied))
    assert "\n" not in str(caught.value)
    assert not [record for record in caplog.records if "UNEXPECTED" in record.getMessage()]  # beside the sentence


def test_an_argument_without_effect_is_an_error(saved):
    refused: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"revision": "step1000"}, {}, "revision=step1000 has no effect: .* is a local folder"),
        ({"offload_folder": "x"}, {}, "offload_folder has no effect without a device map"),
        ({"experts_implementation": "eager"}, {}, "experts_implementation has no effect: .* no experts"),
        ({"dtype": "float32"}, {"dtype": "bfloat16"}, "dtype is float32 among .* and bfloat16 beside them"),
        ({"attn_implementation": "flex_attention"}, {"device": "cpu"}, "needs an accelerator"),
        ({"load_in_4bit": True, "load_in_8bit": True}, {}, "exclude each other"),
    ]
    for args, options, message in refused:
        with pytest.raises(OptionError, match=message):
            load_model(str(saved), args, **options)
    with pytest.raises(ModelError, match=r"no weights \(\*\.fp16\.safetensors\)"):
        load_model(str(saved), {"variant": "fp16"})


def test_a_variant_is_another_model(copied):
    plain = load_model(str(copied)).fingerprint
    other = tiny_model("llama", seed=1)
    other.save_pretrained(copied, variant="fp16")
    assert load_model(str(copied)).fingerprint == plain
    assert load_model(str(copied), {"variant": "fp16"}).fingerprint != plain


def test_what_is_to_be_quantised_is_quantised_or_refused_with_what_to_write(saved, copied, monkeypatch):
    change_config(copied, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    with pytest.raises(ModelError, match="already quantised"):
        load_model(str(copied), {"load_in_8bit": True})
    if is_bitsandbytes_available():
        with pytest.raises(ModelError, match="but they are plain numbers; remove quantization_config"):
            load_model(str(copied))
        quantised = load_model(str(saved), {"load_in_8bit": True}).model
        assert type(quantised.model.layers[0].mlp.down_proj).__name__ == "Linear8bitLt"
    monkeypatch.setattr("nharness.models.arguments.is_bitsandbytes_available", lambda: False)
    for name, args in ((saved, {"load_in_8bit": True}), (copied, {})):
        with pytest.raises(ModelError, match="which is not installed: pip install bitsandbytes"):
            load_model(str(name), args)


def test_tokens_added_beyond_the_model_are_refused_where_a_text_holds_one(copied):
    more = tokenizer()
    more.add_tokens([f"<t{n}>" for n in range(200)])
    more.save_pretrained(copied)
    loaded = load_model(str(copied))
    engine = PerplexityEngine(loaded.model, loaded.tokenizer)
    assert len(engine.encode([Document("1", "a b")], language="en")) == 1
    with pytest.raises(CorpusError, match=r"document '2' \(en\) holds token 204, .*99 tokens"):
        engine.encode([Document("2", "a <t199> b")], language="en")


GENERATION = {
    "repetition_penalty": 5.0, "no_repeat_ngram_size": 1, "suppress_tokens": list(range(10, 60)), "num_beams": 3,
    "temperature": 3.0, "do_sample": True, "top_k": 2, "min_new_tokens": 9, "bad_words_ids": [[3], [4], [70]],
    "forced_eos_token_id": 7, "begin_suppress_tokens": list(range(60, 99)), "eos_token_id": list(range(2, 99)),
}  # fmt: skip


def test_greedy_is_the_likeliest_token_whatever_the_folder_holds(saved, copied):
    (copied / "generation_config.json").write_text(json.dumps(GENERATION))
    change_config(copied, repetition_penalty=5.0)
    loaded = load_model(str(copied))
    prompts = [Prompt(f"{n}", f"{n}", np.arange(3, 6 + n) + 5 * n) for n in range(3)]
    for written in generate(loaded.model, loaded.tokenizer, prompts, decoding=Decoding(12)):
        ids = torch.from_numpy(written.prompt)[None]
        for _ in range(12):
            likeliest = loaded.model(ids).logits[0, -1].argmax()
            ids = torch.cat([ids, likeliest[None, None]], dim=1)
        expected = ids[0, len(written.prompt) :].tolist()
        end = expected.index(1) if 1 in expected else len(expected)
        assert written.tokens.tolist() == expected[:end]
    plain = load_model(str(saved))
    first, second = (generate(each.model, each.tokenizer, prompts) for each in (plain, loaded))
    assert [each.text for each in first] == [each.text for each in second]


def test_writing_beyond_the_context_is_refused(saved):
    loaded = load_model(str(saved))
    prompt = Prompt("1", "1", np.arange(3, 40))
    with pytest.raises(CellError, match="up to 85 tokens, but the model reads at most 64"):
        generate(loaded.model, loaded.tokenizer, [prompt], decoding=Decoding(48))


def test_settings_of_a_tokenizer_are_part_of_its_fingerprint(saved, copied):
    original = load_model(str(saved)).tokenizer_fingerprint
    for settings in ({"chat_template": "{{ messages }}"}, {"chat_template": "x"}, {"split_special_tokens": True}):
        found = AutoTokenizer.from_pretrained(saved)
        for name, value in settings.items():
            setattr(found, name, value)
        assert fingerprint_tokenizer(found) != original


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


def test_a_gguf_file_without_some_weights_is_refused_rather_than_filled_with_random_numbers(tmp_path):
    for _ in range(2):  # nothing half made is kept
        with pytest.raises(ModelError, match=r"lacks 2 weights, the first is model\.layers\.1\.post"):
            load_model(str(written_gguf(tmp_path, count=-3)))


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
    automatic: Any = AutoModelForCausalLM
    loaded, info = automatic.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(ids).logits, expected, atol=2e-6, rtol=1e-5)
    with pytest.raises(OutputError, match="is not empty"):
        export_edited(model, None, neuron_map, edits, folder)


def random_llama(*, tied=False):
    config = LlamaConfig(
        vocab_size=99,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=tied,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def written_gguf(folder, count=None):
    """Write an 8-bit GGUF file by hand, tokenizer included, with all weights or the first `count` of them."""
    gguf = pytest.importorskip("gguf")
    model, names = random_llama(), gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", *(chr(code) for code in range(33, 127)), "Ġ", "ab", "cd", "ef"])
    writer.add_token_merges(["a b", "c d", "e f"])
    writer.add_eos_token_id(0)
    for name, weight in list(model.state_dict().items())[:count]:
        kind = gguf.GGMLQuantizationType.Q8_0 if weight.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(
            names.get_name(name, (".weight",)), gguf.quants.quantize(weight.numpy(), kind), raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "tiny.gguf"


def test_a_gguf_file_says_what_it_is(tmp_path):
    loaded = load_model(str(written_gguf(tmp_path)))
    assert loaded.checkpoint.startswith("tiny, GGUF")
    assert load_model(str(tmp_path / "tiny.gguf")).checkpoint == loaded.checkpoint
    renamed = (tmp_path / "tiny.gguf").rename(tmp_path / "Other-Instruct.gguf")
    assert load_model(str(renamed)).checkpoint.startswith("Other-Instruct (tiny), GGUF")


def written(kind, folder):
    """Write a checkpoint of one kind, and return what it is loaded by."""
    folder.mkdir()
    if kind == "gguf":
        return written_gguf(folder)
    model = random_llama(tied=kind == "tied")
    model = model.bfloat16() if kind == "bfloat16" else model
    model.save_pretrained(folder, max_shard_size="20KB" if kind == "shards" else "1GB")
    tokenizer().save_pretrained(folder)
    assert (len(list(folder.glob("*.safetensors"))) > 2) == (kind == "shards")
    return folder


@pytest.mark.parametrize("kind", ["tied", "shards", "bfloat16", "gguf"])
def test_a_checkpoint_of_any_kind_is_exported_to_the_edited_logits(kind, tmp_path):
    loaded = load_model(str(written(kind, tmp_path / "model")))
    model, ids, logits = loaded.model, torch.randint(3, 99, (2, 7)), {}
    neuron_map = locate(model)
    edits = [Edit.zero(0, torch.arange(0, 64, 3)), Edit.affine(1, [5, 6], scale=-1.0, shift=0.0)]
    tried: tuple[tuple[str, list[Edit], Backend], ...] = (
        ("clean", [], "hook"),
        ("hook", edits, "hook"),
        ("fold", edits, "fold"),
    )
    for name, chosen, backend in tried:
        with apply_edits(model, neuron_map, chosen, backend=backend), torch.no_grad():
            logits[name] = model(ids).logits
    export_edited(model, loaded.tokenizer, neuron_map, edits, tmp_path / "out")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        got = plain(ids).logits
        assert torch.equal(model(ids).logits, logits["clean"])
    assert plain.dtype == (torch.bfloat16 if kind == "bfloat16" else torch.float32)
    assert (plain.lm_head.weight is plain.model.embed_tokens.weight) == (kind == "tied")
    assert torch.equal(got, logits["fold"])
    torch.testing.assert_close(got, logits["hook"])
    assert (logits["hook"] - logits["clean"]).abs().max() > 0.05
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == loaded.tokenizer.get_vocab()


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


def test_weights_are_called_by_the_name_that_was_asked_for(tiny_model_folder):
    named = {"embedded": lambda: tiny_model_folder}
    assert load_model("embedded", {}, named=named).checkpoint.startswith("embedded, safetensors")
