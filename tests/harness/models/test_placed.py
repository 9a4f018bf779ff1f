"""Models of which some weights are no plain numbers in memory: offloaded to disk, or quantised; located and recorded as
ever, edited by hooks, and what needs the numbers is refused in a sentence."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from nharness.corpora import EncodedDocument
from nharness.errors import ModelError
from nharness.models import Edit, apply_edits, export_edited, load_model, locate
from nharness.recording import Recorder, RecordingOptions
from nharness.testing import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers', accelerate's and bitsandbytes' own

IDS = torch.arange(3, 17).reshape(2, 7)
NEEDS = [("activation_count", "gate"), ("moments", "hidden")]
EDITS = [Edit.zero(0, [1, 2]), Edit.affine(1, [3], scale=0.5, shift=0.25)]


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def recorded(model, neuron_map, needs=NEEDS):
    random = np.random.default_rng(0)
    found = [(EncodedDocument(f"{n}", "en", f"{n}", 0, random.integers(3, 99, 5 + n), 0, 5 + n, 1),) for n in range(3)]
    return Recorder(model, neuron_map, needs, RecordingOptions(batch_tokens=64)).record_shard("en", found)


@pytest.mark.parametrize("name", ["llama", "mixtral", "gpt2"])
@pytest.mark.parametrize("where", ["second layer", "everything"])
def test_offloaded_models_are_located_recorded_and_edited_by_hooks(name, where, tmp_path):
    plain = tiny_model(name)
    plain.save_pretrained(tmp_path / "model")
    neuron_map, clean = locate(plain), logits(plain)
    with apply_edits(plain, neuron_map, EDITS, backend="hook"):
        edited = logits(plain)
    expected = recorded(plain, neuron_map)
    trunk, blocks = ("transformer", "transformer.h") if name == "gpt2" else ("model", "model.layers")
    device_map = {f"{trunk}.{child}": "cpu" for child, _ in plain.get_submodule(trunk).named_children()}
    device_map = {**device_map, "lm_head": "cpu", f"{blocks}.0": "cpu", f"{blocks}.1": "disk"}
    device_map.pop(blocks)
    device_map = {"": "disk"} if where == "everything" else device_map
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", device_map=device_map, offload_folder=tmp_path / "off"
    ).eval()
    assert any(parameter.is_meta for parameter in model.parameters())
    assert locate(model) == neuron_map
    assert torch.equal(logits(model), clean)
    with apply_edits(model, neuron_map, EDITS) as report:
        assert torch.equal(logits(model), edited)
    assert report.backend == "hook"
    assert torch.equal(logits(model), clean)
    for site, table in recorded(model, neuron_map).items():
        assert all(np.array_equal(tensor, expected[site].tensors[key]) for key, tensor in table.tensors.items())
    with (
        pytest.raises(ModelError, match=r"down_proj.* is offloaded|c_proj\.weight is offloaded"),
        apply_edits(model, neuron_map, EDITS, backend="fold"),
    ):
        pass
    for edit in ([Edit.zero(1, [3])], [Edit.zero(0, [1])]):
        with pytest.raises(ModelError, match=r"cannot be written as weights: .* is offloaded"):
            export_edited(model, None, neuron_map, edit, tmp_path / "out")
    with pytest.raises(ModelError, match=r"needs all weights in memory, and .* is offloaded"):
        recorded(model, neuron_map, [("attribution", "hidden")])
    with pytest.raises(ModelError, match="is quantised or not in memory"):
        recorded(model, neuron_map, [("output_change", "hidden")])


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A checkpoint as wide as a block of 4-bit numbers."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=99, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2
    )
    folder = tmp_path_factory.mktemp("wide")
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(params=["load_in_8bit", "load_in_4bit"])
def bits(request, wide):
    pytest.importorskip("bitsandbytes")
    from transformers import BitsAndBytesConfig

    configured = BitsAndBytesConfig(**{request.param: True})
    return AutoModelForCausalLM.from_pretrained(wide, quantization_config=configured, device_map="cpu").eval()


def test_bitsandbytes_models_are_located_and_edited_by_hooks(bits, tmp_path):
    neuron_map, clean = locate(bits), logits(bits)
    assert neuron_map.layer_widths == (128, 128)
    assert neuron_map.layers[1].modules["hidden"] == ("model.layers.1.mlp.down_proj:input",)
    with by_hand(bits):
        expected = logits(bits)
    assert not torch.equal(expected, clean)
    with apply_edits(bits, neuron_map, EDITS) as report:
        assert torch.equal(logits(bits), expected)
    assert (report.backend, report.edited_activations) == ("hook", 3 * IDS.numel())
    assert torch.equal(logits(bits), clean)
    with (
        pytest.raises(ModelError, match="is quantised; use the hook backend"),
        apply_edits(bits, neuron_map, EDITS, backend="fold"),
    ):
        pass
    with pytest.raises(ModelError, match=r"cannot be written as weights: .* is quantised"):
        export_edited(bits, None, neuron_map, EDITS, tmp_path / "out")


class by_hand:
    """The edits, made by hooks on the down projections that know nothing of the map."""

    def __init__(self, model):
        self.modules = [layer.mlp.down_proj for layer in model.model.layers]

    def __enter__(self):
        def first(_, args):
            hidden = args[0].clone()
            hidden[..., [1, 2]] = 0
            return (hidden,)

        def second(_, args):
            hidden = args[0].clone()
            hidden[..., 3] = hidden[..., 3] * 0.5 + 0.25
            return (hidden,)

        self.handles = [
            m.register_forward_pre_hook(hook) for m, hook in zip(self.modules, (first, second), strict=True)
        ]

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def test_bitsandbytes_models_are_recorded(bits):
    gates = {layer: [] for layer in range(2)}
    handles = [
        layer.mlp.act_fn.register_forward_hook(lambda _m, _a, output, kept=gates[index]: kept.append(output.detach()))
        for index, layer in enumerate(bits.model.layers)
    ]
    random = np.random.default_rng(0)
    with torch.inference_mode():
        for n in range(3):
            bits(torch.from_numpy(random.integers(3, 99, 5 + n))[None])
    for handle in handles:
        handle.remove()
    expected = np.concatenate([(torch.cat([g[0] for g in kept]) > 0).sum(0).numpy() for kept in gates.values()])
    neuron_map = locate(bits)
    counted = recorded(bits, neuron_map)["gate"].get("activation_count", "positive", "en")
    # An 8-bit product rounds a row by its largest value, and a batch of rows otherwise than one row: signs near 0 may turn.
    assert abs(counted - expected).sum() <= 0.005 * expected.sum()
    with pytest.raises(ModelError, match="is quantised or not in memory"):
        recorded(bits, neuron_map, [("output_change", "hidden")])


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("gptq", "cannot be loaded: Loading a GPTQ quantized model requires"),
        ("awq", "cannot be loaded: Loading an AWQ quantized model requires"),
        ("compressed-tensors", "cannot be loaded: compressed-tensors"),
        ("torchao", "cannot be loaded: No module named 'torchao'"),
        ("gpqt", "is quantised by the unknown method 'gpqt'; did you mean 'gptq'"),
    ],
)
def test_quantised_checkpoints_that_cannot_be_run_here_are_refused_in_one_sentence(method, message, wide, tmp_path):
    if importlib.util.find_spec({"gptq": "optimum", "awq": "gptqmodel"}.get(method, method.replace("-", "_"))):
        pytest.skip(f"what {method} needs is installed")
    folder = shutil.copytree(wide, tmp_path / "copy")
    path = folder / "config.json"
    more = {"bits": 4, "group_size": 128, "quant_type": "int4_weight_only"}
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "quantization_config": {"quant_method": method, **more}})
    )
    with pytest.raises(ModelError, match=message) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)
