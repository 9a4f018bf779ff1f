"""Our scoring of lm-eval's likelihoods: the same numbers as lm-eval's own path, fewer tokens, and none where it cannot."""

import json

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from narrowing import present
from nharness.errors import CellError
from nharness.evaluation.likelihood import likelihoods_for
from nharness.evaluation.lm_eval_bridge import LmEvalBridge
from nharness.evaluation.task_loading import TaskLoader
from nharness.models import Edit, apply_edits, locate
from nharness.models.streams import Streams
from nharness.task import expand_tasks
from nharness_tasks.families.table import own_families

from .conftest import byte_tokenizer, llama

COMMON = """dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
metadata: {{version: 1.0}}
"""
KINDS = {
    "choices": """task: choices
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: choices
doc_to_target: label
metric_list: [{metric: acc, aggregation: mean}, {metric: acc_norm, aggregation: mean}, {metric: acc_mutual_info, aggregation: mean}]
""",
    "contexts": """task: contexts
output_type: multiple_choice
doc_to_text: label
doc_to_choice: choices
doc_to_target: "so it is"
metric_list: [{metric: acc, aggregation: mean}]
""",
    "last": """task: last
output_type: loglikelihood
doc_to_text: "{{q}}"
doc_to_target: " {{choices[0]}}"
metric_list: [{metric: acc, aggregation: mean}]
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("likelihood")
    rows = [
        {
            "q": "Where is the cat?" * (1 + 9 * (n == 3)),
            "choices": [f"on mat {n * n}", "away", f"in the {n} box"],
            "label": n % 3,
        }
        for n in range(6)
    ]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for name, text in KINDS.items():
        (place / f"{name}.yaml").write_text(text + COMMON.format(data=place / "rows.jsonl"), encoding="utf-8")
    return place


def gpt2():
    torch.manual_seed(1)
    return GPT2LMHeadModel(GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=4, n_positions=96)).eval()


def bloom():
    torch.manual_seed(1)
    return BloomForCausalLM(BloomConfig(vocab_size=258, hidden_size=32, n_layer=2, n_head=4)).eval()


def measured(model, spec, loader, *, ours):
    bridge = LmEvalBridge(model, byte_tokenizer(), loader=loader)
    bridge._lm.likelihoods = ours
    return bridge.measure(spec)


def same(mine, theirs):
    assert [item.id for item in mine.items] == [item.id for item in theirs.items]
    for one, other in zip(mine.items, theirs.items, strict=True):
        assert one.values == pytest.approx(other.values, rel=1e-5, abs=1e-4)
        for name in ("acc", "acc_norm", "acc_mutual_info", "truncated"):
            assert one.values.get(name) == other.values.get(name)
    assert (mine.settings["scorer"], theirs.settings["scorer"]) == ("nharness", "lm-eval")


@pytest.mark.parametrize("made", [llama, gpt2, bloom])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_lm_evals_own_path(folder, monkeypatch, tmp_path, made, kind):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    (spec,), _ = expand_tasks(f"lm-eval:{kind}[en]", [], {})
    loader = TaskLoader(include_path=[str(folder)])
    spec = loader.settle(spec)
    same(*(measured(made(), spec, loader, ours=ours) for ours in (True, False)))


@pytest.mark.parametrize("family", ["continuation", "translation_choice"])
def test_so_are_those_of_our_own_families_from_fewer_tokens(family):
    loader = TaskLoader()
    (spec,), _ = expand_tasks(f"{family}[de]", [], {each.name: each for each in own_families()})
    model = llama(max_position_embeddings=2048)
    mine, theirs = (measured(model, spec.with_options(limit=3), loader, ours=ours) for ours in (True, False))
    same(mine, theirs)
    assert mine.tokens < 0.9 * theirs.tokens


def test_a_continuation_longer_than_the_context_is_refused():
    found = present(likelihoods_for(llama()))
    assert found.shared is True
    assert len(found.score([([1, 2], [3] * 64), ([1], [4])], longest=64, rows=8)) == 2
    for continuation in ([3] * 65, []):
        with pytest.raises(CellError, match="tokens; expected 1 to the 64 of the context"):
            found.score([([1, 2], continuation)], longest=64, rows=8)


def test_what_cannot_share_a_context_does_not_and_an_odd_head_is_left_to_lm_eval():
    torch.manual_seed(0)
    mamba = MambaForCausalLM(MambaConfig(vocab_size=258, hidden_size=32, num_hidden_layers=2, state_size=4)).eval()
    found = likelihoods_for(mamba)
    assert found is not None
    assert found.shared is False

    class Odd(LlamaForCausalLM):
        def forward(self, *args, **kwargs):
            out = super().forward(*args, **kwargs)
            out.logits = out.logits.flip(-1)
            return out

    odd = llama()
    odd.__class__ = Odd
    assert likelihoods_for(odd) is None


def test_little_of_what_is_read_is_padding_however_lengths_differ():
    found = present(likelihoods_for(llama(max_position_embeddings=512)))
    contexts = [list(range(1, 1 + length)) for length in (10, 11, 12, 13, 180, 190, 200, 210)]
    asked = [(context, [7] * length) for context in contexts for length in (1, 2, 90, 100)]
    alone = [((3 + n,), [5] * (4 if n % 2 else 120)) for n in range(12)]
    asked += [(list(context), continuation) for context, continuation in alone]
    needed = sum(len(context) - 1 for context in contexts) + sum(len(continuation) for _, continuation in asked)
    before = found.tokens
    together = found.score(asked, longest=512, rows=8)
    assert found.tokens - before < 1.25 * needed
    apart = [found.score([pair], longest=512, rows=8)[0] for pair in asked]
    for (one, hit), (other, same_hit) in zip(together, apart, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
        assert hit == same_hit


def test_rows_that_may_not_share_a_pass_do_not(monkeypatch):
    found = present(likelihoods_for(llama()))
    read = []
    trunk = found.head.trunk.forward

    def watched(**given):
        read.append(given)
        return trunk(**given)

    monkeypatch.setattr(found.head.trunk, "forward", watched)
    found.score([([n], [5, 6, 7]) for n in range(1, 6)], longest=64, rows=1)
    assert [len(torch.unique(each["input_ids"], dim=0)) for each in read] == [1] * 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_edits_that_begin_late_answers_are_the_same_bits(dtype):
    """Layers before the first edited one are left out, of rows on their own and of what goes on from a cache."""
    model = llama(max_position_embeddings=256).to(dtype)
    neuron_map, streams = locate(model), Streams(model)
    late, whole = present(likelihoods_for(model, streams)), present(likelihoods_for(model, Streams(model, most=0)))
    contexts = [list(range(1, 1 + length)) for length in (1, 2, 12, 30)]
    asked = [(context, [7 + n] * n) for context in contexts for n in (1, 3, 9)]
    last = neuron_map.layers[-1].index
    for units in ([0, 1], [2], [3, 4]):
        with apply_edits(model, neuron_map, [Edit.zero(last, units)]) as report:
            counts = []
            answers = []
            for scoring in (late, whole):
                before = report.edited_activations
                answers.append(scoring.score(asked, longest=256, rows=8))
                counts.append(report.edited_activations - before)
        assert answers[0] == answers[1]
        assert counts[0] == counts[1]
    assert {start.going_on for start, works in streams._works.items() if works} == {True, False}
    assert streams.inside > 0
