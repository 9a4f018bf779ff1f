"""`nharness run --controls 0` against the steps of the published LAPE pipeline, written afresh with plain transformers.

    python tests/bench/bench_pipeline.py [--model smollm2] [--languages en,zh] [--rounds 2] [--dtype float32]

The steps (docs/speed.md): texts are tokenised, put one after the other and cut into rows of `--length` tokens; the whole
model is run once over them with a hook on every activation function that counts values above zero; LAPE on the counts;
then the mean NLL of every language, unedited and with each language's neurons set to zero by hooks, `--rows` rows at a
time. Both sides read as many tokens, of the same corpus, with the same weights, number type and number of cells. Each
round starts a process of each, in turn; seconds are those of the process, from where the model is loaded. A ratio
above 1 says that nharness is faster: tokens of the text a second in recording and evaluation (what nharness reads beside
it, for its noise floor, is in its seconds), and both sides' seconds for the whole.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from history import keep
from torch import nn

from nharness.corpora import load_corpus
from nharness.events import StageFinished, StageStarted
from nharness.models import load_model
from nharness.neurons import load as load_neurons
from nharness.plugins import Plugins
from nharness.run.line import run
from nharness.run.plan.request import RunRequest
from nharness.spec import ControlSpec, CorpusSpec, ModelSpec, Named, RunSpec

TOP = 0.05  # of the neurons, those of lowest entropy
FILTER = 0.95  # a neuron's largest probability is above this quantile of all, and a language's own above it too
STAGES = ("recording", "evaluation", "whole")
SIDES = ("ours", "theirs")


class Clock:
    """Seconds of the process between marks."""

    def __init__(self):
        self.seconds, self._last = {}, time.process_time()

    def mark(self, stage):
        """Give what passed since the last mark to a stage."""
        now = time.process_time()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def loaded(asked, plugins):
    named = {name: plugins.resolve("models", name) for name in plugins.entries("models")}
    return load_model(asked.model, {}, device="cpu", dtype=asked.dtype, named=named)


def rows_of(tokenizer, documents, tokens, length):
    """Return texts as rows int64 [rows, length], cut from one stream of `tokens` tokens."""
    stream = []
    for document in documents:
        stream += tokenizer(document.text, add_special_tokens=False)["input_ids"]
        if len(stream) >= tokens:
            break
    whole = min(tokens, len(stream)) // length
    return torch.tensor(stream[: whole * length]).reshape(whole, length)


def activations(model):
    """Return the activation function of every layer's feed-forward block."""
    return [layer.mlp.act_fn for layer in model.model.layers]


@contextmanager
def hooked(modules, hook_of):
    handles = [module.register_forward_hook(hook_of(layer)) for layer, module in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def counted(model, ids, rows):
    """Return how often each activation is above zero over rows of tokens, int64 [layers, neurons]."""
    config = model.config
    counts = torch.zeros(config.num_hidden_layers, config.intermediate_size, dtype=torch.int64)

    def count(layer):
        def after(_module, _args, values):
            counts[layer] += (values > 0).sum(dim=(0, 1))

        return after

    with hooked(activations(model), count):
        for some in ids.split(rows):
            model(some)
    return counts


def lape(probabilities):
    """Return each language's neurons, bool [languages, layers, neurons], of probabilities of that shape."""
    shares = probabilities / probabilities.sum(0).clamp_min(1e-12)
    entropy = -(shares * shares.clamp_min(1e-12).log()).sum(0)
    bar = probabilities.flatten().kthvalue(round(probabilities.numel() * FILTER)).values
    entropy[(probabilities <= bar).all(0)] = torch.inf
    lowest = entropy.flatten().kthvalue(round(entropy.numel() * TOP)).values
    return (entropy <= lowest) & (probabilities > bar)


def mean_nll(model, ids, rows):
    """Return the mean NLL of the tokens but the first of each row, in nats."""
    total, count = 0.0, 0
    for some in ids.split(rows):
        logits = model(some).logits[:, :-1].float()
        wanted = some[:, 1:].reshape(-1)
        total += float(nn.functional.cross_entropy(logits.flatten(0, 1), wanted, reduction="sum"))
        count += len(wanted)
    return total / count


def switched_off(model, neurons):
    """Let each layer's activations be zero at `neurons`, bool [layers, neurons]."""
    places = [layer.nonzero()[:, 0] for layer in neurons]

    def silence(layer):
        return lambda _module, _args, values: values.index_fill_(2, places[layer], 0)

    return hooked(activations(model), silence)


@torch.no_grad()
def theirs(asked):
    """Run the pipeline; return the seconds and the tokens of each stage, and the neurons of each language."""
    clock, plugins = Clock(), Plugins()
    model, tokenizer = (found := loaded(asked, plugins)).model, found.tokenizer
    corpus = load_corpus("sample", named={"sample": plugins.resolve("corpora", "sample")})
    clock.mark("loading")
    train = [
        rows_of(tokenizer, corpus.documents(tag, "detect"), asked.detect_tokens, asked.length) for tag in asked.tags
    ]
    probabilities = torch.stack([counted(model, ids, asked.rows) / ids.numel() for ids in train])
    clock.mark("recording")
    neurons = lape(probabilities)
    clock.mark("detection")
    texts = [rows_of(tokenizer, corpus.documents(tag, "eval"), asked.eval_tokens, asked.length) for tag in asked.tags]
    for mine in (torch.zeros_like(neurons[0]), *neurons):
        with switched_off(model, mine):
            for ids in texts:
                mean_nll(model, ids, asked.rows)
    clock.mark("evaluation")
    tokens = {"recording": sum(ids.numel() for ids in train), "evaluation": sum(ids.numel() for ids in texts)}
    return clock.seconds, tokens, [mine.flatten().nonzero()[:, 0].tolist() for mine in neurons]


def ours(asked):
    """Run `nharness run --controls 0`; return the same."""
    spec = RunSpec(
        model=ModelSpec(name=asked.model, dtype=asked.dtype, device="cpu"),
        corpus=CorpusSpec(detect_tokens=asked.detect_tokens, eval_tokens=asked.eval_tokens),
        languages=asked.tags,
        detectors=(Named(name="lape"),),
        tasks=("ppl",),
        controls=ControlSpec(draws=0),
    )
    clock = Clock()

    def listen(event):
        if isinstance(event, StageStarted):
            clock.mark("between")
        elif isinstance(event, StageFinished):
            clock.mark({"record": "recording", "evaluate": "evaluation"}.get(event.stage, event.stage))

    with tempfile.TemporaryDirectory() as folder:
        result = run(RunRequest(spec, Path(folder) / "run"), Plugins(), listen=listen)
        clock.mark("between")
        ((path, record),) = result.records.items()
        detection = load_neurons(path.parent / "neurons.safetensors")
    read = record.corpus.splits
    tokens = {
        stage: sum(part.tokens for part in read if part.split == split)
        for stage, split in (("recording", "detect"), ("evaluation", "eval"))
    }
    return clock.seconds, tokens, [detection.flat(tag).tolist() for tag in asked.tags]


def child(side, arguments):
    """Run one side in a process of its own; return the tokens a second of its stages, its seconds, its neurons."""
    program = [sys.executable, __file__, "--side", side, *arguments]
    done = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True)
    seconds, tokens, neurons = json.loads(done.stdout.splitlines()[-1])
    rates = {stage: tokens[stage] / seconds[stage] for stage in tokens}
    return {**rates, "whole": 1 / sum(seconds.values())}, seconds, neurons


def in_common(found, others):
    """Return the share of neurons that both sides found, of those that either found."""
    both, either = 0, 0
    for mine, theirs in zip(found, others, strict=True):
        both, either = both + len({*mine} & {*theirs}), either + len({*mine} | {*theirs})
    return both / max(either, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", choices=SIDES, help="run this side alone, here, and print what it took as JSON")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--languages", default="en,zh")
    parser.add_argument("--detect-tokens", type=int, default=4096, help="of each language, a multiple of --length")
    parser.add_argument("--eval-tokens", type=int, default=2048, help="of each language, a multiple of --length")
    parser.add_argument("--length", type=int, default=512, help="of the pipeline's rows; of our longest window")
    parser.add_argument("--rows", type=int, default=1, help="of a forward pass of the pipeline")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    asked.tags = tuple(asked.languages.split(","))
    torch.set_num_threads(1)
    if asked.side:
        print(json.dumps({"ours": ours, "theirs": theirs}[asked.side](asked)))
        return
    rounds = []
    for number in range(asked.rounds):
        order = SIDES if number % 2 == 0 else SIDES[::-1]
        made = {side: child(side, sys.argv[1:]) for side in order}
        rounds.append({stage: made["ours"][0][stage] / made["theirs"][0][stage] for stage in STAGES})
        spent = {side: {stage: round(value, 1) for stage, value in made[side][1].items()} for side in SIDES}
        print(f"seconds: {spent}; neurons in common: {in_common(made['ours'][2], made['theirs'][2]):.0%}", flush=True)
    print("\n| stage | nharness / pipeline | range |\n|---|---|---|")
    ratios = {stage: [each[stage] for each in rounds] for stage in STAGES}
    for stage, found in ratios.items():
        print(f"| {stage} | **{statistics.median(found):.3f}** | {min(found):.3f}-{max(found):.3f} |")
    keep({f"pipeline: {stage}": statistics.median(found) for stage, found in ratios.items()})


if __name__ == "__main__":
    main()
