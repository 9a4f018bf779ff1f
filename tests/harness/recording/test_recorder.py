"""Every statistic against the same thing computed from saved activations, one document at a time, in float64."""

import dataclasses
import weakref
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from nharness.corpora import EncodedDocument
from nharness.errors import ModelError, OptionError, PluginError, UnknownNameError
from nharness.models import locate
from nharness.recording import Accumulator, Recorder, RecordingOptions, batch_size, shards_of
from nharness.recording.accumulator import Activations, Scratch, Shard
from nharness.recording.sums import ActivationCount
from nharness.statistics import Merger, load, merge, sketch
from nharness.testing import tiny_model

from .conftest import documents, saved_activations

LENGTHS = (7, 1, 19, 12, 12, 30, 4, 25)
NEEDS = [
    (name, site)
    for site in ("gate", "hidden")
    for name in ("activation_count", "moments", "histogram", "document_mean")
]

Located = tuple[Any, Any]  # a model and the map of its neurons


def recorded(located: Located, needs, found, **options):
    model, neuron_map = located
    recorder = Recorder(model, neuron_map, needs, RecordingOptions(**{"batch_tokens": 64, **options}))
    recorder.prepare({"en": found[:3]})
    return recorder.record_shard("en", found)


@pytest.mark.parametrize("site", ["gate", "hidden"])
def test_counts_moments_and_means_equal_brute_force(located: Located, site):
    found = documents(LENGTHS, first=0)
    saved = saved_activations(*located, found, site)
    got = recorded(located, NEEDS, found)[site]
    everything = np.concatenate(saved)
    reached = (~np.isnan(everything)).sum(0)
    assert (got.tokens("en") == reached).all()
    assert got.totals["en"].tokens == len(everything) == sum(LENGTHS)
    np.testing.assert_array_equal(got.get("activation_count", "positive", "en"), (everything > 0).sum(0))
    scale = np.nansum(abs(everything), 0) + 1e-9
    assert (abs(got.get("moments", "sum", "en") - np.nansum(everything, 0)) <= 2e-6 * scale).all()
    squares = np.nansum(everything**2, 0)
    np.testing.assert_allclose(got.get("moments", "sumsq", "en"), squares, rtol=2e-5, atol=1e-9)
    means = np.stack([np.nansum(rows, 0) / np.maximum((~np.isnan(rows)).sum(0), 1) for rows in saved])
    np.testing.assert_allclose(got.get("document_mean", "mean", "en"), means, rtol=1e-4, atol=1e-6)


def test_histograms_equal_brute_force(located: Located):
    found = documents(LENGTHS)
    everything = np.concatenate(saved_activations(*located, found, "gate"))
    got = recorded(located, NEEDS, found)["gate"]
    count, edges = got.get("histogram", "count", "en"), got.get("histogram", "edges", "en")
    assert count.shape == (got.size, 402)
    assert (count.sum(1) == got.tokens("en")).all()
    assert (np.diff(edges) > 0).all()
    for neuron in range(0, got.size, 7):
        values = everything[:, neuron][~np.isnan(everything[:, neuron])]
        expected = np.bincount(np.searchsorted(edges, values, side="right"), minlength=402)
        assert abs(np.cumsum(count[neuron]) - np.cumsum(expected)).max() <= 1
        assert abs(count[neuron] - expected).sum() <= 2


def test_bins_follow_the_mean_and_deviation_of_what_was_scouted(llama: Located):
    found = documents(LENGTHS)
    everything = np.concatenate(saved_activations(*llama, found[:3], "gate"))
    edges = recorded(llama, [("histogram", "gate")], found)["gate"].get("histogram", "edges", "en")
    mean, deviation = everything.mean(), everything.std()
    assert edges[0] == pytest.approx(max(mean - 3 * deviation, -0.4), rel=1e-4)
    assert edges[-1] == pytest.approx(mean + 3 * deviation, rel=1e-4)


def test_up_magnitude_and_output_change_equal_brute_force(llama: Located):
    model, _ = llama
    found = documents(LENGTHS)
    got = recorded(llama, [("up_magnitude", "gate"), ("output_change", "gate")], found)["gate"]
    up = [abs(rows).sum(0) for rows in saved_activations(*llama, found, "up")]
    np.testing.assert_allclose(got.get("up_magnitude", "sum", "en"), np.stack(up), rtol=1e-5)
    hidden = saved_activations(*llama, found, "hidden")
    weights = [layer.mlp.down_proj.weight.detach().double() for layer in model.model.layers]
    for document, rows in enumerate(hidden):
        start = 0
        for weight in weights:
            part = torch.from_numpy(rows[:, start : start + weight.shape[1]])
            change = torch.einsum("tj,ij->tij", part, weight)  # what each neuron adds to the layer's output
            expected = torch.linalg.vector_norm(change, dim=1).square().mean(0).sqrt()
            row = got.get("output_change", "mean", "en")[document, start : start + weight.shape[1]]
            np.testing.assert_allclose(row, expected.numpy(), rtol=1e-4)
            start += weight.shape[1]


def test_output_change_of_experts_takes_their_own_weights():
    model = tiny_model("mixtral")
    neuron_map = locate(model)
    found = documents(LENGTHS)
    got = recorded((model, neuron_map), [("output_change", "hidden")], found)["hidden"]
    hidden = saved_activations(model, neuron_map, found, "hidden")
    norms = np.concatenate(
        [layer.mlp.experts.down_proj.detach().norm(dim=1).reshape(-1).numpy() for layer in model.model.layers]
    )
    for document, rows in enumerate(hidden):
        reached = np.maximum((~np.isnan(rows)).sum(0), 1)
        expected = np.sqrt(np.nansum(rows**2, 0) / reached) * norms
        np.testing.assert_allclose(got.get("output_change", "mean", "en")[document], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("first", "last"), [(1, 0), (2, 1)])
def test_padding_and_uncounted_tokens_never_count(located: Located, first, last):
    found = documents([8, 5, 17, 3, 9], first=first, last=last)
    everything = np.concatenate(saved_activations(*located, found, "gate"))
    got = recorded(located, [("activation_count", "gate")], found, batch_tokens=1000)["gate"]
    assert got.totals["en"].tokens == len(everything)
    np.testing.assert_array_equal(got.get("activation_count", "positive", "en"), (everything > 0).sum(0))


def test_routed_tokens_are_counted_for_experts_only(located: Located):
    model, neuron_map = located
    got = recorded(located, [("activation_count", "gate")], documents(LENGTHS))["gate"]
    if model.config.model_type == "mixtral":
        routed = got.get("activation_count", "routed", "en")
        per_layer = np.split(routed, np.cumsum(neuron_map.layer_widths)[:-1])
        for layer, tokens in zip(neuron_map.layers, per_layer, strict=True):
            per_expert = tokens.reshape(layer.experts, -1)
            assert (per_expert == per_expert[:, :1]).all()
            assert per_expert[:, 0].sum() == sum(LENGTHS) * model.config.num_experts_per_tok
    else:
        assert "activation_count/routed/en" not in got.tensors


@pytest.mark.parametrize("batch_tokens", [1, 33, 64, 10_000])
def test_nothing_depends_on_the_batch_size(located: Located, batch_tokens):
    """In float64, where no sign hangs on the order of a sum."""
    model, neuron_map = located
    if model.config.model_type == "mixtral":
        model = tiny_model("mixtral")
        model.set_experts_implementation("eager")  # the grouped kernels know no float64
        neuron_map = locate(model)
    model = model.double()
    try:
        found = documents(LENGTHS, first=1)
        one, other = (recorded((model, neuron_map), NEEDS, found, batch_tokens=size) for size in (20, batch_tokens))
    finally:
        model.float()
    for site, expected in one.items():
        assert set(expected.tensors) == set(other[site].tensors)
        for name, tensor in expected.tensors.items():
            if tensor.dtype == np.int64 and "histogram" not in name:
                np.testing.assert_array_equal(other[site].tensors[name], tensor)
            elif "histogram" not in name:
                np.testing.assert_allclose(other[site].tensors[name], tensor, rtol=1e-6, atol=1e-9)


def test_the_order_of_documents_changes_no_sum(llama: Located):
    found = documents(LENGTHS)
    forward, backward = (recorded(llama, NEEDS, order)["gate"] for order in (found, found[::-1]))
    np.testing.assert_array_equal(forward.activation_probability(), backward.activation_probability())
    np.testing.assert_allclose(forward.mean(), backward.mean(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        forward.get("document_mean", "mean", "en"),
        backward.get("document_mean", "mean", "en")[::-1],
        rtol=1e-5,
        atol=1e-6,
    )


def test_windows_of_a_document_are_one_row(llama: Located):
    short, long = documents([9, 24])
    halves = tuple(
        dataclasses.replace(
            long[0],
            number=part,
            tokens=long[0].tokens[part * 12 : part * 12 + 12],
            counted_from=2 * part,
            counted_to=12,
        )
        for part in range(2)
    )
    found = [short, halves, short]
    got = recorded(llama, NEEDS, found)["gate"]
    saved = saved_activations(*llama, found, "gate")
    assert [len(rows) for rows in saved] == [9, 22, 9]
    np.testing.assert_allclose(
        got.get("document_mean", "mean", "en"), np.stack([rows.mean(0) for rows in saved]), rtol=1e-4, atol=1e-6
    )
    assert (got.totals["en"].documents, got.totals["en"].tokens) == (3, 40)


def test_shards_recorded_apart_merge_to_the_same_bytes(llama: Located, tmp_path):
    needs = [*NEEDS, ("up_magnitude", "gate"), ("attribution", "gate")]
    recorder = Recorder(*llama, needs, RecordingOptions(batch_tokens=40))
    texts = {"en": documents(LENGTHS), "de": documents([5, 40, 3], seed=1, language="de"), "zh": documents([2], seed=2)}
    recorder.prepare({tag: found[:2] for tag, found in texts.items()})
    at_once, apart = {}, {}
    for tag, found in texts.items():
        for shard in shards_of(found, 3):
            for site, statistics in recorder.record_shard(tag, shard).items():
                at_once.setdefault(site, Merger()).add(statistics)
    again = Recorder(*llama, needs, RecordingOptions(batch_tokens=40), settings=recorder.settings)
    for tag, found in texts.items():
        for shard in shards_of(found, 3):
            for site, statistics in again.record_shard(tag, shard).items():
                apart.setdefault(site, []).append(statistics)
    for site, fold in at_once.items():
        fold.result().save(tmp_path / "fold")
        merge(apart[site]).save(tmp_path / "merge")
        assert (tmp_path / "fold").read_bytes() == (tmp_path / "merge").read_bytes()
        loaded = load(tmp_path / "fold")
        assert loaded.languages == ("en", "de", "zh")
        assert loaded.totals["en"].tokens == sum(LENGTHS)


def test_attribution_equals_finite_differences():
    """The derivative along each layer's whole activation, against the loss with it scaled by 1 + step."""
    model = tiny_model("gpt2").double()
    neuron_map = locate(model)
    found = documents([9, 6, 9], first=1)
    got = recorded((model, neuron_map), [("attribution", "hidden")], found)["hidden"].get("attribution", "sum", "en")
    slopes = []
    transformer: Any = model.transformer
    for block in transformer.h:
        losses = []
        for factor in (1 + 1e-5, 1 - 1e-5):
            handle = block.mlp.act.register_forward_hook(lambda _m, _a, output, f=factor: scaled(output, f))
            losses.append(sum(loss_of(model, part.tokens) for (part,) in found))
            handle.remove()
        slopes.append((losses[0] - losses[1]) / 2e-5)
    sums = [part.sum() for part in np.split(got, np.cumsum(neuron_map.layer_widths)[:-1])]
    np.testing.assert_allclose(sums, slopes, rtol=1e-5)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def loss_of(model, tokens):
    """Summed NLL of all tokens but the first: exactly those that count."""
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(tokens)[None]).logits[0].log_softmax(-1)
    return -sum(float(logits[place - 1, tokens[place]]) for place in range(1, len(tokens)))


def scaled(output, factor):
    """Scale the activation of every token but the first, which does not count."""
    changed = output * factor
    changed[:, :1] = output[:, :1]
    return changed


def test_attribution_of_experts_adds_up_too():
    model = tiny_model("mixtral")
    got = recorded(
        (model, locate(model)), [("attribution", "hidden"), ("activation_count", "hidden")], documents(LENGTHS)
    )
    part = got["hidden"]
    assert (abs(part.get("attribution", "sum", "en")) <= part.get("attribution", "abssum", "en") + 1e-12).all()
    assert part.get("attribution", "abssum", "en")[part.get("activation_count", "routed", "en") > 0].min() > 0


@pytest.mark.parametrize("by_product", [True, False], ids=["cpu", "accelerator"])
def test_only_values_above_zero_are_active(llama: Located, monkeypatch, by_product):
    """On both roads by which columns are summed; a ReLU gives zeros, of either sign."""
    monkeypatch.setattr(Scratch, "by_product", lambda *_: by_product)
    count = ActivationCount(Shard(*llama, "gate", torch.device("cpu"), np.array([2])))
    values = torch.tensor([[0.0, -0.0, 1e-30, -1e-30, torch.nan, torch.inf], [0.0, 0.0, 1.0, -1.0, 2.0, -torch.inf]])
    count.add(Activations(values, first=3))
    assert count.tensors()["positive"][:10].tolist() == [0, 0, 0, 0, 0, 2, 0, 1, 1, 0]


def test_nan_is_not_active(llama: Located):
    model, _ = llama
    handle = model.model.layers[0].mlp.act_fn.register_forward_hook(spoil)
    try:
        got = recorded(
            llama, [("activation_count", "gate"), ("moments", "gate"), ("histogram", "gate")], documents(LENGTHS)
        )
    finally:
        handle.remove()
    assert got["gate"].get("activation_count", "positive", "en")[3] == 0
    assert np.isnan(got["gate"].get("moments", "sum", "en")[3])
    assert got["gate"].get("histogram", "count", "en")[3, 0] == sum(LENGTHS)
    assert np.isfinite(got["gate"].get("moments", "sum", "en")[:3]).all()


def spoil(_module, _args, output):
    output = output.clone()
    output[..., 3] = torch.nan
    return output


def test_half_precision_models_are_summed_in_float32(llama: Located):
    model = tiny_model("llama").bfloat16()
    neuron_map = locate(model)
    found = documents([300, 20, 40])
    saved = np.concatenate(saved_activations(model, neuron_map, found, "gate"))
    got = recorded((model, neuron_map), NEEDS, found, batch_tokens=1)["gate"]
    np.testing.assert_array_equal(got.get("activation_count", "positive", "en"), (saved > 0).sum(0))
    np.testing.assert_allclose(got.get("moments", "sum", "en"), saved.sum(0), rtol=1e-5, atol=2e-6 * abs(saved).sum())


def test_model_and_hooks_of_others_are_left_as_they_were(llama: Located):
    model, _ = llama
    model.train()
    model.lm_head.eval()
    calls = []
    handle = model.model.layers[0].mlp.act_fn.register_forward_hook(lambda *_: calls.append(1))
    try:
        recorded(llama, NEEDS, documents(LENGTHS))
        assert model.training
        assert not model.lm_head.training
        assert calls
        assert len(model.model.layers[0].mlp.act_fn._forward_hooks) == 1
        assert not model.model.layers[0].mlp.down_proj._forward_pre_hooks
    finally:
        handle.remove()
        model.eval()


class Largest(Accumulator):
    name = "largest"
    merge: ClassVar = {"value": "max"}

    def __init__(self, shard):
        super().__init__(shard)
        self.most = torch.full((shard.size,), -torch.inf)

    def add(self, activations):
        torch.maximum(self.most[activations.columns], activations.values.amax(0), out=self.most[activations.columns])

    def tensors(self):
        return {"value": self.most.numpy()}


def test_a_statistic_of_a_plug_in(llama: Located):
    found = documents(LENGTHS)
    recorder = Recorder(*llama, [("largest", "hidden")], accumulators={"largest": Largest})
    got = recorder.record_shard("en", found)["hidden"].get("largest", "value", "en")
    np.testing.assert_allclose(got, np.concatenate(saved_activations(*llama, found, "hidden")).max(0), rtol=1e-5)


def test_unknown_statistics_and_bad_options(llama: Located):
    with pytest.raises(UnknownNameError, match="unknown statistic 'moment'; did you mean 'moments'"):
        Recorder(*llama, [("moment", "gate")])
    with pytest.raises(OptionError, match="shard_documents must be at least 1"):
        RecordingOptions(shard_documents=0)
    model = tiny_model("gpt2")
    with pytest.raises(ModelError, match="has no site 'up'"):
        recorded((model, locate(model)), [("up_magnitude", "gate")], documents([4]))


def test_a_layer_that_does_not_run_is_an_error(llama: Located, monkeypatch):
    recorder = Recorder(*llama, [("moments", "gate")])
    monkeypatch.setattr(recorder, "_forward", lambda _tokens: None)
    with pytest.raises(ModelError, match="layer 0 was not reached at site 'gate'"):
        recorder.record_shard("en", documents([3]))


def test_running_out_of_memory_halves_the_batch(llama: Located, monkeypatch):
    recorder = Recorder(*llama, [("moments", "gate")], RecordingOptions(batch_tokens=120))
    whole, held, alive, seen = recorder._forward, [], [], []

    def small(tokens):
        held.append(weakref.ref(tokens))
        if tokens.numel() > 40 and len(held) > 1:
            raise torch.OutOfMemoryError
        return whole(tokens)

    monkeypatch.setattr(recorder, "_forward", small)
    monkeypatch.setattr(batch_size, "release_memory", lambda: alive.append([each() for each in held]))
    found = documents(LENGTHS)
    got = recorder.record_shard("en", found, seen.append)["gate"]
    assert recorder.batch_tokens == 30
    assert all(each is None for every in alive for each in every), "memory was released while the error held it"
    assert len(alive) == 2
    assert seen[1] == -seen[0]
    assert sum(seen) == sum(LENGTHS)
    assert got.totals["en"].tokens == sum(LENGTHS)
    expected = recorded(llama, [("moments", "gate")], found)["gate"]
    np.testing.assert_allclose(got.mean(), expected.mean(), rtol=1e-5, atol=1e-7)
    with pytest.raises(ModelError, match="a row of 60 tokens does not fit into memory"):
        recorder.record_shard("en", documents([60]))


def test_part_type_is_what_encode_gives():
    assert all(isinstance(part, EncodedDocument) for parts in documents([3, 4]) for part in parts)


def test_layers_that_run_several_times_a_token_are_refused():
    model = tiny_model("hrm_text")
    with pytest.raises(ModelError, match=r"runs \d+ times per token"):
        Recorder(model, locate(model), [("activation_count", "gate")])


class PerDocument(Accumulator):
    name = "longest"
    merge: ClassVar = {"most": "concatenate"}
    by_document = True

    def __init__(self, shard):
        super().__init__(shard)
        self.most = torch.full((shard.documents, shard.size), -torch.inf)

    def add(self, activations):
        row = self.most[activations.document, activations.columns]
        torch.maximum(row, activations.values.amax(0), out=row)

    def tensors(self):
        return {"most": self.most.numpy()}


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_plug_in_statistic_with_a_row_a_document_is_concatenated(llama: Located, size):
    found = documents(LENGTHS)
    kinds = {"longest": PerDocument, "largest": Largest}
    recorder = Recorder(*llama, [("longest", "gate"), ("largest", "gate")], accumulators=kinds)
    whole = recorder.record_shard("en", found)["gate"]
    parts = merge([recorder.record_shard("en", part)["gate"] for part in shards_of(found, size)])
    for statistic, tensor in (("longest", "most"), ("largest", "value")):
        np.testing.assert_allclose(
            parts.get(statistic, tensor, "en"), whole.get(statistic, tensor, "en"), rtol=1e-5, atol=1e-6
        )
    assert parts.formats["longest"].tensors == {"most": "concatenate"}


def test_a_plug_in_statistic_without_rule_or_with_other_rows_is_named(llama: Located):
    silent = type("Silent", (Largest,), {"name": "silent", "merge": None})

    class Other(Largest):
        merge: ClassVar = {"most": "max"}

    class Short(PerDocument):
        merge: ClassVar = {"most": "concatenate"}

        def tensors(self):
            return {"most": self.most.numpy()[1:]}

    with pytest.raises(PluginError, match="statistic silent does not say how its shards are merged"):
        Recorder(*llama, [("silent", "gate")], accumulators={"silent": silent})
    with pytest.raises(PluginError, match="gave a tensor 'value' for which it declares no merge rule; declared: most"):
        Recorder(*llama, [("largest", "gate")], accumulators={"largest": Other}).record_shard("en", documents([3]))
    with pytest.raises(PluginError, match="expected 2 rows, one per document of the shard"):
        Recorder(*llama, [("longest", "gate")], accumulators={"longest": Short}).record_shard("en", documents([3, 4]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sketches_equal_brute_force(llama: Located, dtype):
    model, found = tiny_model("llama").to(dtype), documents(LENGTHS)
    neuron_map = locate(model)
    everything = np.concatenate(saved_activations(model, neuron_map, found, "gate")).astype(np.float32)
    recorder = Recorder(model, neuron_map, [("quantile_sketch", "gate")], RecordingOptions(batch_tokens=10**6))
    parts = [recorder.record_shard("en", part)["gate"] for part in shards_of(found, 3)]
    got = merge(parts)
    lower, upper = sketch.edges()
    for neuron in range(0, got.size, 7):
        values = np.sort(everything[:, neuron])
        count = got.get("quantile_sketch", "count", "en")[neuron]
        held = np.repeat(np.arange(sketch.SIZE), count)
        assert len(held) == len(values)
        if dtype == torch.float32:
            assert ((lower[held] <= values + 1e-6) & (values - 1e-6 <= upper[held])).all()
    if dtype == torch.float32:
        np.testing.assert_allclose(got.get("quantile_sketch", "most", "en"), everything.max(0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(got.get("quantile_sketch", "least", "en"), everything.min(0), rtol=1e-4, atol=1e-6)
