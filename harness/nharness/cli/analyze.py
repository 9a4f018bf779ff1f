"""What a run, a record, a neurons file or a statistics file says of the structure of a model; docs/structure.md.

Of neurons: how many of each kind lie in each layer, concentration at both ends of the depth, stages, which languages
share neurons, what script explains; with --after, what moved where. Of statistics of parallel sentences
(`nharness record --statistics document_mean@hidden --document-ids`): LRDS, SADS and translation retrieval per layer.
With --detector, neurons are found first; in several files, parts of one recording, they are found in
resampled parts too, for intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nharness.cli.found import NEURONS, neurons_file, record_files
from nharness.cli.options import pairs, whole
from nharness.cli.output import print_table, say, say_json, told_warnings
from nharness.cli.plugin_options import add_plugin_options, load_plugins
from nharness.errors import UsageError

if TYPE_CHECKING:
    from nharness.detector import Detector
    from nharness.neurons import Detection
    from nharness.statistics import Statistics

Tables = Mapping[str, Sequence[Mapping[str, Any]]]
SENTENCES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files, another one to hold beside it, and how kinds are counted."""
    parser.add_argument(
        "neurons",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="neurons file, statistics file, record or run; several: statistics of parts of one recording",
    )
    parser.add_argument("--after", type=Path, metavar="FILE", help="neurons after training: what moved where")
    parser.add_argument(
        "--over", choices=("selected", "all"), default="selected", help="neurons over which kinds are counted"
    )
    parser.add_argument("--detector", metavar="NAME", help="detector that first finds neurons in the statistics")
    parser.add_argument("--option", action="append", default=[], metavar="K=V", help="option of the detector")
    parser.add_argument(
        "--sentences", type=whole(2), default=SENTENCES, metavar="N", help=f"most parallel sentences ({SENTENCES})"
    )
    parser.add_argument("--seed", type=whole(), default=0, help="seed of resampling (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the tables and return 0; raises `UsageError` for files that do not say what is asked for."""
    with told_warnings():
        tables = _tables(arguments)
    if arguments.json:
        say_json(tables)
        return 0
    for title, rows in tables.items():
        say(f"\n{title}")
        print_table(rows)
    return 0


def _tables(arguments: argparse.Namespace) -> Tables:
    from nharness.statistics import load as read_statistics
    from nharness.statistics.table import FORMAT
    from nharness.tensorfile import format_of

    first: Path = arguments.neurons[0]
    if first.suffix == ".safetensors" and format_of(first) == FORMAT:
        return _of_statistics([read_statistics(path) for path in arguments.neurons], arguments)
    if len(arguments.neurons) > 1:
        raise UsageError(
            "several files must be statistics, the parts of one recording; otherwise give one file or folder"
        )
    if arguments.detector:
        raise UsageError(f"--detector finds neurons in statistics; {first} already holds neurons")
    if first.suffix == ".safetensors" or arguments.after is not None:
        return _of_neurons(neurons_file(first), arguments)
    found = record_files(first)
    tables = {path: _of_record(path, arguments) for path in found}
    if len(found) == 1:
        return tables[found[0]]
    return {f"{path.parent.name}: {title}": rows for path, each in tables.items() for title, rows in each.items()}


def _of_neurons(path: Path, arguments: argparse.Namespace) -> Tables:
    from nharness.neurons import load as read_neurons
    from nharness.report.detection import kind_moves

    detection = read_neurons(path)
    tables = dict(_detected(detection, arguments))
    if arguments.after is not None:
        tables["neurons by kind before (rows) and after (columns)"] = kind_moves(
            detection, read_neurons(neurons_file(arguments.after)), arguments.over
        )
    return tables


def _of_record(path: Path, arguments: argparse.Namespace) -> Tables:
    from nharness.analysis.structure.section import with_structure
    from nharness.neurons import load as read_neurons
    from nharness.record.validate import load_record
    from nharness.report.structure import structure_tables

    record, file = load_record(path, files=True), path.parent / NEURONS
    if not file.is_file():
        raise UsageError(f"{path} has no {NEURONS} beside it, which its structure is read from")
    detection = read_neurons(file)
    structure = with_structure(record, detection).structure
    return {**_layers(detection, arguments), **(structure_tables(structure) if structure else {})}


def _layers(detection: Detection, arguments: argparse.Namespace) -> Tables:
    from nharness.report.detection import kinds_by_layer, languages_by_layer, overlap_rows
    from nharness.report.structure import kind_share_rows

    return {
        "neurons per layer": languages_by_layer(detection),
        f"kinds per layer ({arguments.over} neurons)": kinds_by_layer(detection, arguments.over),
        f"kinds as shares of the layer's width ({arguments.over} neurons)": kind_share_rows(detection, arguments.over),
        "share of neurons two languages have in common (Jaccard)": overlap_rows(detection),
    }


def _detected(detection: Detection, arguments: argparse.Namespace, intervals: Any = None) -> Tables:
    from nharness.analysis.structure.section import HarmMatrix, structure_of
    from nharness.record.results import AnalysisSettings
    from nharness.report.structure import structure_tables

    settings = AnalysisSettings(bootstrap_draws=0, seed=arguments.seed, confidence=0.95)
    structure = structure_of(detection, HarmMatrix((), (), (), harmful=False), settings)
    return {**_layers(detection, arguments), **structure_tables(structure, intervals)}


def _of_statistics(parts: Sequence[Statistics], arguments: argparse.Namespace) -> Tables:
    from nharness.analysis.structure.intervals import concentration_intervals, together
    from nharness.detector import Evidence

    if arguments.detector is not None:
        detector = _detector(arguments)
        detection = detector(Evidence({parts[0].site: together(parts)}))
        intervals = concentration_intervals(parts, detector, seed=arguments.seed) if len(parts) > 1 else None
        return _detected(detection, arguments, intervals)
    return _aligned(together(parts) if len(parts) > 1 else parts[0], arguments)


def _detector(arguments: argparse.Namespace) -> Detector:
    from nharness.run.plan.resolve import load_detector
    from nharness.spec import Named

    options = {key: value for text in arguments.option for key, value in pairs(text).items()}
    return load_detector(Named(name=arguments.detector, options=options), load_plugins(arguments))


def _aligned(table: Statistics, arguments: argparse.Namespace) -> Tables:
    from nharness.analysis.alignment import Resampling, alignment, parallel, retrieval
    from nharness.report.structure import alignment_rows

    how = "nharness record --statistics document_mean@hidden --document-ids"
    if not table.has("document_mean"):
        raise UsageError(f"these statistics hold no document_mean; record it with: {how}; or name a --detector")
    ids = table.provenance.get("documents")
    if not isinstance(ids, dict) or set(ids) != set(table.languages):
        raise UsageError(f"these statistics do not say which document is which; record them with: {how}")
    means = {tag: table.get("document_mean", "mean", tag) for tag in table.languages}
    rows = {tag: found[: arguments.sentences] for tag, found in parallel(ids, means).items()}
    resampling = Resampling(seed=arguments.seed)
    nearest = retrieval(rows, table.layer_widths, resampling)
    title = f"{len(nearest.hits)} parallel sentences in {', '.join(rows)}: whole model and layer by layer"
    return {title: alignment_rows(alignment(rows, table.layer_widths, resampling), nearest)}
