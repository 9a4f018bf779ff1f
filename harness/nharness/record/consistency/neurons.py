"""Neuron counts: per language, per kind, per layer, overlaps.

Legend: `G` languages, `L` layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nharness.record.detection import KindCounts
from nharness.record.model import Record
from nharness.record.problems import Problem, pointer
from nharness.record.types import KindName


def neuron_problems(record: Record) -> Iterator[Problem]:
    """Yield every count that contradicts another."""
    neurons, widths = record.neurons, record.model.layer_widths
    if neurons.total != sum(widths):
        yield Problem("/neurons/total", f"total is {neurons.total}, the layer widths add up to {sum(widths)}")
    yield from _same_languages("/neurons/per_language", neurons.per_language, record.languages)
    yield from _same_languages("/neurons/layers/languages", neurons.layers.languages, record.languages)
    for tag, layers in neurons.layers.languages.items():
        where = pointer("neurons", "layers", "languages", tag)
        yield from _layers(where, layers, widths, neurons.per_language.get(tag))
    yield from _kinds("/neurons/kinds_selected", neurons.kinds_selected, neurons.total)
    held = neurons.kinds_selected
    if held.specific + held.related + held.general != neurons.selected:
        yield Problem("/neurons/selected", f"selected is {neurons.selected}, its kinds add up to another number")
    yield from _kind_layers("kinds_selected", neurons.kinds_selected, neurons.layers.kinds_selected, widths)
    if neurons.kinds_all is not None:
        yield from _kinds("/neurons/kinds_all", neurons.kinds_all, neurons.total)
    if neurons.layers.kinds_all is not None:
        yield from _kind_layers("kinds_all", neurons.kinds_all, neurons.layers.kinds_all, widths)
    yield from _overlap(record)
    yield from _targets(record)


def _same_languages(where: str, got: Mapping[str, object], expected: Sequence[str]) -> Iterator[Problem]:
    missing = [tag for tag in expected if tag not in got]
    unknown = [tag for tag in got if tag not in expected]
    if missing:
        yield Problem(where, f"no entry for language {missing[0]} of the record; a language without neurons has 0")
    if unknown:
        yield Problem(pointer(*where.strip("/").split("/"), unknown[0]), "this is no language of the record")


def _layers(where: str, layers: Sequence[int], widths: Sequence[int], total: int | None) -> Iterator[Problem]:
    if len(layers) != len(widths):
        yield Problem(where, f"{len(layers)} layers, the model has {len(widths)}")
        return
    for layer, (count, width) in enumerate(zip(layers, widths, strict=True)):
        if count > width:
            yield Problem(f"{where}/{layer}", f"{count} neurons in a layer of {width}")
    if total is not None and sum(layers) != total:
        yield Problem(where, f"the layers add up to {sum(layers)}, the count is {total}")


def _kinds(where: str, kinds: KindCounts, total: int) -> Iterator[Problem]:
    if kinds.specific + kinds.related + kinds.general + kinds.unassigned != total:
        yield Problem(where, f"the four kinds do not add up to the model's {total} neurons")


def _kind_layers(
    name: str, kinds: KindCounts | None, layers: Mapping[KindName, Sequence[int]], widths: Sequence[int]
) -> Iterator[Problem]:
    for kind, counts in layers.items():
        total = None if kinds is None else int(getattr(kinds, kind))
        yield from _layers(pointer("neurons", "layers", name, kind), counts, widths, total)


def _overlap(record: Record) -> Iterator[Problem]:
    matrix, size = record.neurons.overlap, len(record.languages)
    if len(matrix) != size or any(len(row) != size for row in matrix):
        yield Problem("/neurons/overlap", f"expected {size} rows of {size} numbers, one a language")
        return
    for i in range(size):
        if matrix[i][i] not in {None, 1}:
            yield Problem(f"/neurons/overlap/{i}/{i}", "a language's overlap with itself is 1, or null without neurons")
        for j in range(i):
            if matrix[i][j] != matrix[j][i]:
                yield Problem(f"/neurons/overlap/{i}/{j}", "the overlap of two languages is the same both ways")


def _targets(record: Record) -> Iterator[Problem]:
    """Yield problems of the targets; general neurons, counted over candidates, may join those of a language."""
    everywhere = record.neurons.kinds_all.general if record.neurons.kinds_all else record.neurons.total
    for index, target in enumerate(record.targets):
        joined = everywhere if "general" in record.selection.kinds else 0
        own = record.neurons.per_language.get(target.language or "", 0) + joined
        if target.language is not None and target.language not in record.languages:
            yield Problem(f"/targets/{index}/language", f"{target.language} is no language of the record")
        elif target.language is not None and target.neurons > own:
            yield Problem(f"/targets/{index}/neurons", f"more neurons than language {target.language} has")
        if target.neurons > record.neurons.total:
            yield Problem(f"/targets/{index}/neurons", "more neurons than the model has")
