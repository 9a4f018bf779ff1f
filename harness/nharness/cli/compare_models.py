"""`nharness compare --models A B ...`: models in a row, of one shape by their neurons, of any by their sentences."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nharness.cli.found import neurons_file
from nharness.cli.output import print_table, say, say_json
from nharness.errors import UsageError

if TYPE_CHECKING:
    from nharness.record.comparison import Comparison

SENTENCES = 200


def compare_models(arguments: argparse.Namespace) -> int:
    """Print, or write, the comparison; raises `UsageError` for models that cannot be held beside each other."""
    if arguments.first is not None:
        raise UsageError(f"--models names everything to compare; leave out {arguments.first}")
    found = _comparison(arguments)
    if arguments.out is not None:
        from nharness.atomic import write_json

        write_json(arguments.out, found.document())
    if arguments.json:
        say_json(found.document())
    else:
        for title, rows in _tables(found).items():
            say(f"\n{title}")
            print_table(rows)
    return 0


def _comparison(arguments: argparse.Namespace) -> Comparison:
    from nharness.analysis.alignment import Resampling
    from nharness.analysis.structure.sequence import compared_neurons, compared_sentences
    from nharness.languages import parse_languages
    from nharness.neurons import load as read_neurons
    from nharness.statistics import load as read_statistics
    from nharness.statistics.table import FORMAT
    from nharness.tensorfile import format_of

    paths = {_name(path, arguments.models): neurons_file(path) for path in arguments.models}
    if len(paths) < len(arguments.models):
        raise UsageError("--models names a file twice; a comparison needs different files")
    if all(format_of(path) == FORMAT for path in paths.values()):
        return compared_sentences(
            {name: read_statistics(path) for name, path in paths.items()},
            trained=parse_languages(arguments.trained) if arguments.trained else (),
            sentences=SENTENCES,
            resampling=Resampling(),
        )
    if arguments.trained:
        raise UsageError("--trained needs statistics of sentences; these files hold neurons")
    return compared_neurons({name: read_neurons(path) for name, path in paths.items()}, over=arguments.over)


def _name(path: Path, every: Sequence[Path]) -> str:
    """Return what a model is called: the file's stem, or the whole path where two have one stem."""
    return path.stem if sum(other.stem == path.stem for other in every) == 1 else str(path)


def _tables(found: Comparison) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    tables: dict[str, Sequence[Mapping[str, Any]]] = {}
    if found.kinds:
        tables["neurons by kind"] = [{"model": each.model, **each.kinds.document()} for each in found.kinds]
        tables["neurons by the number of their languages"] = [
            {"model": each.model, **{str(number): count for number, count in enumerate(each.by_number)}}
            for each in found.kinds
        ]
        tables["neurons by kind and layer"] = [
            {"model": each.model, "kind": kind, **{str(layer): count for layer, count in enumerate(counts)}}
            for each in found.kinds
            for kind, counts in each.layers.items()
        ]
    if found.meanings:
        tables["parallel sentences, model by model"] = [each.document() for each in found.meanings]
    for flow in found.flows:
        tables[f"from {flow.before} (rows) to {flow.after} (columns): {flow.moved} neurons changed kind"] = [
            {"before": kind, **{str(other): count for other, count in after.items()}}
            for kind, after in flow.counts.items()
        ]
    if found.overlap:
        title = "neurons of each language in the first model and in the last"
        tables[title] = [each.document() for each in found.overlap]
    tables[f"{found.models[-1]} minus {found.models[0]}"] = [
        {**each.document(), "difference": each.last - each.first} for each in found.differences
    ]
    return tables
