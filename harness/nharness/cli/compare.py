"""Compare two neurons files (Jaccard, shared neurons, rank correlation), or records, paired item by item.

Two records are compared cell by cell; any number is ranked by the kept share, every two with their difference. With
--models, models in a row, earliest or smallest first: what moved between them; docs/structure.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nharness.cli.found import all_records, neurons_file, record_pairs
from nharness.cli.output import print_table, say, say_json
from nharness.errors import FileFormatError, UsageError

if TYPE_CHECKING:
    from nharness.analysis.compare import TaskComparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two files."""
    parser.add_argument("first", type=Path, nargs="?", help="neurons file, record file, record or run folder")
    parser.add_argument(
        "others", type=Path, nargs="*", metavar="other", help="another of the same kind; of records, any number"
    )
    parser.add_argument(
        "--models",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="models in a row: of one shape by their neurons or records, of any size by statistics of sentences",
    )
    parser.add_argument("--trained", default="", metavar="A,B", help="with --models: languages that were trained")
    parser.add_argument(
        "--over", choices=("selected", "all"), default="selected", help="neurons over which kinds are counted"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="with --models: write the comparison, JSON")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    """Print the comparison and return 0; raises `UsageError` for two files of different sorts."""
    if arguments.models:
        from nharness.cli.compare_models import compare_models

        return compare_models(arguments)
    if arguments.first is None:
        raise UsageError("compare takes neurons files or records, or --models FILE FILE")
    paths = (arguments.first, *arguments.others)
    if any(path.suffix == ".safetensors" for path in paths):
        if len(paths) != 2:
            raise UsageError(f"compare takes two neurons files; got {len(paths)}, records can be more")
        document, rows = _neurons(*map(_neurons_of, paths))
    elif len(paths) != 2:
        document, rows = _many(paths)
    else:
        document, rows = _all_records(*paths)
    if arguments.json:
        say_json(document)
    else:
        for title, table in rows.items():
            say(f"\n{title}")
            print_table(table)
    return 0


HARMS = {"on_target": "own language", "off_target": "others", "selectivity": "selectivity"}
Tables = Mapping[str, Sequence[Mapping[str, Any]]]


def _neurons(first: Path, second: Path) -> tuple[Any, Tables]:
    from nharness.analysis.overlap import compare_detections
    from nharness.neurons import load as read_neurons

    found = compare_detections(read_neurons(first), read_neurons(second))
    rows = [
        {
            "language": tag,
            "first": one.whole.first,
            "second": one.whole.second,
            "shared": one.whole.shared,
            "jaccard": one.whole.jaccard,
            "by chance": one.whole.expected,
            "rank correlation": one.rank_correlation,
        }
        for tag, one in found.languages.items()
    ]
    layers = [
        {"layer": layer, **{tag: one.layers[layer].jaccard for tag, one in found.languages.items()}}
        for layer in range(max((len(one.layers) for one in found.languages.values()), default=0))
    ]
    tables: dict[str, Sequence[Mapping[str, Any]]] = {"neurons per language": rows, "jaccard per layer": layers}
    if found.only_first or found.only_second:
        tables["languages"] = [{"only in the first": found.only_first, "only in the second": found.only_second}]
    return asdict(found), tables


def _neurons_of(path: Path) -> Path:
    if path.suffix == ".json":
        raise UsageError(f"compare takes two neurons files or two records; {path} is a record beside a neurons file")
    return neurons_file(path)


def _all_records(first: Path, second: Path) -> tuple[Any, Tables]:
    """Compare two records, or every two of one name in two runs."""
    pairs = record_pairs(first, second)
    if len(pairs) == 1:
        return _records(*pairs[0])
    documents: dict[str, Any] = {}
    tables: dict[str, Sequence[Mapping[str, Any]]] = {}
    for one, other in pairs:
        name = one.parent.name
        documents[name], rows = _records(one, other)
        tables |= {f"{name}: {title}": table for title, table in rows.items()}
    return documents, tables


def compare_records(first: Path, second: Path) -> tuple[TaskComparison, ...]:
    """Return one comparison a task that both records have, first minus second, paired item by item.

    Raises `FileFormatError` for a record that is not valid or has no items file.
    """
    return _compared(_record(first), _record(second))


def _compared(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[TaskComparison, ...]:
    from nharness.analysis.analyse import aim_of
    from nharness.analysis.compare import compare
    from nharness.analysis.measurements import from_items

    (one, here), (other, there) = first, second
    names = {task.name for task in other.tasks}
    return compare(
        from_items(here),
        from_items(there),
        tasks=[task for task in one.tasks if task.name in names],
        targets=(one.targets, other.targets),
        aim=aim_of(one),
        flags={place: tuple(sorted(flags)) for place, flags in _flags(one, other).items()},
    )


def _records(first: Path, second: Path) -> tuple[Any, Tables]:
    given = _record(first), _record(second)
    (one, _), (other, _) = given
    found = _compared(*given)
    _, kept = _by_kept_share({first: one, second: other})
    tables: dict[str, Sequence[Mapping[str, Any]]] = dict(kept)
    for task in found:
        described = one.task(task.task)
        title = f"{task.task}, {described.unit}" if described else task.task
        tables[f"{title}: harm, means over rows, first minus second"] = [
            {"harm": named, "difference": estimate.value, "interval": estimate.interval or estimate.withheld}
            for name, named in HARMS.items()
            if (estimate := getattr(task, name)) is not None
        ]
        tables[f"{title}: change in every cell, first minus second"] = [
            {**asdict(cell), "flags": ", ".join(cell.flags)} for cell in task.cells
        ]
    return [_plain(task) for task in found], tables


def _many(paths: Sequence[Path]) -> tuple[Any, Tables]:
    """Rank records by the kept share and give every two's difference; raises `UsageError` where none can be ranked."""
    records = {path: _record(path)[0] for path in all_records(paths)}
    document, tables = _by_kept_share(records)
    if not tables:
        raise UsageError(
            f"no two of the {len(records)} records have a ladder on the same text (nharness run --ladder); without "
            "one, compare takes two records"
        )
    return document, tables


def _by_kept_share(records: Mapping[Path, Any]) -> tuple[Any, Tables]:
    from nharness.report.ranking import rank_records

    document: list[Any] = []
    tables: dict[str, Sequence[Mapping[str, Any]]] = {}
    for found in rank_records(records):
        first = next(iter(found.records.values()))
        title = f"kept share, {first.intervention.name} on {first.model.name}"
        tables[title] = found.rows()
        tables[f"{title}: differences, all intervals at once"] = found.differences()
        if found.why:
            tables[f"{title}: not ranked"] = [{"record": name, "reason": why} for name, why in found.why.items()]
        document.append(
            {
                "ranks": found.ranking.ranks,
                "differences": [
                    {"first": first, "second": second, "difference": value, "interval": [low, high]}
                    for (first, second), (value, low, high) in found.ranking.differences.items()
                ],
                "unranked": found.why,
            }
        )
    return document, tables


def _flags(*records: Any) -> dict[tuple[str, str, str], set[str]]:
    """Return what records say of their cells, by (task, target, language)."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for record in records:
        for cell in record.cells:
            found.setdefault((cell.task, cell.target, cell.language), set()).update(cell.flags)
    return found


def _plain(task: TaskComparison) -> dict[str, Any]:
    estimates = {name: getattr(task, name) for name in HARMS}
    return {**asdict(task), **{name: found and found.document() for name, found in estimates.items()}}


def _record(path: Path) -> tuple[Any, Any]:
    """Return a record and its items; raises `FileFormatError` for a record that is not valid or has no items file."""
    from nharness.record.items import read_items
    from nharness.record.store import find, inside
    from nharness.record.validate import load_record

    record = load_record(path, files=True)
    items = find(record.files, "items")
    if items is None:
        raise FileFormatError(f"{path} lists no items file, so items cannot be compared")
    return record, read_items(inside(path.parent, items.name))
