"""What the adaptive design spends and decides, replayed on runs in which every draw was measured on every document.

    nharness run --study tests/bench/exhaustive.toml --out RUN        (33 million forward tokens)
    python tests/bench/bench_design.py RUN/*/records/*/record.json

Nothing is forwarded again: a design is a choice of which of the run's cells and items it asks for, and their tokens are
counted. Conclusions are those of the records: a cell stands out when it is significant against no change and against
random neurons, both corrected over the matrix. The yardstick is the exhaustive design with one half of its draws: what another
choice of draws changes, no design can keep.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from nharness.analysis.analyse import analyse
from nharness.analysis.controls import ControlPlan, ControlRules
from nharness.analysis.measurements import Measurement, from_items, pair
from nharness.record.items import read_items
from nharness.record.validate import load_record
from nharness.report.matrix import stands_out
from nharness.run.work.sampling import spread_sample

TASK = "ppl"


def part(found, kept):
    """Return a measurement of the items at `kept` places, ascending."""
    return Measurement(
        found.task,
        found.target,
        found.control,
        found.language,
        tuple(found.ids[i] for i in kept),
        tuple(found.clusters[i] for i in kept),
        {name: column[kept] for name, column in found.values.items()},
        len(found.ids),
    )


def tokens(found):
    return int(found.values["tokens"].sum())


def change(table, key):
    found = pair(table[TASK, None, None, key[3]], table[key], "bits_per_byte")
    assert found is not None  # both sides have items
    return found.change


def design(table, record, *, sample_tokens, most):
    """Return the measurements that a design asks for, and their forward tokens."""
    targets, languages = [target.name for target in record.targets], list(record.task(TASK).languages)
    chosen = {key: found for key, found in table.items() if key[2] is None}
    places = {}
    for tag in languages:
        base = table[TASK, None, None, tag]
        places[tag] = spread_sample([int(n) for n in base.values["tokens"]], list(base.clusters), sample_tokens)
    sampled = {key: part(found, places[key[3]]) for key, found in table.items()}
    effects = {
        (target, tag): change(sampled, (TASK, target, None, tag)) if (TASK, target, None, tag) in sampled else None
        for target in targets
        for tag in languages
    }
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
    """Return by cell whether it stands out."""
    found = analyse(measurements, tasks=(record.task(TASK),), targets=record.targets, settings=record.analysis)
    return {(cell.target, cell.language): stands_out(cell) for cell in found.cells}


def half(table, draws):
    """Return the exhaustive design with the given draws only, numbered from 0."""
    numbers = {draw: place for place, draw in enumerate(draws)}
    return [
        replace(found, control=numbers[found.control]) if found.control is not None else found
        for found in table.values()
        if found.control is None or found.control in numbers
    ]


def replay(path, sample_tokens):
    """Print a row for every design of one record."""
    record = load_record(path, files=True)
    items = next(entry.name for entry in record.files if entry.role == "items")
    table = {found.key: found for found in from_items(read_items(path.parent / items)) if found.task == TASK}
    most = 1 + max(key[2] for key in table if key[2] is not None)
    full = verdicts(record, list(table.values()))
    spent = sum(tokens(found) for found in table.values())
    own = [(target.name, target.language) for target in record.targets]
    even, odd = (half(table, range(start, most, 2)) for start in (0, 1))
    designs = {
        f"exhaustive, {most} draws": (list(table.values()), spent),
        "its even draws": (even, sum(map(tokens, even))),
        "its odd draws": (odd, sum(map(tokens, odd))),
        "--controls 5": design(table, record, sample_tokens=sample_tokens, most=5),
        f"--controls {most}": design(table, record, sample_tokens=sample_tokens, most=most),
    }
    title = f"{record.detector.name}, " + (
        f"{record.selection.budget:.1%}" if record.selection.budget else "its own size"
    )
    for name, (measurements, cost) in designs.items():
        out = verdicts(record, measurements)
        same = sum(out[place] == full[place] for place in full)
        rows = sum(out[place] == full[place] for place in own if place in full)
        print(
            f"| {title} | {name} | {cost:,} | {cost / spent:.1%} | {sum(out.values())} | {same} of {len(full)} | {rows} of {len(own)} |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, nargs="+")
    parser.add_argument("--control-tokens", type=int, default=1000)
    chosen = parser.parse_args()
    print(
        "| matrix | design | forward tokens | of exhaustive | cells that stand out | same verdict | same on the own language |"
    )
    print("|---|---|---|---|---|---|---|")
    for path in chosen.records:
        replay(path, chosen.control_tokens)


if __name__ == "__main__":
    main()
