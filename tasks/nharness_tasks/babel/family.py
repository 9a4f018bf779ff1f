"""babel's family, where each member lies and how it is made: `python -m nharness_tasks.babel.family NAME`.

- `babel-early`, `babel-middle`, `babel-late`: intermediate states of babel's own training.
- `babel-aligned`: babel trained further with translations side by side in some of its languages; `babel-continued`,
  its control, trained as many steps further with the translations shuffled.
- `babel-small`, `babel-large`: other sizes, trained like babel.

Members that ship are unpacked into the cache folder at first use; the command makes the others and keeps them there.
Started again with the same work folder, it goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from nharness.cache import cache_folder
from nharness.errors import ModelError
from nharness.models.allocator import save_memory
from nharness_tasks.babel import packed
from nharness_tasks.babel.network import new_network, save_folder, write_settings
from nharness_tasks.babel.recipe import ALIGNED, FURTHER, HERE, MODEL_FOLDER, NETWORK, SIZES, TRAINING, Training
from nharness_tasks.babel.sequences import SequenceSource, encode
from nharness_tasks.babel.training import train
from nharness_tasks.babel.translations import as_edition, mixed, translations
from nharness_tasks.corpora.babel_text import splits
from nharness_tasks.corpora.splits import Edition

FOLDER = HERE / "family"
"""The packed weights that the package ships."""
WEIGHTS = "model.safetensors"
FURTHER_TRAINED = ("babel-aligned", "babel-continued")
STAGES = {f"babel-{name}": steps for name, steps in TRAINING.stages}
MEMBERS = (*STAGES, *FURTHER_TRAINED, *SIZES)


def early() -> Path:
    """The folder of `babel-early`."""
    return locate("babel-early")


def middle() -> Path:
    """The folder of `babel-middle`."""
    return locate("babel-middle")


def late() -> Path:
    """The folder of `babel-late`."""
    return locate("babel-late")


def aligned() -> Path:
    """The folder of `babel-aligned`."""
    return locate("babel-aligned")


def continued() -> Path:
    """The folder of `babel-continued`."""
    return locate("babel-continued")


def small() -> Path:
    """The folder of `babel-small`."""
    return locate("babel-small")


def large() -> Path:
    """The folder of `babel-large`."""
    return locate("babel-large")


def locate(name: str) -> Path:
    """The folder of this member; if it neither ships nor was made, raises `ModelError` with the command for it."""
    shipped = FOLDER / f"{name}.xz"
    if shipped.exists():
        return _unpacked(name, shipped)
    folder = made_folder(name)
    if not (folder / WEIGHTS).exists():
        command = f"python -m nharness_tasks.babel.family {name}"
        raise ModelError(f"model {name!r} is not on this machine yet: `{command}` makes it")
    return folder


def made_folder(name: str) -> Path:
    """Where the command keeps this member."""
    return cache_folder() / "babel" / name


def _unpacked(name: str, shipped: Path) -> Path:
    """The cached folder of shipped weights, named by their digest and that of the base."""
    content = shipped.read_bytes()
    base = base_weights(name)
    digest = hashlib.sha256(content)
    if base:
        digest.update((MODEL_FOLDER / WEIGHTS).read_bytes())
    target = cache_folder() / "babel" / f"{name}-{digest.hexdigest()[:16]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            partial_folder = Path(scratch) / name
            shutil.copytree(MODEL_FOLDER, partial_folder, ignore=shutil.ignore_patterns(WEIGHTS))
            if name in SIZES:
                write_settings(partial_folder, SIZES[name])
            save_file(packed.unpack(content, base), partial_folder / WEIGHTS, metadata={"format": "pt"})
            (partial_folder / WEIGHTS).chmod(0o644)
            _put(partial_folder, target)
    return target


def _put(folder: Path, target: Path) -> None:
    """Rename `folder` to `target`, unless another process was first."""
    try:
        folder.rename(target)
    except OSError:
        if not target.exists():
            raise


def base_weights(name: str) -> dict[str, torch.Tensor] | None:
    """The weights that the member's packed ones are relative to: babel's, for members trained further from it."""
    return load_file(MODEL_FOLDER / WEIGHTS) if name in FURTHER_TRAINED else None


def further_text(train_text: Edition, name: str) -> Edition:
    """Text of `babel-aligned` or `babel-continued`: every language's own, and every pair of the aligned languages."""
    couples = translations(train_text, ALIGNED)
    return {**train_text, **as_edition(couples if name == "babel-aligned" else mixed(couples), ALIGNED)}


@dataclass(frozen=True)
class Beginning:
    """What training of a member starts from."""

    network: LlamaForCausalLM
    text: Edition
    recipe: Training


def begin(name: str, train_text: Edition) -> Beginning:
    """The network, the text and the constants of this member."""
    if name in STAGES:
        recipe = replace(TRAINING, stop=STAGES[name])
        return Beginning(new_network(NETWORK, recipe.seed), train_text, recipe)
    if name in SIZES:
        return Beginning(new_network(SIZES[name], TRAINING.seed), train_text, TRAINING)
    network = LlamaForCausalLM.from_pretrained(MODEL_FOLDER, dtype=torch.float32)
    return Beginning(network, further_text(train_text, name), FURTHER)


def make(name: str, work: Path, folder: Path, *, say: Callable[[str], None]) -> None:
    """Train this member with babel's tokenizer; write its folder at the end."""
    save_memory()
    beginning = begin(name, splits(work).train)
    tokenizer = Tokenizer.from_file(str(MODEL_FOLDER / "tokenizer.json"))
    source = SequenceSource(encode(tokenizer, beginning.text), beginning.recipe)
    last = beginning.recipe.steps if beginning.recipe.stop is None else beginning.recipe.stop
    checkpoint = work / f"{name}.pt"
    for point in train(beginning.network, source, beginning.recipe, checkpoint, lambda _: None):
        say(f"step {point.step}/{last} loss {point.loss:.3f} {point.tokens_per_second:.0f} tokens/s")
    save_folder(beginning.network, tokenizer, folder)
    checkpoint.unlink()


def ship(name: str, folder: Path, to: Path = FOLDER) -> None:
    """Pack the member's folder into the file that the package ships."""
    packed.write(to / f"{name}.xz", load_file(folder / WEIGHTS), base_weights(name))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=MEMBERS, help="which member to make")
    parser.add_argument("--work", type=Path, default=Path("babel-work"), help="folder for downloads and the checkpoint")
    parser.add_argument("--out", type=Path, default=None, help="its folder (default: the cache's, where runs find it)")
    parser.add_argument("--ship", action="store_true", help="pack the folder into the package instead of training it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.out or made_folder(options.name)
    if options.ship:
        ship(options.name, folder)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    make(options.name, options.work, folder, say=partial(print, flush=True))


if __name__ == "__main__":
    main()
