"""Edits beyond zero: validation, values, scopes, experts implementations, compiled models."""

from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from nharness.errors import ModelError, UnknownNameError
from nharness.models import Edit, ValueEdit, apply_edits, locate, observe
from nharness.testing.tiny import tiny_config, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own

Located = tuple[Any, Any]  # a model and the map of its neurons


@pytest.fixture
def llama():
    model = tiny_model("llama")
    return model, locate(model)


@pytest.fixture
def ids():
    return torch.randint(3, 99, (2, 7), generator=torch.Generator().manual_seed(3))


def logits(model, ids, **options):
    with torch.no_grad():
        return model(input_ids=ids, **options).logits


def by_hand(model, ids, change):
    """Llama's logits with `change(layer, gate, up)` giving the hidden vector, recomputed from the weights."""
    handles = []
    for index, layer in enumerate(model.model.layers):
        mlp = layer.mlp

        def replace(module, args, output, mlp=mlp, index=index):
            gate = torch.nn.functional.silu(args[0] @ mlp.gate_proj.weight.T)
            return change(index, gate, args[0] @ mlp.up_proj.weight.T) @ mlp.down_proj.weight.T

        handles.append(mlp.register_forward_hook(replace))
    result = logits(model, ids)
    for handle in handles:
        handle.remove()
    return result


@pytest.mark.parametrize("site", ["gate", "hidden"])
def test_affine_edit_equals_the_layer_recomputed_by_hand(llama: Located, ids, site):
    model, neuron_map = llama
    units, scale, shift = torch.tensor([3, 5, 11]), torch.tensor([0.5, -1.0, 0.0]), torch.tensor([0.2, 0.0, -0.7])

    def change(index, gate, up):
        gate = gate.clone()
        hidden = gate * up
        if index == 1:
            target = gate if site == "gate" else hidden
            target[..., units] = target[..., units] * scale + shift
        return gate * up if site == "gate" else hidden

    expected = by_hand(model, ids, change)
    with apply_edits(model, neuron_map, [Edit(1, site, units, scale, shift)], backend="hook") as report:
        torch.testing.assert_close(logits(model, ids), expected, atol=2e-6, rtol=1e-5)
    assert report.edited_activations == 3 * ids.numel()


def test_edits_of_the_same_unit_are_applied_in_order(llama: Located, ids):
    model, neuron_map = llama
    parts = [Edit.affine(0, [4], scale=2.0, shift=1.0), Edit.affine(0, [4], scale=3.0, shift=-1.0)]
    results = []
    for edits in (parts, [Edit.affine(0, [4], scale=6.0, shift=2.0)]):
        with apply_edits(model, neuron_map, edits, backend="hook"):
            results.append(logits(model, ids))
    torch.testing.assert_close(*results)


def test_constant_at_the_gate_cannot_be_folded(llama: Located):
    model, neuron_map = llama
    edit = Edit.affine(0, [4], scale=0.0, shift=1.0, site="gate")
    with (
        pytest.raises(ModelError, match="a constant at the gate is not a constant at the hidden site"),
        apply_edits(model, neuron_map, [edit], backend="fold"),
    ):
        pass
    with apply_edits(model, neuron_map, [edit]) as report:
        assert report.backend == "hook"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit.zero(2, [0]), "no layer 2: the model has feed-forward layers 0 to 1"),
        (Edit.zero(0, [40]), "units 0 to 39, got 40 to 40"),
        (Edit.zero(0, [-1]), "got -1 to -1"),
        (Edit.zero(0, [1, 1]), "named twice"),
        (Edit.zero(0, [1], site="attention"), "no site 'attention'"),
        (Edit(0, "hidden", torch.tensor([1, 2]), torch.zeros(1), torch.zeros(2)), "2 units, but 1 scales"),
        (Edit(0, "hidden", torch.tensor([1.0]), torch.zeros(1), torch.zeros(1)), "units must be int64"),
    ],
)
def test_edits_that_do_not_fit_are_refused(llama: Located, edit, message):
    with pytest.raises(ModelError, match=message), apply_edits(*llama, [edit]):
        pass


def test_up_of_a_block_without_a_gate_is_refused_naming_the_layer():
    model = tiny_model("gpt2")
    with (
        pytest.raises(ModelError, match=r"layer 0 \(transformer.h.0.mlp\) has no site 'up'"),
        observe(model, locate(model), ["up"], print),
    ):
        pass


def test_values_take_the_place_of_activations(llama: Located, ids):
    model, neuron_map = llama
    units, given = torch.tensor([7, 2]), []

    def values(seen):
        given.append(seen)
        return torch.stack([seen.rows.float(), -seen.rows.float()], dim=1)

    seen = []
    with (
        apply_edits(model, neuron_map, [ValueEdit(1, "hidden", units, values)]) as report,
        observe(model, neuron_map, ["hidden"], seen.append),
    ):
        logits(model, ids)
    after = next(o.values for o in seen if o.layer == 1)
    assert torch.equal(after[:, 7], torch.arange(14.0))
    assert torch.equal(after[:, 2], -torch.arange(14.0))
    assert torch.equal(given[0].rows, torch.arange(14))
    assert given[0].columns.tolist() == [0, 1]
    assert (report.backend, report.edited_activations) == ("hook", 28)


def test_values_reach_the_experts_tokens_only(ids):
    model = tiny_model("mixtral")
    neuron_map = locate(model)
    width, rows = 40, []

    def nine(given):
        rows.append(given.rows)
        return torch.full_like(given.values, 9.0)

    edit = ValueEdit(0, "hidden", torch.tensor([2 * width + 5]), nine)
    seen = []
    with apply_edits(model, neuron_map, [edit]) as report, observe(model, neuron_map, ["hidden"], seen.append):
        logits(model, ids)
    for o in seen:
        hit = o.values == 9.0
        assert bool(hit.any()) == (o.layer == 0 and o.first_unit == 2 * width)
        if hit.any():
            assert torch.equal(hit.nonzero()[:, 1].unique(), torch.tensor([5]))
            assert sorted(rows[0].tolist()) == o.rows.tolist()
            assert report.edited_activations == len(o.rows)


@pytest.mark.parametrize("site", ["gate", "hidden"])
def test_a_function_of_the_values_equals_the_layer_recomputed_by_hand(llama: Located, ids, site):
    model, neuron_map = llama
    units = torch.tensor([11, 3, 5])
    bound = torch.tensor([0.01, 0.0, 0.002])

    def change(index, gate, up):
        gate = gate.clone()
        hidden = gate * up
        if index == 1:
            target = gate if site == "gate" else hidden
            target[..., units] = target[..., units].clamp(-bound, bound)
        return gate * up if site == "gate" else hidden

    expected = by_hand(model, ids, change)
    assert not torch.allclose(expected, logits(model, ids), atol=1e-5)
    edit = ValueEdit(1, site, units, lambda given: given.values.clamp(-bound[given.columns], bound[given.columns]))
    with apply_edits(model, neuron_map, [edit]) as report:
        torch.testing.assert_close(logits(model, ids), expected, atol=2e-6, rtol=1e-5)
    assert (report.backend, report.edited_activations) == ("hook", 3 * ids.numel())
    with pytest.raises(ModelError, match="its edit is not affine"), apply_edits(*llama, [edit], backend="fold"):
        pass


@pytest.mark.parametrize("name", ["llama", "mixtral", "gpt2"])
def test_a_function_that_is_affine_does_what_the_affine_edit_does(name, ids):
    model = tiny_model(name)
    neuron_map = locate(model)
    units = torch.arange(0, neuron_map.layers[0].width, 3)
    scale, shift = torch.linspace(-1, 1, len(units)), torch.linspace(0, 0.3, len(units))
    affine = Edit(0, "gate", units, scale, shift)
    function = ValueEdit(0, "gate", units, lambda g: g.values * scale[g.columns] + shift[g.columns])
    found = []
    for edit in (affine, function):
        with apply_edits(model, neuron_map, [edit], backend="hook") as report:
            found.append((logits(model, ids), report.edited_activations))
    torch.testing.assert_close(found[0][0], found[1][0])
    assert found[0][1] == found[1][1] > 0


def test_a_function_of_another_shape_is_refused(llama: Located, ids):
    edit = ValueEdit(0, "hidden", torch.tensor([1, 2]), lambda given: given.values[:, :1])
    with (
        apply_edits(*llama, [edit]),
        pytest.raises(ModelError, match=r"given activations \[14, 2\].* returned \[14, 1\]"),
    ):
        logits(llama[0], ids)


def noisy(model, units, seed=0, layer=0):
    """Return the noise that each forward pass of the block puts in, and the edit that does it."""
    drawn = []

    def its_noise(given):
        drawn.append((given.rows, given.noise))
        return given.noise

    return drawn, ValueEdit(layer, "hidden", units, its_noise, seed=seed)


def test_noise_is_standard_normal_and_of_its_seed(llama: Located):
    model, neuron_map = llama
    tokens = torch.randint(3, 99, (40, 50), generator=torch.Generator().manual_seed(5))
    found = []
    for seed, layer in ((0, 0), (0, 0), (1, 0), (0, 1)):
        drawn, edit = noisy(model, torch.arange(40), seed, layer)
        with apply_edits(model, neuron_map, [edit]):
            logits(model, tokens)
        found.append(drawn[0][1].double())
    first, again, other, elsewhere = found
    assert torch.equal(first, again)
    for values in found:  # 80 000 numbers: moments within five standard errors
        assert abs(values.mean()) < 5 / 80_000**0.5
        assert abs(values.var() - 1) < 5 * (2 / 80_000) ** 0.5
        assert abs((values**4).mean() - 3) < 5 * (96 / 80_000) ** 0.5
    for one, two in ((first, other), (first, elsewhere), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])):
        assert abs((one * two).mean()) < 5 / 70_000**0.5


def test_noise_does_not_depend_on_batches_padding_or_the_cache(llama: Located):
    model, neuron_map = llama
    texts = [torch.randint(3, 99, (n,), generator=torch.Generator().manual_seed(n)) for n in (9, 5)]
    drawn, edit = noisy(model, torch.tensor([4, 30, 7]))

    def of(rows):
        return drawn.pop()[1].reshape(*rows, 3)

    with apply_edits(model, neuron_map, [edit]):
        logits(model, texts[0][None])
        alone = of((9,))
        logits(model, texts[1][None])
        short = of((5,))
        right = torch.stack([texts[0], torch.nn.functional.pad(texts[1], (0, 4))])
        logits(model, right)
        together = of((2, 9))
        assert torch.equal(together[0], alone)
        assert torch.equal(together[1, :5], short)
        left = torch.stack([texts[0], torch.nn.functional.pad(texts[1], (4, 0))])
        logits(model, left, attention_mask=(left != 0).long())
        assert torch.equal(of((2, 9))[1, 4:], short)
        with torch.no_grad():
            model.model(input_ids=texts[0][None])  # the trunk alone, as perplexity runs it
        assert torch.equal(of((9,)), alone)
        changed = texts[0].clone()
        changed[4] = 1
        logits(model, changed[None])
        after = of((9,))
        assert torch.equal(after[:4], alone[:4])
        assert not (after[4:] == alone[4:]).any()
        goes_on = []
        for mask in (None, torch.ones(1, 9, dtype=torch.int64)):
            first = model(input_ids=texts[0][None, :4], use_cache=True)
            drawn.clear()
            logits(model, texts[0][None, 4:], past_key_values=first.past_key_values, attention_mask=mask)
            goes_on.append(of((5,)))
        assert torch.equal(*goes_on)
        assert not torch.equal(goes_on[0][0], goes_on[0][1])
        with pytest.raises(ModelError, match="the model was given none; expected input_ids"):
            model(inputs_embeds=torch.zeros(1, 3, model.config.hidden_size))


def test_noise_of_an_expert_is_that_of_its_neurons_and_tokens(ids):
    model = tiny_model("mixtral")
    neuron_map = locate(model)
    found = {}
    for units in (torch.arange(160), torch.tensor([2 * 40 + 5])):
        drawn, edit = noisy(model, units)
        with apply_edits(model, neuron_map, [edit]):
            logits(model, ids)
        found[len(units)] = drawn
    (rows, alone), every = found[1][0], found[160]
    expected = next(noise[:, 5] for places, noise in every[2:] if torch.equal(places, rows))
    assert torch.equal(alone[:, 0], expected)


def test_generation_scope_leaves_the_prompt_alone(llama: Located, ids):
    model, neuron_map = llama
    edits = [Edit.zero(layer, torch.arange(40)) for layer in (0, 1)]
    clean = logits(model, ids)
    with apply_edits(model, neuron_map, edits, scope="generation") as report:
        assert report.backend == "hook"
        first = model(input_ids=ids, use_cache=True)
        assert torch.equal(first.logits, clean)
        assert report.edited_activations == 0
        token = ids[:, :1]
        edited = logits(model, token, past_key_values=first.past_key_values)
        assert report.edited_activations == 2 * 2 * 40
        assert torch.equal(logits(model, token), logits(model, token))
        assert report.edited_activations == 2 * 2 * 40  # one token without a cache is a prompt
    unedited = logits(model, token, past_key_values=model(input_ids=ids, use_cache=True).past_key_values)
    assert not torch.equal(edited, unedited)
    with (
        pytest.raises(ModelError, match="only tokens after the prompt"),
        apply_edits(model, neuron_map, edits, scope="generation", backend="fold"),
    ):
        pass


@pytest.mark.parametrize("name", ["mixtral", "gpt_oss", "deepseek_v3", "nemotron_h"])
def test_every_experts_implementation_shows_the_same_neurons(name, ids):
    found = {}
    for implementation in ("eager", "grouped_mm", "batched_mm"):
        model = tiny_model(name)
        model.set_experts_implementation(implementation)
        neuron_map = locate(model)
        seen = {}

        def keep(o, seen=seen):
            seen.setdefault((o.site, o.layer, o.first_unit), o)

        with observe(model, neuron_map, ["gate", "hidden"], keep):
            clean = logits(model, ids)
        edits = [Edit.zero(layer.index, torch.arange(0, layer.width, 3)) for layer in neuron_map.layers]
        with apply_edits(model, neuron_map, edits, backend="hook") as report:
            edited = logits(model, ids)
        assert not torch.equal(clean, edited)
        found[implementation] = neuron_map.layer_widths, seen, edited, report.edited_activations
    widths, expected, edited, count = found.pop("eager")
    for other_widths, seen, other_edited, other_count in found.values():
        assert other_widths == widths
        assert seen.keys() == expected.keys()
        assert other_count == count
        torch.testing.assert_close(other_edited, edited, atol=1e-5, rtol=1e-4)
        for key, o in seen.items():
            assert o.rows is None or torch.equal(o.rows, expected[key].rows)
            torch.testing.assert_close(o.values, expected[key].values, atol=1e-5, rtol=1e-4)


def test_low_precision_weights_are_folded_only_when_nothing_is_rounded(llama: Located):
    model, neuron_map = llama
    model.bfloat16()
    for scale, backend in ((0.0, "fold"), (-1.0, "fold"), (0.3, "hook")):
        with apply_edits(model, neuron_map, [Edit.affine(0, [1], scale=scale, shift=0.0)]) as report:
            assert report.backend == backend


def test_compiled_models_are_edited_by_folding_and_hooks_say_why_not(ids):
    config: Any = tiny_config("llama")
    config.num_hidden_layers = 1
    model = LlamaForCausalLM(config).eval()
    neuron_map = locate(model)
    edits = [Edit.zero(0, [1, 2, 3])]
    with apply_edits(model, neuron_map, edits):
        expected = logits(model, ids)
    compiled: Any = torch.compile(model, backend="eager")
    clean = logits(compiled, ids, use_cache=False)
    torch.testing.assert_close(clean, logits(model, ids))
    assert not torch.equal(clean, expected)
    with apply_edits(model, neuron_map, edits, backend="fold"):
        torch.testing.assert_close(logits(compiled, ids, use_cache=False), expected)
    torch.testing.assert_close(logits(compiled, ids, use_cache=False), clean)
    frames = torch._dynamo.utils.counters["frames"]["total"]
    outer = locate(compiled)
    assert torch._dynamo.utils.counters["frames"]["total"] == frames, "what follows the data was compiled too"
    assert outer.layer_widths == neuron_map.layer_widths
    assert outer.layers[0].modules["gate"] == ("_orig_mod.model.layers.0.mlp.act_fn:output",)
    with (
        pytest.raises(ModelError, match="ignored by the compiled code"),
        apply_edits(compiled, outer, edits, backend="hook"),
    ):
        pass
    torch._dynamo.reset()
    with apply_edits(model, neuron_map, edits, backend="hook"):
        logits(model, ids)  # what is prepared in the first call breaks graphs
        torch.testing.assert_close(logits(torch.compile(model, backend="eager"), ids, use_cache=False), expected)
    torch._dynamo.reset()


def test_shared_weights_are_edited_in_one_place_by_hooks(ids):
    model = tiny_model("zamba")
    neuron_map = locate(model)
    with apply_edits(model, neuron_map, [Edit.zero(0, torch.arange(40))]) as report:
        assert report.backend == "hook"
        logits(model, ids, use_cache=False)
    assert report.edited_activations == 40 * ids.numel()


class Packed(torch.nn.Module):
    """A linear layer with int8 weights that torch's function modes cannot look into."""

    def __init__(self, linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("weight", (linear.weight.detach() * 100).round().to(torch.int8))

    def forward(self, values):
        with torch._C.DisableTorchFunction():
            return values @ (self.get_buffer("weight").float() / 100).T


class Eighths(torch.nn.Linear):
    """A linear layer with 8-bit floats, multiplied by a kernel that is no torch function."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features, bias=False)
        self.weight = torch.nn.Parameter(linear.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)

    def forward(self, values):
        with torch._C.DisableTorchFunction():
            return values @ self.weight.float().T


@pytest.mark.parametrize("kind", [Packed, Eighths])
def test_quantised_layers_are_found_and_edited_by_hooks(llama: Located, ids, kind):
    model, plain = llama
    for layer in model.model.layers:
        for name in ("gate_proj", "up_proj", "down_proj"):
            setattr(layer.mlp, name, kind(getattr(layer.mlp, name)))
    neuron_map = locate(model)
    assert neuron_map.layer_widths == plain.layer_widths
    seen = []
    with observe(model, neuron_map, ["gate", "up", "hidden"], seen.append):
        clean = logits(model, ids)
    gate, up, hidden = ([o.values for o in seen if o.site == site] for site in ("gate", "up", "hidden"))
    assert all(torch.equal(g * u, h) for g, u, h in zip(gate, up, hidden, strict=True))
    edits = [Edit.zero(1, [3, 4])]
    with apply_edits(model, neuron_map, edits) as report:
        edited = logits(model, ids)
    assert report.backend == "hook"
    assert not torch.equal(edited, clean)
    model.model.layers[1].mlp.down_proj.weight.view(torch.int8)[:, [3, 4]] = 0
    assert torch.equal(logits(model, ids), edited)
    with pytest.raises(ModelError, match="is quantised"), apply_edits(model, neuron_map, edits, backend="fold"):
        pass


def test_a_plugin_decides_first(llama: Located):
    model, neuron_map = llama
    assert locate(model, [lambda _: None, lambda _: neuron_map]) is neuron_map


def test_tiny_models_are_the_same_for_the_same_seed():
    state = torch.random.get_rng_state()
    first, again, other = tiny_model("llama"), tiny_model("llama"), tiny_model("llama", seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    with pytest.raises(UnknownNameError, match="did you mean 'llama'"):
        tiny_config("lama")
    with pytest.raises(ModelError, match="timm"):
        tiny_config("gemma3n")
