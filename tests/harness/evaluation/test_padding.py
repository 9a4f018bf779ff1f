"""Edited activations are of tokens that are text: what is padded, and how text is batched, changes no count."""

from functools import partial

import pytest
import torch

from narrowing import present
from nharness.corpora import Document
from nharness.evaluation.decoding import Decoding
from nharness.evaluation.generation import Prompt, generate
from nharness.evaluation.likelihood import likelihoods_for
from nharness.evaluation.lm_eval_model import ObservedModel
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.quiet import quiet
from nharness.evaluation.windows import WindowPolicy, windows
from nharness.models import Edit, apply_edits, locate
from nharness.models.padding import only_text, only_text_written, within
from nharness.testing import tiny_model

from .conftest import byte_tokenizer, llama

LENGTHS = (3, 19, 7, 30, 1, 12)


def counted(model, run, *, backend="auto", units=5, scale=0.0):
    """Return how many activations a run edits, by edits of so many units of every layer."""
    neuron_map = locate(model)
    edits = [Edit.affine(layer.index, torch.arange(units), scale=scale, shift=0.0) for layer in neuron_map.layers]
    with apply_edits(model, neuron_map, edits, backend=backend) as report:
        run(model)
    return report.edited_activations


@pytest.mark.parametrize("backend", ["hook", "fold"])
def test_documents_count_their_tokens_whatever_the_batch(backend, tokenizer):
    model = llama()
    engine = PerplexityEngine(model, tokenizer, policy=WindowPolicy(window=16, stride=8, prefix=0))
    documents = [Document(f"d{n}", "ab " * length) for n, length in enumerate(LENGTHS)]
    encoded = engine.encode(documents, language="en")
    read = sum(len(window.tokens) - 1 for document in encoded for window in windows(document, engine.policy))
    for batch_tokens in (1, 40, 10_000):
        found = counted(model, lambda _, size=batch_tokens: engine.score(encoded, batch_tokens=size), backend=backend)
        assert found == 5 * read * model.config.num_hidden_layers


@pytest.mark.parametrize("backend", ["hook", "fold"])
@pytest.mark.parametrize("model_type", ["mixtral", "gpt_oss", "llama4_text"])
def test_experts_count_the_tokens_they_are_sent(model_type, backend):
    model = tiny_model(model_type)
    rows = [torch.randint(3, 90, (length,), generator=torch.Generator().manual_seed(length)) for length in (4, 11, 7)]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def padded(model):
        with torch.no_grad(), only_text(within(torch.tensor([len(row) for row in rows]), ids.shape[1])):
            model(input_ids=ids, use_cache=False)

    def alone(model):
        with torch.no_grad():
            for row in rows:
                model(input_ids=row[None], use_cache=False)

    units = locate(model).layers[0].width
    assert counted(model, padded, backend=backend, units=units) == counted(model, alone, backend=backend, units=units)


@pytest.mark.parametrize("shared", [True, False])
def test_continuations_count_their_tokens_whatever_the_batch(shared):
    model = tiny_model("llama")
    made = present(likelihoods_for(model))
    made.shared = shared
    contexts = [list(range(3, 3 + length)) for length in (12, 20, 9)]
    asked = [(context, list(range(40, 40 + n))) for context in contexts for n in (1, 6, 3)]
    found = {rows: counted(model, lambda _, n=rows: made.score(asked, longest=64, rows=n)) for rows in (1, 100)}
    read = [len(context) + len(continuation) - 1 for context, continuation in asked]
    repeated = sum(2 * (len(context) - 1) for context in contexts) if shared else 0
    assert set(found.values()) == {5 * (sum(read) - repeated) * model.config.num_hidden_layers}


def test_continuations_that_lm_eval_scores_itself_count_so_too(tokenizer):
    model = llama()
    asked = [(("", ""), [4, 0, 7, 9][:n], [11, 0, 5][: 1 + n % 3]) for n in (1, 4, 2, 3)]
    found = set()
    for size in (1, 4):
        with quiet():
            lm = ObservedModel(
                pretrained=model,
                tokenizer=tokenizer,
                batch_size=size,
                max_length=32,
                likelihoods=False,
                logits_cache=False,
            )
        found.add(counted(model, lambda _, lm=lm: lm._loglikelihood_tokens(asked, disable_tqdm=True)))
    assert found == {5 * sum(len(c) + len(t) - 1 for _, c, t in asked) * model.config.num_hidden_layers}


def test_outputs_count_their_tokens_to_the_end_mark_whatever_the_batch():
    model, tokenizer, decoding = llama(), byte_tokenizer(), Decoding(max_new_tokens=12)
    prompts = [Prompt(f"p{n}", "", torch.randint(3, 90, (n,)).numpy()) for n in (2, 9, 5, 1)]
    first = generate(model, tokenizer, prompts, decoding=decoding)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(int(first[1].tokens[4]))
    written = generate(model, tokenizer, prompts, decoding=decoding)
    assert {len(each.tokens) < 12 for each in written} == {True, False}
    read = sum(len(each.prompt) + min(len(each.tokens), 11) for each in written)
    for size in (1, 4):
        run = partial(generate, tokenizer=tokenizer, prompts=prompts, decoding=decoding, batch_size=size)
        assert counted(model, run, scale=1.0) == 5 * read * model.config.num_hidden_layers


def test_a_model_that_reads_all_of_it_anew_counts_text_alone():
    model, mask = llama(), torch.tensor([[0, 0, 1], [1, 1, 1]])
    ids = torch.tensor([[3, 3, 4, 9, 7, 7], [5, 6, 7, 8, 11, 9]])

    def run(model):
        with torch.no_grad(), only_text_written(model, mask, (9,)):
            for length in (3, 4, 5, 6):
                model(input_ids=ids[:, :length], use_cache=False)

    assert counted(model, run) == 5 * 2 * ((1 + 3) + (1 + 4) + (1 + 5) + (1 + 5))
