"""babel's causal truth: `python -m nharness_tasks.babel.exhaustive`.

Every neuron of babel is ablated alone and every language's loss measured on text of the sample corpus's split `detect`,
in float32. Writes `exhaustive.safetensors` (`nharness-ablation/1`), which `nharness run --ground-truth` reads. What is
measured is kept in `--work` as it comes, so that the command can be stopped and goes on; `--languages` measures some.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from nharness.ablation.engine import Ablator
from nharness.errors import during
from nharness.plugins import Plugins
from nharness.run.plan.resolve import resolve
from nharness.run.stages.ablate import StoreKeeper, save_ablation
from nharness.run.store import Store
from nharness.run.work.worker import Worker
from nharness.spec import CorpusSpec, ModelSpec, RunSpec
from nharness_tasks.babel.recipe import HERE

RESULT = HERE / "exhaustive.safetensors"
TOKENS = 384


def measure(languages: Sequence[str], tokens: int, work: Path, out: Path | None, say: Callable[[str], None]) -> None:
    """Ablate every neuron on about `tokens` tokens of each language; write the result unless `out` is None."""
    spec = RunSpec(
        model=ModelSpec(name="babel", device="cpu"), corpus=CorpusSpec(name="sample"), languages=tuple(languages)
    )
    worker = Worker(resolve(spec, Plugins()))
    corpus, started = worker.resolved.corpus, time.perf_counter()
    done = 0

    def advanced(neurons: int, _tokens: int) -> None:
        nonlocal done
        done += neurons
        if neurons:
            say(f"{done} neurons x languages in {time.perf_counter() - started:.0f} s")

    keeper = StoreKeeper(Store(work), worker)
    ablator = Ablator(worker.loaded.model, worker.loaded.tokenizer, worker.neuron_map, keeper=keeper, advanced=advanced)
    with during(model="babel"):
        documents = {tag: list(corpus.documents(tag, "detect")) for tag in worker.resolved.languages}
        found = ablator.measure(documents, tokens)
    if out is not None:
        save_ablation(
            out,
            found,
            layer_widths=worker.neuron_map.layer_widths,
            model=worker.loaded.fingerprint,
            tokenizer=worker.loaded.tokenizer_fingerprint,
            corpus=corpus.fingerprint,
            split="detect",
        )
        say(f"{out.name}: {', '.join(f'{tag} {count}' for tag, count in found.tokens.items())} tokens")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=TOKENS, help=f"tokens per language (default {TOKENS})")
    parser.add_argument("--languages", default="", help="only these, comma-separated: fills --work, writes nothing")
    parser.add_argument("--work", type=Path, default=Path("babel-work"), help="where finished parts are kept")
    parser.add_argument("--out", type=Path, default=RESULT, help="the file to write")
    parser.add_argument("--threads", type=int, default=1, help="threads (default 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    some = [tag for tag in options.languages.split(",") if tag]
    measure(some, options.tokens, options.work, None if some else options.out, print)


if __name__ == "__main__":
    main()
