"""What the adaptive design spends and decides, replayed on a run in which every draw was measured on every document.

    nharness run --study tests/bench/exhaustive.toml --out RUN        (8.4 million forward tokens)
    python tests/bench/bench_design.py RUN/records/lape-zero/record.json

Nothing is forwarded again: a design is a choice of which of the run's cells and items it asks for, and their tokens are
counted. Conclusions are those of the records: a cell stands out when its change is told from none and from random
neurons, both corrected over the matrix. The yardstick is the exhaustive design with one half of its draws against the
other half: as far as two of those differ, no design can agree better.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from nharness.analysis.analyse import analyse
from nharness.analysis.controls import ControlPlan, ControlRules
from nharness.analysis.measurements import Measurement, from_items, pair
from nharness.analysis.sequential import Precision, evaluation_order, progress
from nharness.record.items import read_items
from nharness.record.validate import load_record
from nharness.report.matrix import stands_out
from nharness.run.sampling import spread_sample

TASK = "ppl"


def part(found, kept):
    """Return a measurement of the items at `kept` places, ascending."""
    return Measurement(
        found.task, found.target, found.control, found.language, tuple(found.ids[i] for i in kept),
        tuple(found.clusters[i] for i in kept), {name: column[kept] for name, column in found.values.items()},
        len(found.ids),
    )  # fmt: skip


def tokens(found):
    return int(found.values["tokens"].sum())


def change(table, key):
    found = pair(table[TASK, None, None, key[3]], table[key], "bits_per_byte")
    return found.change


def stopped(baseline, edited, half_width):
    """Return the places of the items that a cell sees before its interval is narrow enough."""
    order = evaluation_order(list(baseline.clusters), seed=0)
    clusters = list(dict.fromkeys(baseline.clusters[i] for i in order))
    members = {name: [i for i in range(len(baseline.ids)) if baseline.clusters[i] == name] for name in clusters}
    bits, size = (edited.values["nll"] - baseline.values["nll"]) / np.log(2), baseline.values["bytes"]
    moved, weight = ([float(column[members[name]].sum()) for name in clusters] for column in (bits, size))
    rule, seen = Precision(half_width), min(30, len(clusters))
    while not (at := progress(moved[:seen], weight[:seen], len(clusters), rule)).stop:
        seen = max(at.wanted, seen + 1)
    return sorted(i for name in clusters[:seen] for i in members[name])


def design(table, record, *, sample_tokens, most, half_width):
    """Return the measurements that a design asks for, and their forward tokens."""
    targets, languages = [target.name for target in record.targets], list(record.task(TASK).languages)
    chosen = {key: found for key, found in table.items() if key[1] is None}
    for tag in languages:
        base = table[TASK, None, None, tag]
        for target in targets:
            cell = table.get((TASK, target, None, tag))
            if cell is not None:
                chosen[cell.key] = cell if half_width is None else part(cell, stopped(base, cell, half_width))
    places = {}
    for tag in languages:
        base = table[TASK, None, None, tag]
        places[tag] = spread_sample([int(n) for n in base.values["tokens"]], list(base.clusters), sample_tokens)
    sampled = {key: part(found, places[key[3]]) for key, found in table.items()}
    effects = {}
    for target in targets:
        for tag in languages:
            seen, inside = chosen.get((TASK, target, None, tag)), set(sampled[TASK, None, None, tag].ids)
            both = [place for place, name in enumerate(seen.ids) if name in inside] if seen else []
            own = {(TASK, None, None, tag): sampled[TASK, None, None, tag], seen.key: part(seen, both)} if both else {}
            effects[target, tag] = change(own, seen.key) if both else None
    plan = ControlPlan(tuple(targets), tuple(sorted(languages)), ControlRules.between(min(5, most), most))
    draws = {}
    while requests := plan.next(effects, draws):
        for request in requests:
            for tag in request.languages:
                key = (TASK, request.target, request.draw, tag)
                draws[request.target, request.draw, tag] = change(sampled, key) if key in sampled else None
                if key in sampled:
                    chosen[key] = sampled[key]
    return list(chosen.values()), sum(tokens(found) for found in chosen.values())


def verdicts(record, measurements):
    """Return by cell whether it stands out, the rows that do on their own language, changed cells, and the summary."""
    found = analyse(measurements, tasks=(record.task(TASK),), targets=record.targets, settings=record.analysis)
    out = {(cell.target, cell.language): stands_out(cell) for cell in found.cells}
    own = [target.name for target in record.targets if out.get((target.name, target.language))]
    changed = sum(cell.q is not None and cell.q < 0.05 for cell in found.cells)
    return out, own, changed, found.summary[0]


def half(table, draws):
    """Return the exhaustive design with the given draws only, numbered from 0."""
    numbers = {draw: place for place, draw in enumerate(draws)}
    return [
        replace(found, control=numbers[found.control]) if found.control is not None else found
        for found in table.values() if found.control is None or found.control in numbers
    ]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    chosen = parser.parse_args()
    record = load_record(chosen.record, files=True)
    items = next(entry.name for entry in record.files if entry.role == "items")
    table = {found.key: found for found in from_items(read_items(chosen.record.parent / items)) if found.task == TASK}
    most = 1 + max(key[2] for key in table if key[2] is not None)
    full = verdicts(record, list(table.values()))[0]
    spent = sum(tokens(found) for found in table.values())
    print(f"{len(record.targets)} targets x {len(record.task(TASK).languages)} languages, {most} draws")
    print("| design | forward tokens | of exhaustive | cells that stand out | same verdict | rows beyond random | selectivity |")
    print("|---|---|---|---|---|---|---|")

    def line(name, measurements, cost):
        out, rows, moved, task = verdicts(record, measurements)
        same = np.mean([out[place] == full[place] for place in full])
        s = task.selectivity
        print(f"| {name} | {cost:,} | {cost / spent:.1%} | {sum(out.values())} ({moved} against no change) | {same:.1%} | "
              f"{', '.join(rows)} | {s.value:.4f} [{s.interval[0]:.4f}, {s.interval[1]:.4f}] |", flush=True)

    line(f"exhaustive, {most} draws on every document", list(table.values()), spent)
    even, odd = (half(table, range(start, most, 2)) for start in (0, 1))
    line("its even draws only", even, sum(map(tokens, even)))
    line("its odd draws only", odd, sum(map(tokens, odd)))
    for sample in (1000, 2000):
        for half_width in (None, 0.01, 0.005, 0.002):
            for draws in (5, most) if half_width is None else (most,):
                made, cost = design(table, record, sample_tokens=sample, most=draws, half_width=half_width)
                words = "none" if half_width is None else f"{half_width:g}"
                line(f"--controls {draws} --control-tokens {sample} --precision {words}", made, cost)


if __name__ == "__main__":
    main()
