"""Tokens per second of edits that begin late: what the layers before the first edited one cost, and what is saved.

    python tests/bench/bench_late.py [--model FOLDER] [--rounds 7] [--rows 4] [--length 256] [--dtype bfloat16]

Every kind is the model with its LM head on one batch of text, 1 % of the neurons of one layer and of all behind it
switched off; the text has been read before, as it has from the second edit of a ladder on.
"""

import argparse

import torch
from history import keep
from interleaved import Clock, measure, named, table
from llamas import add_options, batch_of, chosen_model, conditions, documents

from nharness.models import Edit, apply_edits, locate
from nharness.models.streams import Streams


def edits_from(neuron_map, first):
    """Return edits of every layer from `first` on."""
    draw = torch.Generator().manual_seed(0)
    return [
        Edit.zero(layer.index, torch.randperm(layer.width, generator=draw)[: max(1, layer.width // 100)])
        for layer in neuron_map.layers[first:]
    ]


def compare(model, rows, length, rounds):
    """Return the seconds and ratios of edits that begin at the first layer, at thirds of the depth and at the last."""
    neuron_map, streams = locate(model), Streams(model)
    tokens, layers = batch_of(documents(model.config, rows, length), model.device), len(neuron_map.layers)
    places = {f"from layer {first} of {layers}": first for first in (0, layers // 3, 2 * layers // 3, layers - 1)}

    @torch.inference_mode()
    def forward(ids=tokens):
        return model(ids, use_cache=False).logits

    def inside(name):
        return apply_edits(model, neuron_map, edits_from(neuron_map, places[name]))

    def begun():
        return streams.run(tokens, forward)

    return measure(Clock(model.device), ("unedited", forward), dict.fromkeys(places, begun), rounds, inside)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    args = parser.parse_args()
    model = chosen_model(args)
    seconds, ratios = compare(model, args.rows, args.length, args.rounds)
    print(f"{conditions(args, model)}, medians of {args.rounds} rounds\n")
    print("\n".join(table(args.rows * args.length, seconds, ratios)))
    keep(named("late", "unedited", ratios))


if __name__ == "__main__":
    main()
