"""Shards merge by the rule that each statistic declares, in any order and number."""

from dataclasses import replace

import numpy as np
import pytest

from nharness.errors import FileFormatError, PluginError, UsageError
from nharness.statistics import CATALOGUE, LanguageTotals, Merger, StatisticFormat, Statistics, load, merge

MINE = StatisticFormat(
    "mine", "", {"rows": "concatenate", "most": "max", "least": "min", "total": "sum", "edges": "same"}
)
ROWS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


def shard(rows, tag="en", **changes):
    tensors = {
        f"mine/rows/{tag}": rows,
        f"mine/most/{tag}": rows.max(axis=0),
        f"mine/least/{tag}": rows.min(axis=0),
        f"mine/total/{tag}": (rows * 8).astype(np.int64).sum(axis=0),
        f"mine/edges/{tag}": np.array([0, 1]),
    }
    made = Statistics("gate", (3, 1), {tag: LanguageTotals(10 * len(rows), len(rows))}, tensors, formats={"mine": MINE})
    return replace(made, **changes)


def same(first, second):
    return first.totals == second.totals and all(
        np.array_equal(first.tensors[name], second.tensors[name]) for name in first.tensors | second.tensors
    )


@pytest.mark.parametrize("size", [1, 5, 12])
def test_every_rule_in_any_number_of_shards(size):
    parts = [shard(ROWS[first : first + size]) for first in range(0, len(ROWS), size)]
    assert same(merge(parts), shard(ROWS))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_shards_that_come_in_another_order_say_their_place(order):
    parts, merger = [shard(ROWS[first : first + 4]) for first in (0, 4, 8)], Merger()
    for place in order:
        merger.add(parts[place], place=place)
    assert same(merger.result(), shard(ROWS))
    with pytest.raises(UsageError, match="shard 1 of the statistics was given twice"):
        merger.add(parts[1], place=1)


def test_a_shard_that_is_missing_is_said():
    merger = Merger()
    merger.add(shard(ROWS), place=1)
    with pytest.raises(UsageError, match="shard 0 of the statistics is missing"):
        merger.result()


def test_merging_changes_no_shard():
    first, second = shard(ROWS[:6]), shard(ROWS[6:])
    merge([first, second, second])
    assert same(first, shard(ROWS[:6]))
    assert same(second, shard(ROWS[6:]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"site": "hidden"}, "differ in site cannot be merged: gate, hidden"),
        ({"component": "head"}, "differ in component cannot be merged: mlp, head"),
        ({"layer_widths": (4,)}, "differ in layer widths"),
        ({"provenance": {"model": "other"}}, "differ in provenance"),
        ({"formats": {"mine": replace(MINE, version="2")}}, "statistics of mine in different versions"),
        ({"formats": {"mine": replace(MINE, tensors={**MINE.tensors, "rows": "sum"})}}, "merged differently"),
        ({"tensors": {"mine/most/en": np.zeros(3)}}, "differ in the shape of mine/most/en"),
        ({"tensors": {"mine/edges/en": np.array([0, 2])}}, "which must be the same in all of them"),
    ],
)
def test_shards_that_do_not_belong_together(changes, message):
    with pytest.raises(UsageError, match=message):
        merge([shard(ROWS), shard(ROWS, **changes)])


def test_a_tensor_without_rule_is_not_summed():
    unknown = shard(ROWS, formats={})
    with pytest.raises(UsageError, match="mine/rows has no merge rule"):
        merge([unknown, unknown])
    with pytest.raises(PluginError, match="merges 'rows' by 'mean'; expected one of sum, max, min"):
        StatisticFormat("mine", "", {"rows": "mean"})  # type: ignore[dict-item]


def test_a_file_carries_the_rules_of_its_statistics(tmp_path):
    for name, part in (("a", ROWS[:5]), ("b", ROWS[5:])):
        shard(part).save(tmp_path / name)
    read = [load(tmp_path / name) for name in ("a", "b")]
    assert read[0].formats["mine"].version == MINE.version
    assert read[0].formats["mine"].tensors == MINE.tensors
    assert same(merge(read), shard(ROWS))


def test_a_file_with_fewer_rows_than_documents_is_refused(tmp_path):
    shard(ROWS, totals={"en": LanguageTotals(10, 13)}).save(tmp_path / "s")
    with pytest.raises(FileFormatError, match=r"'mine/rows/en' is \(12, 4\), expected 13 documents"):
        load(tmp_path / "s")


def test_the_largest_of_nothing_may_be_infinite(tmp_path):
    nothing = shard(ROWS)
    nothing.tensors["mine/most/en"][2] = -np.inf
    nothing.save(tmp_path / "s")
    assert np.isneginf(load(tmp_path / "s").get("mine", "most", "en")[2])
    nothing.tensors["mine/most/en"][2] = np.inf
    nothing.save(tmp_path / "s")
    with pytest.raises(FileFormatError, match="NaN or infinity"):
        load(tmp_path / "s")


def test_every_statistic_of_the_catalogue_says_how_it_is_merged():
    assert all(entry.tensors for entry in CATALOGUE.values())
