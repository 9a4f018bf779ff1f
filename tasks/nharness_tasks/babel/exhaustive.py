"""babel's causal truth: `python -m nharness_tasks.babel.exhaustive`.

Every neuron of babel is ablated alone and every language's loss measured on text of the sample corpus's split
`detect`, in float32. Writes `exhaustive.safetensors` (`nharness-ablation/1`), which `nharness run --ground-truth`
reads. Results are kept in `--work` as they come, so that a stopped command goes on; `--languages` measures some
languages only.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from nharness.errors import during
from nharness.events import Event, StageAdvanced
from nharness.plugins import Plugins
from nharness.run.context import RunContext
from nharness.run.plan.plan import Plan
from nharness.run.plan.resolve import resolve
from nharness.run.stages.ablate import ablations, save_ablation
from nharness.run.store import Store
from nharness.run.work.executor import LocalExecutor
from nharness.run.work.worker import Worker
from nharness.spec import CorpusSpec, ModelSpec, RunSpec
from nharness_tasks.babel.recipe import HERE

RESULT = HERE / "exhaustive.safetensors"
TOKENS = 256


def measure(languages: Sequence[str], tokens: int, work: Path, out: Path | None, say: Callable[[str], None]) -> None:
    """Ablate every neuron on about `tokens` tokens of each language; write the result unless `out` is None."""
    spec = RunSpec(
        model=ModelSpec(name="babel", device="cpu"), corpus=CorpusSpec(name="sample"), languages=tuple(languages)
    )
    resolved, started = resolve(spec, Plugins()), time.perf_counter()
    worker = Worker(resolved)
    done = 0

    def listen(event: Event) -> None:
        nonlocal done
        if isinstance(event, StageAdvanced) and event.amount:
            done += event.amount
            say(f"{done} neurons x languages in {time.perf_counter() - started:.0f} s")

    with during(model="babel"):
        found = ablations(RunContext(resolved, Plan.empty(), LocalExecutor(worker), Store(work), listen), tokens)
    if out is not None:
        save_ablation(
            out,
            found,
            layer_widths=worker.neuron_map.layer_widths,
            model=worker.loaded.fingerprint,
            tokenizer=worker.loaded.tokenizer_fingerprint,
            corpus=resolved.corpus.fingerprint,
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
