"""What a run spends its time on, one piece of work at a time: the process that `compare_commits.py` starts for a commit.

It reads names of workloads from standard input, a line each, runs the named one, and answers with the CPU seconds that
it took. Only what both commits have may be used here.
"""

import sys
import time

import torch
from bench_editing import edits_of
from llamas import documents, random_llama

from nharness.evaluation.perplexity import PerplexityEngine
from nharness.evaluation.windows import WindowPolicy
from nharness.models import apply_edits, locate
from nharness.recording import Recorder, RecordingOptions

SHARE = 0.01  # of every layer's neurons
LIGHT = [("activation_count", "gate"), ("moments", "gate")]
ALL = [
    *LIGHT,
    ("histogram", "gate"),
    ("moments", "hidden"),
    ("document_mean", "hidden"),
    ("up_magnitude", "hidden"),
    ("output_change", "hidden"),
]


def recording(model, neuron_map, found, needs):
    """Return what records `needs` over `found`, which is one batch."""
    tokens = sum(len(part.tokens) for parts in found for part in parts)
    recorder = Recorder(model, neuron_map, needs, RecordingOptions(batch_tokens=tokens))
    recorder.prepare({"en": found})
    return lambda: recorder.record_shard("en", found)


def workloads(model, rows, length):
    """Return what can be timed, by name: a function without arguments."""
    neuron_map = locate(model)
    found = documents(model.config, rows, length)
    texts = [part for parts in found for part in parts]
    engine = PerplexityEngine(model, None, policy=WindowPolicy(window=length, stride=length, prefix=0))
    zero, constant = (edits_of(neuron_map, SHARE, shift) for shift in (0.0, -0.5))

    def scored(edits, backend):
        def run():
            with apply_edits(model, neuron_map, edits, backend=backend):
                engine.score(texts)

        return run

    return {
        "perplexity, intact": lambda: engine.score(texts),
        "perplexity, 1 % of the neurons off, folded": scored(zero, "fold"),
        "perplexity, 1 % of the neurons off, by hooks": scored(zero, "hook"),
        "perplexity, 1 % of the neurons constant, folded": scored(constant, "fold"),
        "perplexity, 1 % of the neurons constant, by hooks": scored(constant, "hook"),
        "recording, all statistics but attribution": recording(model, neuron_map, found, ALL),
    }


def main():
    size, rows, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    known = workloads(random_llama(size, torch.float32, "cpu"), rows, length)
    for run in known.values():
        run()  # once unmeasured: what is made on first use
    print("\t".join(known), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        known[line.strip()]()
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
