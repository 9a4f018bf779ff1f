"""Make babel again from nothing: `python -m nharness_tasks.babel.train`.

1. Fetch the text (`nharness_tasks.corpora.fetch`) and cut it into train, detect and eval.
2. Train the tokenizer and the network on train, by the constants of `recipe`.
3. Write the model's folder; then run `nharness_tasks.babel.evaluate`.

The work folder holds what was fetched and the checkpoint: started again with the same one, training goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from nharness.models.allocator import save_memory
from nharness_tasks.babel.network import new_network, save_folder
from nharness_tasks.babel.recipe import MODEL_FOLDER, NETWORK, SIZE_LIMIT, TRAINING, Training
from nharness_tasks.babel.sequences import SequenceSource, encode
from nharness_tasks.babel.training import train
from nharness_tasks.babel.vocabulary import train_tokenizer
from nharness_tasks.corpora.babel_text import splits


def make(work: Path, folder: Path, recipe: Training, *, say: Callable[[str], None]) -> None:
    """Train babel and write its folder, at every checkpoint too; its `stages` are kept in the work folder."""
    save_memory()
    text = splits(work)
    tokenizer = train_tokenizer(text.train)
    network = new_network(NETWORK, recipe.seed)
    source = SequenceSource(encode(tokenizer, text.train), recipe)
    stages = {steps: name for name, steps in recipe.stages}

    def write(step: int) -> None:
        save_folder(network, tokenizer, folder, SIZE_LIMIT)
        if step in stages:
            save_folder(network, tokenizer, work / "stages" / stages[step])

    for point in train(network, source, recipe, work / "checkpoint.pt", write):
        say(f"step {point.step}/{recipe.steps} loss {point.loss:.3f} {point.tokens_per_second:.0f} tokens/s")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("babel-work"), help="folder for downloads and the checkpoint")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="folder of the finished model")
    parser.add_argument("--steps", type=int, default=TRAINING.steps, help="training steps")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    make(options.work, options.out, dataclasses.replace(TRAINING, steps=options.steps), say=partial(print, flush=True))


if __name__ == "__main__":
    main()
