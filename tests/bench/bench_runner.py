"""What the runner itself costs: planning 100 000 cells, and plan, store and hooks per cell.

    python tests/bench/bench_runner.py [--cells 100000] [--rounds 3]

A cell's overhead is everything around its evaluation: its key, the look into the store, writing and reading its items
(100 a cell), the hooks, the change against the baseline. The fastest round counts, and processor time stands beside the
clock's, since the machine may be busy.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from nharness.evaluation.items import Item
from nharness.plugins import Plugins
from nharness.run.cells import Cell, CellOutcome
from nharness.run.evaluated import paired_change
from nharness.run.jobs import cell_key, stored
from nharness.run.plan import make_plan, select
from nharness.run.shards import Part, part_of
from nharness.run.store import Store
from nharness.spec import ControlSpec, Named, RunSpec
from nharness.task import TaskSpec

ITEMS = 100


def now():
    return time.perf_counter(), time.process_time()


def since(started):
    """Return seconds by the clock and of the processor."""
    return time.perf_counter() - started[0], time.process_time() - started[1]


def best(rounds, factor=1):
    """Return the fastest round in words."""
    clock, processor = min(rounds)[0] * factor, min(processor for _, processor in rounds) * factor
    return f"{clock:.2f} by the clock, {processor:.2f} of the processor"


def planned(cells):
    """Plan about `cells` cells: ten languages, two tasks, twenty draws; as many detectors as it takes."""
    languages = [f"l{number}" for number in range(10)]
    tasks = [TaskSpec(task, task, language, metric="bits_per_byte", higher_is_better=False, unit="bits per byte",
                      kind="perplexity", version="1") for task in ("ppl", "other") for language in languages]  # fmt: skip
    per_detector = len(languages) * 21 * len(tasks)
    detectors = tuple(Named(name=f"d{number}") for number in range(-(-cells // per_detector)))
    spec = RunSpec(detectors=detectors, controls=ControlSpec(draws=20, tasks=("ppl", "other")))
    started = now()
    plan = make_plan(spec, languages, tasks)
    made = since(started)
    started = now()
    chosen = select(plan, "d1 and not l3 or baseline")
    cut = part_of(plan, Part(2, 7))
    return plan, made, since(started), len(chosen.cells), len(cut.cells)


def overhead(cells, store, plugins):
    """Return seconds per cell of everything but evaluation."""
    items = [Item(f"item{n}", f"page{n // 3}", {"nll": 100.0 + n, "tokens": 50, "bytes": 200}) for n in range(ITEMS)]
    identity = dict.fromkeys(("model", "tokenizer", "torch", "transformers", "nharness"), "0" * 64)
    task = TaskSpec("ppl", "ppl", "l0", metric="bits_per_byte", higher_is_better=False, unit="", kind="perplexity", version="1")
    started = now()
    for number, cell in enumerate(cells):
        key = cell_key(identity, f"{number:064d}", {"task": cell.task, "text": "0" * 64, "n": number})
        stored(store, key)
        plugins.hook.nharness_cell_started(cell=cell)
        outcome = CellOutcome("passed", items, 1000, 5000, 0.1, backend="hook")
        store.put("cells", key, outcome.document())
        plugins.hook.nharness_cell_finished(cell=cell, outcome=outcome)
        paired_change(task, outcome.items, items)
        stored(store, key)
    clock, processor = since(started)
    return clock / len(cells), processor / len(cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    rounds = [planned(asked.cells) for _ in range(asked.rounds)]
    plan, _, _, chosen, cut = rounds[0]
    print(f"planning {len(plan.cells):,} cells: {best([r[1] for r in rounds])} (limit 2 s)")
    print(f"-k and --shard over them ({chosen:,} and {cut:,} cells left): {best([r[2] for r in rounds])}, in seconds")
    cells = list(itertools.islice((c for c in plan.cells if isinstance(c, Cell) and c.edition), 200))
    with tempfile.TemporaryDirectory() as folder:
        plugins = Plugins()
        found = [overhead(cells, Store(Path(folder) / str(number)), plugins) for number in range(asked.rounds)]
    print(f"overhead per cell of {ITEMS} items (key, store, hooks): {best(found, 1000)} (limit 5 ms)")


if __name__ == "__main__":
    main()
