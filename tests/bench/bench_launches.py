"""How many kernels small cells launch, and how few tokens each works on: what a GPU would wait for, counted without one.

    python tests/bench/bench_launches.py [--layers 16,32] [--languages 10] [--tokens 1500]

A cell of perplexity is a language's sample of `--tokens` tokens, in texts of 20 to 110 tokens, cut into batches as on an
accelerator. Operations that the model and its LM head dispatch and that write a result are counted, views left out: each
is a kernel, or several. `apart` is what a run does, cell by cell; `joined` is the same text of all languages cut
together. Widths do not matter to the count, so that the model is narrow.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nharness.corpora import EncodedDocument, Room, batches, overhead_on
from nharness.evaluation.head import Head
from nharness.evaluation.perplexity import DEVICE_BATCH_TOKENS
from nharness.testing.tiny import tiny_model


class Counting(TorchDispatchMode):
    """Counts operations that are no views of what there is."""

    def __init__(self):
        super().__init__()
        self.launches = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.launches += not operation.is_view
        return operation(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Counted:
    """Passes, launches and tokens (padding left out) of reading some texts."""

    passes: int
    launches: int
    tokens: int

    def __add__(self, other):
        return Counted(self.passes + other.passes, self.launches + other.launches, self.tokens + other.tokens)


def texts(languages, tokens, vocabulary):
    """Return a list of documents a language, of about as many random tokens."""
    draw = np.random.default_rng(0)
    found = []
    for tag in range(languages):
        lengths = []
        while sum(lengths) < tokens:
            lengths.append(int(draw.integers(20, 110)))
        rows = [draw.integers(0, vocabulary, length + 1) for length in lengths]
        found.append(
            [EncodedDocument(f"{tag}/{n}", f"{tag}", f"{n}", 0, row, 1, len(row), 0) for n, row in enumerate(rows)]
        )
    return found


@torch.inference_mode()
def counted(head, documents):
    """Return what reading documents takes, in batches as on an accelerator."""
    room, total = Room(DEVICE_BATCH_TOKENS, overhead_on("cuda"), unread=1), Counted(0, 0, 0)
    for batch in batches(documents, room):
        ids, mask = torch.from_numpy(batch.tokens), torch.from_numpy(batch.mask[:, 1:])
        with Counting() as counting:
            head.nll(ids[:, :-1], ids[:, 1:], mask)
        total += Counted(1, counting.launches, batch.counted)
    return total


def compare(layers, languages, tokens):
    """Return what languages take apart and joined."""
    model = tiny_model("llama", settings={"num_hidden_layers": layers})
    head, found = Head(model), texts(languages, tokens, model.config.vocab_size)
    apart = sum((counted(head, documents) for documents in found), Counted(0, 0, 0))
    return {"apart": apart, "joined": counted(head, [document for documents in found for document in documents])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", default="16,32", help="of the models (default 16,32: 1B and 8B parameters)")
    parser.add_argument("--languages", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=1500, help="of each language (default 1500)")
    asked = parser.parse_args()
    print("| layers | languages | passes | launches | tokens a launch |\n|---|---|---|---|---|")
    for layers in map(int, asked.layers.split(",")):
        for name, found in compare(layers, asked.languages, asked.tokens).items():
            each = found.tokens / found.launches
            print(f"| {layers} | {name} | {found.passes} | {found.launches:,} | {each:.1f} |", flush=True)


if __name__ == "__main__":
    main()
