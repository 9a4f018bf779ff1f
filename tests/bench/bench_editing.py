"""Tokens per second of an edited model, side by side with the unedited one: edits folded into weights, and as hooks.

    python tests/bench/bench_editing.py [--model FOLDER] [--rounds 9] [--rows 4] [--length 256] [--share 0.01]

Every kind is `model(x)` with its LM head, as evaluation runs it; a share of every layer's neurons is switched off
(`zero`) or held at a constant (`constant`). Going in and out of an edit, once per evaluation, is timed apart.
"""

import argparse
import statistics
from functools import partial

import torch
from history import keep
from interleaved import Clock, measure, named, table
from llamas import add_options, batch_of, chosen_model, conditions, documents

from nharness.models import Edit, apply_edits, locate
from nharness.models.edit import Backend


def edits_of(neuron_map, share, shift):
    """Return one edit a layer, of a random `share` of its neurons."""
    draw = torch.Generator().manual_seed(0)
    chosen = [
        torch.randperm(width, generator=draw)[: max(1, round(share * width))] for width in neuron_map.layer_widths
    ]
    return [Edit.affine(layer, units, scale=0.0, shift=shift) for layer, units in enumerate(chosen)]


def compare(model, rows, length, rounds, share=0.01):
    """Return the seconds and ratios of all kinds, and by kind the median seconds of going in and out."""
    neuron_map = locate(model)
    tokens, clock = batch_of(documents(model.config, rows, length), model.device), Clock(model.device)
    forward = torch.inference_mode()(lambda: model(tokens, use_cache=False))
    backends: tuple[Backend, ...] = ("fold", "hook")
    edits = {
        f"{what}, {backend}": (edits_of(neuron_map, share, shift), backend)
        for what, shift in (("zero", 0.0), ("constant", -0.5))
        for backend in backends
    }

    def inside(name):
        return apply_edits(model, neuron_map, edits[name][0], backend=edits[name][1])

    def in_and_out(name):
        with inside(name):
            pass

    seconds, ratios = measure(clock, ("unedited", forward), dict.fromkeys(edits, forward), rounds, inside)
    around = {name: statistics.median(clock.seconds(partial(in_and_out, name)) for _ in range(3)) for name in edits}
    return seconds, ratios, around


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--share", type=float, default=0.01, help="of every layer's neurons (default 0.01)")
    args = parser.parse_args()
    model = chosen_model(args)
    seconds, ratios, around = compare(model, args.rows, args.length, args.rounds, args.share)
    print(f"{conditions(args, model)}, {args.share:.0%} of the neurons, medians of {args.rounds} rounds\n")
    milliseconds = {"in and out, ms": lambda name, _rate: f"{1000 * around[name]:.0f}" if name in around else ""}
    print("\n".join(table(args.rows * args.length, seconds, ratios, milliseconds)))
    keep(named("editing", "unedited", ratios))


if __name__ == "__main__":
    main()
