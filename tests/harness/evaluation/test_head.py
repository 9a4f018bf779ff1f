"""The head: the model's own logits in float64 as reference, whatever the architecture does after its trunk."""

import pytest
import torch
import transformers
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from narrowing import present
from nharness.evaluation.head import Head

from .conftest import SIZES as LLAMA

SIZES = {**LLAMA, "vocab_size": 300, "pad_token_id": 0}
ARCHITECTURES = {
    "llama": ("Llama", {}, "as they are"),
    "gemma2": ("Gemma2", {"final_logit_softcapping": 3.0, "head_dim": 8}, "as they are, capped at 3"),
    "cohere": ("Cohere", {"logit_scale": 0.25}, "times logit_scale"),
    "granite": ("Granite", {"logits_scaling": 4.0}, "over logits_scaling"),
    "phi, whose head has a bias": ("Phi", {}, "as they are"),
    "gpt_neox": ("GPTNeoX", {}, "as they are"),
}


def build(name, changes, dtype=torch.float32):
    torch.manual_seed(1)
    config = getattr(transformers, f"{name}Config")(**{**SIZES, **changes})
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval().to(dtype)
    output = model.get_output_embeddings()
    if output.bias is not None:
        nn.init.normal_(output.bias)
    return model


def batch(vocabulary=300, rows=3, length=21):
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(2, vocabulary, (rows, length + 1), generator=generator)
    counted = torch.rand(rows, length, generator=generator) > 0.3
    return ids[:, :-1], ids[:, 1:], counted


def reference(model, inputs, targets, counted):
    with torch.inference_mode():
        logits = model(input_ids=inputs, use_cache=False).logits.double()
    return -logits.log_softmax(-1).gather(2, targets[..., None])[..., 0][counted]


def nll(head, *given):
    with torch.inference_mode():
        return head.nll(*given).double()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_equals_the_models_own_logits(kind):
    name, changes, reading = ARCHITECTURES[kind]
    model = build(name, changes)
    head = Head(model, tile=(7, 64))
    assert head.linear
    assert present(head.reading).name == reading
    torch.testing.assert_close(nll(head, *batch()), reference(model, *batch()), rtol=1e-5, atol=1e-5)


def test_a_cap_is_seen_in_bfloat16_too_though_it_changes_little():
    model = build("Gemma2", {"final_logit_softcapping": 30.0, "head_dim": 8, "initializer_range": 0.02}, torch.bfloat16)
    assert present(Head(model).reading).name == "as they are, capped at 30"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Gemma2", {"final_logit_softcapping": 30.0, "head_dim": 8}),
        ("RecurrentGemma", {"logits_soft_cap": 30.0, "head_dim": 8, "lru_width": 32}),
    ],
)
def test_a_cap_is_read_whatever_the_configuration_calls_it(name, changes):
    model = build(name, {**changes, "initializer_range": 0.02}, torch.bfloat16)
    assert present(Head(model).reading).name == "as they are, capped at 30"


class Capped(transformers.LlamaForCausalLM):
    """A model that caps its logits and tells nobody."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = torch.tanh(output.logits / 30) * 30
        return output


def test_a_cap_that_nobody_tells_of_is_seen_on_small_logits_in_bfloat16():
    torch.manual_seed(0)
    model = Capped(transformers.LlamaConfig(**{**SIZES, "initializer_range": 0.05})).eval().bfloat16()
    head = Head(model, values=21 * 300)
    assert head.description == "the model's whole forward"
    model.lm_head.weight.data *= 60  # where it matters
    torch.testing.assert_close(nll(head, *batch()), reference(model, *batch()), rtol=2e-3, atol=2e-2)


class Shifted(transformers.LlamaForCausalLM):
    """A model whose forward does something to its logits that no configuration tells of."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * torch.linspace(0.5, 2, output.logits.shape[-1])
        return output


def test_a_forward_that_does_more_is_used_whole():
    torch.manual_seed(0)
    model = Shifted(transformers.LlamaConfig(**SIZES)).eval()
    head = Head(model, values=21 * 300)
    assert head.reading is None
    assert head.description == "the model's whole forward"
    torch.testing.assert_close(nll(head, *batch()), reference(model, *batch()), rtol=1e-5, atol=1e-5)


class Wrapped(nn.Module):
    """Stands for a quantised or adapted head: not a plain linear layer."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, hidden):
        return self.inner(hidden)


@pytest.mark.parametrize("how", ["wrapped", "hooked"])
def test_a_head_that_is_no_plain_linear_layer_is_called(how):
    model = build("Llama", {})
    if how == "wrapped":
        model.set_output_embeddings(Wrapped(model.lm_head))
    else:
        model.lm_head.register_forward_hook(lambda _module, _inputs, output: output + 0.25 * output.cos())
    head = Head(model, values=600)
    assert not head.linear
    assert "on a few tokens at a time" in head.description
    torch.testing.assert_close(nll(head, *batch()), reference(model, *batch()), rtol=1e-5, atol=1e-5)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation makes."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not result._is_view():
            self.values = max(self.values, result.numel())
        return result


@pytest.mark.parametrize("how", ["linear", "called"])
def test_memory_does_not_grow_with_the_vocabulary(how):
    vocabulary, length = 65_536, 200
    model = build("Llama", {"vocab_size": vocabulary, "tie_word_embeddings": True, "max_position_embeddings": 256})
    if how == "called":
        model.set_output_embeddings(Wrapped(model.lm_head))
    head = Head(model, tile=(64, 1024), values=4 * vocabulary)
    given = batch(vocabulary, rows=2, length=length)
    with Largest() as seen:
        nll(head, *given)
    bound = 4 * vocabulary if how == "called" else 64 * 1024
    assert seen.values <= bound
    with Largest() as whole:
        reference(model, *given)
    assert whole.values == 2 * length * vocabulary


def documented(rows, weight, targets, *, softcap=None, reduction="mean"):
    """What cut-cross-entropy documents that `linear_cross_entropy` computes, the whole logits at once."""
    logits = (rows @ weight.T).float()
    logits = logits if softcap is None else torch.tanh(logits / softcap) * softcap
    return nn.functional.cross_entropy(logits, targets, reduction=reduction)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "cohere", "granite"])
def test_a_fused_kernel_is_given_scale_cap_and_targets(kind):
    name, changes, _ = ARCHITECTURES[kind]
    model = build(name, changes)
    head = Head(model, kernel=documented)
    assert "fused with its cross-entropy" in head.description
    torch.testing.assert_close(nll(head, *batch()), reference(model, *batch()), rtol=1e-5, atol=1e-5)
    inputs, targets, counted = batch()
    assert nll(head, inputs, targets, counted & False).shape == (0,)


def test_a_fused_kernel_that_disagrees_or_cannot_be_right_is_not_used():
    model = build("Llama", {})
    assert Head(model, kernel=lambda *given, **options: documented(*given, **options) + 0.01).fused is None
    assert Head(build("Phi", {}), kernel=documented).fused is None  # a bias, which it does not take
    assert Head(model).fused is None  # on a CPU none is looked for


def test_the_installed_kernel_equals_the_tiles_on_cuda():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    pytest.importorskip("cut_cross_entropy")
    for kind in ("llama", "gemma2"):
        name, changes, _ = ARCHITECTURES[kind]
        model = build(name, {**changes, "vocab_size": 70_000}, torch.bfloat16).cuda()
        given = [part.cuda() for part in batch(70_000)]
        head = Head(model)
        assert head.fused is not None
        torch.testing.assert_close(nll(head, *given), reference(model, *given), rtol=2e-3, atol=2e-2)


def test_half_precision_logits_get_a_float32_softmax():
    model = build("Llama", {}, torch.bfloat16)
    ours = nll(Head(model, tile=(16, 50)), *batch())
    torch.testing.assert_close(ours, reference(model, *batch()), rtol=2e-3, atol=2e-2)


def test_nothing_counted_gives_nothing():
    inputs, targets, counted = batch()
    assert nll(Head(build("Llama", {})), inputs, targets, counted & False).shape == (0,)
