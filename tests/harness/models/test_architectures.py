"""Every causal-LM architecture of transformers, tiny and random: found, observed and edited exactly, and left alone."""

import functools
import inspect
import os
import types
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import __version__

from nharness.corpora import EncodedDocument
from nharness.errors import ModelError
from nharness.models import Edit, apply_edits, locate, observe
from nharness.models.edit import Backend
from nharness.models.neuron_map import ModuleTap
from nharness.models.streams import Streams
from nharness.recording import Recorder, RecordingOptions
from nharness.testing.matrix import describe, describe_dependence, describe_map
from nharness.testing.tiny import architectures, tiny_model
from nharness.testing.tiny_sizes import UNBUILDABLE

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own, about ways to run its models

MATRIX = Path(__file__).resolve().parents[3] / "docs" / "support-matrix.md"
REGENERATE = "python -m nharness.testing.matrix docs/support-matrix.md"
NO_FEED_FORWARD = ("mamba", "mamba2", "falcon_mamba")
NOT_TOKENS = ("blt", "cpmant", "prophetnet")
LOCATED = [name for name in architectures() if name not in {*UNBUILDABLE, *NO_FEED_FORWARD, *NOT_TOKENS}]
READ_AHEAD = (
    *("bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert"),
    *("rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm", "xlm-roberta", "xlm-roberta-xl"),
    *("xlnet", "xmod"),
)
RUN_WHOLE = ("bamba", "glm_moe_dsa", "hrm_text", "hy_v4", "reformer", "rwkv", "xlm", "xlnet", "xlstm", "zaya")
ENDS_OTHERWISE = (  # the part of the layer that holds the down projection goes on after it, or keeps a state
    *("bamba", "bert", "bert-generation", "big_bird", "bloom", "camembert", "data2vec-text", "electra", "ernie", "git"),
    *("megatron-bert", "mpt", "reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "rwkv"),
    *("xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet", "xlstm", "zamba", "zamba2"),
)
TIGHT: dict[str, Any] = {"atol": 2e-6, "rtol": 1e-5}


def forward(model, ids):
    accepted = inspect.signature(model.forward).parameters
    return model(input_ids=ids, **({"use_cache": False} if "use_cache" in accepted else {})).logits


def run(model, ids):
    with torch.no_grad():
        return forward(model, ids).clone()


def checksum(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module", params=LOCATED)
def arch(request):
    model = tiny_model(request.param)
    ids = torch.randint(3, 99, (2, 7), generator=torch.Generator().manual_seed(1))
    neuron_map = locate(model)
    run(model, ids)  # some models rescale their weights when first run
    case = types.SimpleNamespace(
        name=request.param, model=model, map=neuron_map, ids=ids, logits=run(model, ids), weights=checksum(model)
    )
    case.hidden = observed(case, "hidden")
    case.units = [active_units(case, layer) for layer in neuron_map.layers]
    return case


@pytest.fixture(autouse=True)
def _left_alone(request):
    yield
    if "arch" in request.fixturenames:
        case = request.getfixturevalue("arch")
        for name, value in case.model.state_dict().items():
            assert torch.equal(value, case.weights[name]), f"{name} was not restored"


def observed(case, site):
    """{(layer, unit block start): [values, rows]} of one forward pass."""
    seen = defaultdict(list)
    with observe(
        case.model, case.map, [site], lambda o: seen[o.layer, o.first_unit].append((o.values.clone(), o.rows))
    ):
        run(case.model, case.ids)
    return seen


def active_units(case, layer, count=3):
    """A few units of every segment, of experts that got tokens."""
    seen = case.hidden
    units = []
    for segment in layer.segments:
        starts = [first for index, first in seen if index == layer.index]
        mine = [first for first in starts if segment.first_unit <= first < segment.first_unit + segment.units]
        for first in mine[:2]:
            values = torch.cat([values for values, _ in seen[layer.index, first]])
            units += [first + int(unit) for unit in values.abs().sum(0).topk(count).indices]
    return torch.tensor(sorted(set(units)))


def few_edits(case, site="hidden"):
    return [Edit.zero(index, units, site) for index, units in enumerate(case.units)]


def all_units(layer):
    return torch.arange(layer.width)


def test_every_layer_has_neurons_in_every_site(arch):
    for index, layer in enumerate(arch.map.layers):
        assert layer.index == index
        assert layer.width == sum(segment.units for segment in layer.segments) > 0
        assert layer.sites[:2] == ("gate", "hidden")
    assert arch.map.layer_widths == tuple(layer.width for layer in arch.map.layers)


def test_editing_nothing_changes_no_bit(arch):
    empty = Edit.zero(0, torch.tensor([], dtype=torch.int64))
    for edits in ([], [empty]):
        with apply_edits(arch.model, arch.map, edits) as report:
            assert torch.equal(run(arch.model, arch.ids), arch.logits)
        assert report.edited_activations == 0


def test_observing_changes_no_bit_and_sees_what_meets_the_down_projection(arch, brute):
    segments = [(layer, segment) for layer in arch.map.layers for segment in layer.segments]
    with brute.Products(
        {s.down.parameter: arch.model.get_parameter(s.down.parameter) for _, s in segments}
    ) as products:
        assert torch.equal(run(arch.model, arch.ids), arch.logits)
    seen, expected, width = defaultdict(list), {}, {}
    for layer, segment in segments:
        owner = products.storages[arch.model.get_parameter(segment.down.parameter).untyped_storage().data_ptr()]
        mine = range(segment.first_unit, segment.first_unit + segment.units)
        seen[owner] += [
            v for (i, first), pieces in arch.hidden.items() if i == layer.index and first in mine for v, _ in pieces
        ]
        expected[owner] = brute.rows_seen(products, owner, segment.width)
        width[owner] = segment.width
    for owner, values in seen.items():
        got = brute.as_bytes(torch.cat(values))
        if arch.name == "bitnet":  # normalised in between: what is observed is what was normalised
            assert len(got) == len(expected[owner])
        elif arch.name in ("llama4", "llama4_text"):  # every expert multiplies every token, as zeros where not sent
            zero = brute.as_bytes(torch.zeros(1, width[owner]))[0]
            assert got == [row for row in expected[owner] if row != zero]
        else:
            assert got == expected[owner]


def test_gates_are_what_an_activation_function_gave(arch, brute):
    if not all(segment.gated for layer in arch.map.layers for segment in layer.segments):
        return
    with brute.Products({}) as products:
        run(arch.model, arch.ids)
    known = defaultdict(set)
    for values in products.activated:
        if values.ndim and values.is_floating_point():
            known[values.shape[-1]].update(brute.as_bytes(values.reshape(-1, values.shape[-1])))
    for (_, first), pieces in observed(arch, "gate").items():
        for values, _ in pieces:
            if arch.name in COMPOSED:
                assert not set(brute.as_bytes(values)) & known[values.shape[-1]]
            else:
                assert set(brute.as_bytes(values)) <= known[values.shape[-1]], first


# Gated by an activation that is put together from several operations, so that no single one gives the gate.
COMPOSED = ("gpt_oss", "minimax_m3_vl_text", "inkling2_text")


def test_hidden_is_gate_times_up(arch):
    gates, ups, hidden = (
        observed(arch, site) if site != "up" or gated(arch) else {} for site in ("gate", "up", "hidden")
    )
    for key, pieces in hidden.items():
        for place, (values, rows) in enumerate(pieces):
            gate, gate_rows = gates[key][place]
            assert rows is None or torch.equal(rows, gate_rows)
            product = gate * ups[key][place][0] if gated(arch) else gate
            if arch.name == "inkling_text":  # shared experts are scaled per token after the product
                scale = (values * product).sum(-1, keepdim=True) / (product * product).sum(-1, keepdim=True)
                product = product * scale
            torch.testing.assert_close(values.float(), product.float(), atol=1e-5, rtol=1e-4)


def gated(case):
    return all("up" in layer.sites for layer in case.map.layers)


def test_rows_are_the_tokens_routed(arch):
    experts = {s.block: (layer, s) for layer in arch.map.layers for s in layer.segments if s.routed}
    routing = {}
    for block in experts:
        module = arch.model.get_submodule(block)
        module.register_forward_pre_hook(
            lambda _, args, kwargs, block=block: routing.__setitem__(block, [*args, *kwargs.values()]), with_kwargs=True
        )
    seen = observed(arch, "hidden")
    for block, (layer, segment) in experts.items():
        arch.model.get_submodule(block)._forward_pre_hooks.clear()
        chosen = [arg for arg in routing[block] if isinstance(arg, torch.Tensor) and arg.dtype == torch.int64]
        for expert in range(segment.experts):
            pieces = seen.get((layer.index, segment.first_unit + expert * segment.width), [])
            rows = (
                torch.cat([torch.arange(len(v)) if r is None else r for v, r in pieces]) if pieces else torch.tensor([])
            )
            if chosen:
                expected = (chosen[0] == expert).reshape(arch.ids.numel(), -1).nonzero()[:, 0]
                assert rows.tolist() == expected.tolist()
            else:
                assert len(rows) == len(set(rows.tolist()))
            assert all(0 <= row < arch.ids.numel() for row in rows.tolist())


def test_statistics_equal_a_count_over_saved_activations(arch):
    if arch.name in READ_AHEAD:
        pytest.skip("refused when it is loaded: it reads ahead")
    texts = [arch.ids[0].numpy(), arch.ids[1].numpy(), arch.ids[0, 2:6].numpy()]
    documents = [(EncodedDocument(f"{n}", "en", f"{n}", 0, text, 1, len(text), 1),) for n, text in enumerate(texts)]
    needs = [(statistic, site) for site in ("gate", "hidden") for statistic in ("activation_count", "moments")]
    if any(layer.passes > 1 for layer in arch.map.layers):
        with pytest.raises(ModelError, match=r"runs \d+ times per token"):
            Recorder(arch.model, arch.map, needs)
        return
    got = Recorder(arch.model, arch.map, needs, RecordingOptions(batch_tokens=64)).record_shard("en", documents)
    for site, table in got.items():
        positive, total, size, reached = counted_by_hand(arch, texts, site)
        assert table.get("activation_count", "positive", "en").tolist() == positive.tolist()
        assert table.tokens("en").tolist() == reached.tolist()
        assert (abs(table.get("moments", "sum", "en") - total) <= 1e-4 * size + 1e-6).all()
    assert sum(reached) > 0


def counted_by_hand(case, texts, site):
    """Per neuron, over every token but the first of each text, run alone: a > 0, sum of a and of |a|, tokens that came."""
    starts = np.cumsum([0, *case.map.layer_widths])
    positive, total, size, reached = (np.zeros(starts[-1], kind) for kind in (np.int64, float, float, np.int64))

    def add(seen):
        places = torch.arange(len(seen.values)) if seen.rows is None else seen.rows
        values = seen.values[places > 0].double().numpy()
        first = starts[seen.layer] + seen.first_unit
        mine = slice(first, first + values.shape[1])
        positive[mine] += (values > 0).sum(0)
        total[mine] += values.sum(0)
        size[mine] += abs(values).sum(0)
        reached[mine] += len(values)

    for text in texts:
        with observe(case.model, case.map, [site], add):
            run(case.model, torch.from_numpy(text)[None])
    return positive, total, size, reached


def test_zeroing_equals_zeroed_weights(arch):
    edits = few_edits(arch)
    if "shared" in (reason_not_to_fold(arch) or ""):  # what is zeroed in a weight is zeroed wherever the weight is used
        every = torch.cat([edit.units for edit in edits]).unique()
        edits = [Edit.zero(layer.index, every) for layer in arch.map.layers]
    with apply_edits(arch.model, arch.map, edits, backend="hook") as report:
        edited = run(arch.model, arch.ids)
    assert report.edited_activations > 0
    assert not torch.equal(edited, arch.logits)
    torch.testing.assert_close(edited, with_zeroed_weights(arch, edits), **TIGHT)


def with_zeroed_weights(case, edits):
    """Logits with the neurons' columns of the down projection, or rows of the up projection, zeroed by hand."""
    try:
        with torch.no_grad():
            for edit in edits:
                for segment in case.map.layers[edit.layer].segments:
                    units = edit.units - segment.first_unit
                    zero_by_hand(case.model, segment, units[(units >= 0) & (units < segment.units)])
        return run(case.model, case.ids)
    finally:
        case.model.load_state_dict(case.weights)


def zero_by_hand(model, segment, units):
    down = model.get_parameter(segment.down.parameter)
    if model.config.model_type == "bitnet":  # the hidden vector is normalised before the down projection
        ((up, _),) = segment.up_leaves
        model.get_parameter(up)[units] = 0.0
    elif down.ndim == 3:
        for unit in units.tolist():
            down[unit // segment.width].select(segment.down.unit_dim - 1, unit % segment.width).zero_()
    elif segment.experts > 1:
        down[units] = 0.0  # [experts * width, D]
    else:
        down.index_fill_(segment.down.unit_dim, units, 0.0)


def reason_not_to_fold(case, edits=None):
    try:
        with apply_edits(case.model, case.map, edits or few_edits(case), backend="fold"):
            return None
    except ModelError as error:
        return str(error)


def test_hook_equals_fold(arch):
    edits = few_edits(arch)
    reason = reason_not_to_fold(arch)
    if reason is not None:
        assert any(word in reason for word in ("shared", "normalised", "re-shaped"))
        with apply_edits(arch.model, arch.map, edits) as report:
            assert report.backend == "hook"
        return
    results = {}
    for backend in ("hook", "fold", "auto"):
        with apply_edits(arch.model, arch.map, edits, backend=backend) as report:
            results[backend] = run(arch.model, arch.ids), report.edited_activations
    assert report.backend == "fold"
    torch.testing.assert_close(results["hook"][0], results["fold"][0], **TIGHT)
    assert torch.equal(results["auto"][0], results["fold"][0])
    assert results["hook"][1] == results["fold"][1] > 0


def test_scale_and_constant_hook_equals_fold(arch):
    edits = [Edit.affine(edit.layer, edit.units, scale=0.5, shift=0.3) for edit in few_edits(arch)]
    with apply_edits(arch.model, arch.map, edits, backend="hook"):
        hooked = run(arch.model, arch.ids)
    assert not torch.equal(hooked, arch.logits)
    reason = reason_not_to_fold(arch, edits)
    if reason is not None:
        assert any(word in reason for word in ("bias", "shared", "normalised", "re-shaped"))
        return
    with apply_edits(arch.model, arch.map, edits, backend="fold"):
        torch.testing.assert_close(run(arch.model, arch.ids), hooked, atol=1e-5, rtol=1e-4)


def test_zeroing_a_whole_layer_changes_the_logits(arch):
    for layer in arch.map.layers:
        with apply_edits(arch.model, arch.map, [Edit.zero(layer.index, all_units(layer))]):
            assert not torch.equal(run(arch.model, arch.ids), arch.logits)


def test_gate_zero_is_hidden_zero(arch):
    results = []
    for site in ("gate", "hidden"):
        with apply_edits(arch.model, arch.map, few_edits(arch, site), backend="hook"):
            results.append(run(arch.model, arch.ids))
    torch.testing.assert_close(*results, atol=0, rtol=0)


def test_gradients_reach_the_values(arch):
    if arch.name == "rwkv":
        pytest.skip("its own forward pass changes tensors in place that its backward pass needs")
    kept = []
    with observe(arch.model, arch.map, ["hidden"], lambda o: kept.append(o.values), detach=False):
        logits = forward(arch.model, arch.ids)
    torch.testing.assert_close(logits.detach(), arch.logits, **TIGHT)
    if logits.grad_fn is not None and all(value.requires_grad for value in kept):
        gradients = torch.autograd.grad(logits.float().pow(2).sum(), kept, allow_unused=True)
        reached = [gradient for gradient in gradients if gradient is not None and gradient.abs().sum() > 0]
        assert len(reached) >= len(arch.map.layers)


def test_found_whatever_the_model_is_called(arch):
    kind, path = arch.model.__class__, arch.model.config._name_or_path
    arch.model.__class__ = type("GPT2LMHeadModel", (kind,), {"__module__": kind.__module__})
    arch.model.config._name_or_path = "bloom-opt-llama"
    try:
        assert locate(arch.model) == arch.map
    finally:
        arch.model.__class__, arch.model.config._name_or_path = kind, path


def test_hooks_of_others_survive_and_ours_go(arch):
    calls = []
    before = hook_count(arch.model)
    handle = arch.model.get_submodule(arch.map.layers[0].segments[0].block).register_forward_hook(
        lambda *_: calls.append(1)
    )
    try:
        with apply_edits(arch.model, arch.map, few_edits(arch), backend="hook"):
            run(arch.model, arch.ids)
        run(arch.model, arch.ids)
        assert len(calls) >= 2
        assert hook_count(arch.model) == before + 1
    finally:
        handle.remove()


def hook_count(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_an_exception_inside_undoes_the_edit(arch):
    for backend in ("hook", "auto"):
        with pytest.raises(KeyboardInterrupt), apply_edits(arch.model, arch.map, few_edits(arch), backend=backend):
            raise KeyboardInterrupt
        assert torch.equal(run(arch.model, arch.ids), arch.logits)


@pytest.mark.parametrize("name", NO_FEED_FORWARD)
def test_models_without_feed_forward_blocks_are_refused(name):
    with pytest.raises(ModelError, match="no feed-forward block found in"):
        locate(tiny_model(name))


@pytest.mark.parametrize("name", NOT_TOKENS)
def test_models_whose_blocks_do_not_see_tokens_are_refused(name):
    with pytest.raises(ModelError, match="vectors for 10 tokens"):
        locate(tiny_model(name))


def test_documented(arch, documented):
    measured = describe_dependence(arch.name, arch.model)
    assert documented[arch.name] == [*describe_map(arch.model, arch.map), measured]
    assert ("refused: reads ahead" in measured) == (arch.name in READ_AHEAD)


@pytest.mark.parametrize("name", [*UNBUILDABLE, *NO_FEED_FORWARD, *NOT_TOKENS])
def test_refusals_documented(name, documented):
    assert documented[name] == list(describe(name))


def test_every_architecture_is_documented(documented):
    assert sorted(documented) == sorted(architectures())


@pytest.fixture(scope="module")
def documented():
    """{model type: cells}; made with another transformers, it fails where CI is true, and is skipped elsewhere."""
    text = MATRIX.read_text(encoding="utf-8")
    if f"transformers {__version__}:" not in text:
        reason = f"{MATRIX.name} was not made with transformers {__version__}; type: {REGENERATE}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    return {row[0]: row[1:] for row in rows if row[0] != "model type"}


def test_enough_architectures():
    assert len(LOCATED) >= 120 or not __version__.startswith("5.")


def ends_plainly(layer):
    """Tell whether a layer's neurons are dense, run once, and are what one module takes."""
    first, *others = layer.segments
    taken = ModuleTap(first.down.module or "", "input")
    return not others and not first.routed and first.passes == 1 and first.tap("hidden") == taken


def test_what_begins_late_gives_the_same_bits(arch):
    """Further edits of the last layer leave out the layers before it and begin inside it, where the model allows that."""
    streams, last = Streams(arch.model), arch.map.layers[-1].index
    one, other, others = arch.units[-1][:1], arch.units[-1][1:2], arch.ids.flip(0)
    edits = [Edit.zero(last, arch.units[-1]), Edit.zero(last, one), Edit.zero(last, one, site="gate")]
    edits += [Edit.affine(last, other, scale=0.0, shift=0.5)]
    backends: list[Backend] = ["auto", "auto", "hook", "hook"]
    for edit, backend in zip(edits, backends, strict=True):
        with apply_edits(arch.model, arch.map, [edit], backend=backend) as report:
            expected = [run(arch.model, ids) for ids in (arch.ids, others)]
            count = report.edited_activations
            with torch.no_grad():
                found = [streams.run(ids, functools.partial(forward, arch.model)) for ids in (arch.ids, others)]
            assert report.edited_activations == 2 * count
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert (streams.skipped > 0) == (arch.name not in RUN_WHOLE)
    assert (streams.inside > 0) == (ends_plainly(arch.map.layers[-1]) and arch.name not in ENDS_OTHERWISE)
