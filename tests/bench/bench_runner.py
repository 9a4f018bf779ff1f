"""What the runner itself costs: planning 100 000 cells, a cell's key, store and hooks, and a whole run of cells.

    python tests/bench/bench_runner.py [--cells 100000] [--rounds 3]

A cell's overhead is everything around its evaluation: its key, the look into the store, writing and reading its items
(100 a cell), the hooks, the change against the baseline. The fastest round counts, and processor time stands beside the
clock's, since the machine may be busy. Last comes a real run on babel, ten languages and twenty draws, whose cells are
answered at once instead of being evaluated: what is left between its first cell and its last is all the runner's.
"""

import argparse
import itertools
import random
import tempfile
import time
from pathlib import Path

from nharness.analysis.measurements import Measurement, pair
from nharness.cells import Cell, CellOutcome
from nharness.evaluation.items import Item
from nharness.events import StageFinished, StageStarted
from nharness.plugins import Plugins
from nharness.run.line import run
from nharness.run.plan.parts import Part, part_of
from nharness.run.plan.plan import make_plan, select
from nharness.run.plan.request import RunRequest
from nharness.run.stages.evaluate import EvaluateWork
from nharness.run.store import Store
from nharness.run.work.executor import LocalExecutor
from nharness.run.work.jobs import Done, cell_key, stored
from nharness.spec import ControlSpec, CorpusSpec, Named, RunSpec
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
    tasks = [
        TaskSpec(
            task,
            task,
            language,
            metric="bits_per_byte",
            higher_is_better=False,
            unit="bits per byte",
            kind="perplexity",
            version="1",
        )
        for task in ("ppl", "other")
        for language in languages
    ]
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
    task = TaskSpec(
        "ppl", "ppl", "l0", metric="bits_per_byte", higher_is_better=False, unit="", kind="perplexity", version="1"
    )
    name = (task.name, None, None, task.language)
    started = now()
    for number, cell in enumerate(cells):
        key = cell_key(identity, f"{number:064d}", {"task": cell.task, "text": "0" * 64, "n": number})
        stored(store, key)
        plugins.hook.nharness_cell_started(cell=cell)
        outcome = CellOutcome("passed", items, 1000, 5000, 0.1, backend="hook")
        store.put("cells", key, outcome.document())
        plugins.hook.nharness_cell_finished(cell=cell, outcome=outcome)
        pair(Measurement.of(name, items), Measurement.of(name, outcome.items), task.metric)
        stored(store, key)
    clock, processor = since(started)
    return clock / len(cells), processor / len(cells)


class Instant(LocalExecutor):
    """Answers every cell with its documents, each changed by a number of its own, and looks at no model."""

    def map(self, work, pieces, seen):
        return self.cells(pieces) if isinstance(work, EvaluateWork) else super().map(work, pieces, seen)

    def cells(self, jobs):
        for job in jobs:
            for cell, key in zip(job.cells, job.keys, strict=True):
                sample = cell.edition is not None and cell.edition.control is not None
                documents = self.worker.text(cell.language, sample=sample).documents
                moved = random.Random(cell.id)
                items = [
                    Item(
                        d.id, d.cluster, {"nll": 2.0 * d.bytes + moved.random(), "tokens": d.counted, "bytes": d.bytes}
                    )
                    for d in documents
                ]
                yield Done(cell, key, CellOutcome("passed", items, 1000, 5000, 0.0, backend="hook", noise_floor=0.0))


def whole_run(folder):
    """Return cells, items a cell, and seconds per cell of a run that evaluates nothing, by clock and processor."""
    spec = RunSpec(corpus=CorpusSpec(detect_tokens=2000), controls=ControlSpec(draws=20, least=20))
    found = {}

    def listen(event):
        if isinstance(event, StageStarted) and event.stage == "evaluate":
            found["started"] = now()
        elif isinstance(event, StageFinished) and event.stage == "evaluate":
            found["took"] = since(found["started"])

    request = RunRequest(spec, Path(folder) / "run", executor=f"{__name__}:Instant")
    result = run(request, Plugins(), listen=listen)
    items = sum(len(outcome.items) for outcome in result.outcomes.values()) / len(result.outcomes)
    clock, processor = found["took"]
    return len(result.outcomes), items, clock / len(result.outcomes), processor / len(result.outcomes)


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
    print(f"overhead per cell of {ITEMS} items (key, store, hooks): {best(found, 1000)}, in ms (limit 5)")
    with tempfile.TemporaryDirectory() as folder:
        count, items, clock, processor = whole_run(folder)
    print(
        f"a run of {count:,} cells of {items:.0f} items that evaluates none: {clock * 1000:.2f} by the clock, "
        f"{processor * 1000:.2f} of the processor, in ms a cell (limit 5)"
    )


if __name__ == "__main__":
    main()
