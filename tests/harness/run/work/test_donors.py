"""Drawn values against a forward pass with plain torch hooks, on the embedded model and made-up corpora."""

import math

import numpy as np
import pytest
import torch

from nharness.corpora import Corpus, Document, EncodedDocument
from nharness.errors import CellError
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import WindowPolicy, default_policy
from nharness.intervention import Change
from nharness.models import apply_edits, load_model, locate, observe
from nharness.plugins import Plugins
from nharness.run.work.donors import DonorText, donor_edits, donor_values
from nharness.testing import tiny_model

ENGLISH = [
    "The menu shows all open windows.",
    "Click the cell that you want to change, then press Enter.",
    "Save the file.",
]
GERMAN = [
    "Das Menü zeigt alle offenen Fenster.",
    "Klicken Sie in die Zelle, die Sie ändern möchten.",
    "Datei speichern und schließen.",
]
FLAT = np.array([3, 40, 1700, 1701, 6000])


@pytest.fixture(scope="module")
def loaded():
    plugins = Plugins()
    named = {name: plugins.resolve("models", name) for name in plugins.entries("models")}
    return load_model("babel", dtype="float32", device="cpu", named=named)


@pytest.fixture(params=[None, 6], ids=["whole", "windows"])
def engine(request, loaded):
    policy = default_policy(loaded.model, loaded.tokenizer)
    if request.param:
        policy = WindowPolicy(window=request.param, stride=request.param - 2, prefix=policy.prefix)
    return PerplexityEngine(loaded.model, loaded.tokenizer, policy=policy)


def make_corpus(**texts):
    def reader(rows):
        return lambda: [Document(f"d{i}", text) for i, text in enumerate(rows)]

    by_language = {tag: reader(rows) for tag, rows in texts.items()}
    return Corpus("made-up", {"detect": by_language, "eval": by_language})


def donor_text(engine, corpus):
    return DonorText(engine, corpus, lambda tag: engine.encode(corpus.documents(tag, "eval"), language=tag))


def change(draw, donors, flat=FLAT, seed=0):
    nothing = np.zeros(len(flat), dtype=np.float32)
    return Change("hidden", flat, nothing, nothing, draw, donors, seed)


def scored(engine, neuron_map, text, changes, language):
    documents = text.evaluated(language)
    with (
        donor_edits(changes, neuron_map, text, [language]) as edits,
        apply_edits(engine.model, neuron_map, edits) as report,
    ):
        items = engine.score(documents)
    return [item.values["nll"] for item in items], report.edited_activations


def test_patching_with_the_same_text_changes_nothing(engine, loaded):
    neuron_map = locate(loaded.model)
    text = donor_text(engine, make_corpus(en=ENGLISH, de=ENGLISH))
    plain = [item.values["nll"] for item in engine.score(text.evaluated("en"))]
    everything = np.arange(sum(neuron_map.layer_widths))
    if engine.policy.window < 100:
        pytest.skip("where windows overlap, a token was read with other context")
    patched, edited = scored(engine, neuron_map, text, [change("patch", ("de",), everything)], "en")
    assert patched == pytest.approx(plain, abs=1e-3)
    assert edited > 0


def test_patch_equals_plain_hooks_on_single_documents(loaded):
    engine = PerplexityEngine(loaded.model, loaded.tokenizer)
    neuron_map = locate(loaded.model)
    text = donor_text(engine, make_corpus(en=ENGLISH, de=GERMAN))
    found, _ = scored(engine, neuron_map, text, [change("patch", ("de",))], "en")
    starts = np.cumsum([0, *neuron_map.layer_widths])
    by_layer = {layer: FLAT[(starts[layer] <= FLAT) & (starts[layer + 1] > FLAT)] - starts[layer] for layer in range(4)}
    for place, pair in enumerate(zip(ENGLISH, GERMAN, strict=True)):
        own, other = (with_prefix(engine, loaded, each) for each in pair)
        assert found[place] == pytest.approx(patched_by_hand(loaded.model, own, other, by_layer), rel=1e-5)


def patched_by_hand(model, own, other, by_layer):
    said = {}
    with hooks(model, lambda layer, value: said.__setitem__(layer, value[0].clone())):
        model(other[None, :-1])
    last = len(own) - 2, len(other) - 2
    where = [math.floor(t * last[1] / last[0] + 0.5) for t in range(last[0] + 1)]

    def put(layer, value):
        units = torch.from_numpy(by_layer[layer])
        value[0][:, units] = said[layer][where][:, units]

    with torch.no_grad(), hooks(model, put):
        logits = model(own[None, :-1]).logits[0].double()
    return float(-logits.log_softmax(-1)[torch.arange(len(own) - 1), own[1:]].sum())


def with_prefix(engine, loaded, text):
    ids = loaded.tokenizer(text, add_special_tokens=False).input_ids
    return torch.tensor([engine.policy.prefix, *ids])


class hooks:
    """Plain forward pre-hooks on every down projection, in layer order."""

    def __init__(self, model, act):
        self.model, self.act = model, act

    def __enter__(self):
        def hook(layer):
            def changed(module, args):
                value = args[0].clone()
                self.act(layer, value)
                return (value,)

            return changed

        layers = self.model.model.layers
        self.handles = [layer.mlp.down_proj.register_forward_pre_hook(hook(i)) for i, layer in enumerate(layers)]

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()


def test_resample_puts_in_one_donor_token_for_all_layers(engine, loaded):
    neuron_map = locate(loaded.model)
    text = donor_text(engine, make_corpus(en=ENGLISH, de=GERMAN))
    resample = change("resample", ("de",))
    bank = donor_values(
        engine, neuron_map, resample, text.engine.encode(text.corpus.documents("de", "detect"), language="de")
    )
    starts = np.cumsum([0, *neuron_map.layer_widths])
    layer_of = np.searchsorted(starts, FLAT, side="right") - 1
    seen = {}
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, 200, (3, 7)))
    with (
        donor_edits([resample], neuron_map, text, ["en"]) as edits,
        apply_edits(loaded.model, neuron_map, edits),
        torch.no_grad(),
    ):
        loaded.model(ids)  # another pass before, which must not matter
        with hooks(
            loaded.model, lambda layer, value: seen.__setitem__(layer, value.reshape(-1, value.shape[-1]).clone())
        ):
            loaded.model(ids)
        first = torch.stack(
            [seen[layer][:, unit - starts[layer]] for layer, unit in zip(layer_of, FLAT, strict=True)], dim=1
        )
    rows = [int((bank - row).abs().sum(dim=1).argmin()) for row in first]
    assert torch.equal(bank[rows], first)
    assert len(set(rows)) > 5


def test_resample_does_not_depend_on_what_ran_before(engine, loaded):
    neuron_map = locate(loaded.model)
    text = donor_text(engine, make_corpus(en=ENGLISH, de=GERMAN))
    first, _ = scored(engine, neuron_map, text, [change("resample", ("de",))], "en")
    scored(engine, neuron_map, text, [change("resample", ("de",))], "de")
    again, _ = scored(engine, neuron_map, text, [change("resample", ("de",))], "en")
    other, _ = scored(engine, neuron_map, text, [change("resample", ("de",), seed=1)], "en")
    assert first == again
    assert first != other


def test_donor_values_are_what_the_model_says(engine, loaded):
    neuron_map = locate(loaded.model)
    text = donor_text(engine, make_corpus(en=ENGLISH, de=GERMAN))
    documents = text.evaluated("de")
    bank = donor_values(engine, neuron_map, change("patch", ("de",)), documents)
    if engine.policy.window < 100:
        assert len(bank) == sum(len(document.tokens) for document in documents)
        return
    rows = []
    starts = np.cumsum([0, *neuron_map.layer_widths])
    for german in GERMAN:
        seen = hidden_of(loaded.model, neuron_map, with_prefix(engine, loaded, german)[None, :-1])
        layers = np.searchsorted(starts, FLAT, side="right") - 1
        rows.append(
            torch.stack([seen[layer][:, unit - starts[layer]] for layer, unit in zip(layers, FLAT, strict=True)], dim=1)
        )
    assert torch.allclose(bank, torch.cat(rows), atol=1e-4)


def hidden_of(model, neuron_map, ids):
    seen = {}
    with observe(model, neuron_map, ["hidden"], lambda o: seen.__setitem__(o.layer, o.values.clone())), torch.no_grad():
        model(ids)
    return seen


def test_the_donor_is_never_the_evaluated_language(loaded):
    engine = PerplexityEngine(loaded.model, loaded.tokenizer)
    neuron_map = locate(loaded.model)
    text = donor_text(engine, make_corpus(en=ENGLISH, de=GERMAN, fr=ENGLISH[::-1]))
    plain = [item.values["nll"] for item in engine.score(text.evaluated("de"))]
    patched, _ = scored(engine, neuron_map, text, [change("patch", ("de", "en"))], "de")
    assert patched != pytest.approx(plain, abs=1e-4)
    with pytest.raises(CellError, match="needs another language than 'de'"):
        scored(engine, neuron_map, text, [change("patch", ("de",))], "de")


def test_text_without_a_parallel_is_refused(loaded):
    engine = PerplexityEngine(loaded.model, loaded.tokenizer)
    neuron_map = locate(loaded.model)
    text = donor_text(engine, make_corpus(en=ENGLISH, de=GERMAN[:2]))
    with pytest.raises(CellError, match=r"document 'd2' \(en\) has no parallel one in 'de'"):
        scored(engine, neuron_map, text, [change("patch", ("de",))], "en")
    assert scored(engine, neuron_map, text, [change("patch", ("en",))], "de")[1] > 0  # all of these have one
    parallel = donor_text(engine, make_corpus(en=ENGLISH, de=GERMAN))
    edits = donor_edits([change("patch", ("de",))], neuron_map, parallel, ["en"])
    with (
        pytest.raises(CellError, match="this is not one"),
        edits as found,
        apply_edits(loaded.model, neuron_map, found),
    ):
        loaded.model(torch.arange(5, 15)[None])


def test_hooks_are_gone_afterwards_whatever_happened(loaded):
    engine = PerplexityEngine(loaded.model, loaded.tokenizer)
    neuron_map = locate(loaded.model)
    text = donor_text(engine, make_corpus(en=ENGLISH, de=GERMAN))
    embeddings = loaded.model.get_input_embeddings()
    during = []

    def fail():
        with donor_edits([change("resample", ("de",))], neuron_map, text, ["en"]):
            during.append(len(embeddings._forward_pre_hooks))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert during == [1]
    assert not embeddings._forward_pre_hooks


def test_an_expert_says_nothing_at_a_token_that_was_not_sent_to_it():
    model = tiny_model("mixtral")
    neuron_map = locate(model)
    engine = PerplexityEngine(model, None, policy=WindowPolicy(window=64, stride=64, prefix=1), batch_tokens=40)
    random = np.random.default_rng(0)
    documents = [EncodedDocument(f"d{n}", "en", "", 0, random.integers(2, 90, n), 0, n, 0) for n in (9, 14, 5)]
    everything = np.arange(sum(neuron_map.layer_widths))
    bank = donor_values(engine, neuron_map, change("resample", ("en",), everything), documents)
    starts = np.cumsum([0, *neuron_map.layer_widths])
    expected = []
    for document in documents:
        said = torch.zeros(len(document.tokens), len(everything))

        def keep(seen, said=said):
            first = starts[seen.layer] + seen.first_unit
            rows = torch.arange(len(said)) if seen.rows is None else seen.rows
            said[rows, first : first + seen.values.shape[1]] = seen.values

        ids = torch.from_numpy(np.concatenate([[1], document.tokens])[None, :-1])
        with torch.no_grad(), observe(model, neuron_map, ["hidden"], keep):
            model(ids)
        expected.append(said)
    assert torch.allclose(bank, torch.cat(expected), atol=1e-5)
    assert (bank == 0).float().mean() > 0.2  # neurons of experts that a token was not sent to
