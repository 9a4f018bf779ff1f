"""Paired differences and ranks: against a brute-force bootstrap, against `compare`, and in simulated boards."""

import json
from dataclasses import replace

import numpy as np
import pytest

from narrowing import present
from nharness.analysis.analyse import analyse
from nharness.analysis.compare import compare
from nharness.analysis.measurements import from_items
from nharness.record.consistency.results import result_problems
from nharness.record.items import read_items, write_items
from nharness.record.model import configuration_key
from nharness.record.store import describe, find
from nharness_leaderboard.paired import PairedSide, difference, differences, sides, unpaired
from nharness_leaderboard.ranks import Standings, set_key
from nharness_leaderboard.results import Entry
from nharness_leaderboard.site.board import language_data
from nharness_leaderboard.site.text import intervention_text
from nharness_leaderboard.site.view import record_view
from nharness_leaderboard.ties import alike_key, comparable_key
from synthetic_records import synthetic_record
from synthetic_runs import synthetic_run


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return [
        Entry(
            root / str(seed),
            synthetic_run(root / str(seed), seed=seed, strength=0.2 + 0.01 * (seed == 2), documents=60),
        )
        for seed in (1, 2)
    ]


def selectivity(record, folder, chosen):
    """Selectivity from the items, clusters repeated as chosen, straight from its definition."""
    sums = {}
    for item in read_items(folder / present(find(record.files, "items")).name):
        if item.control is None:
            sums.setdefault((item.target, item.language), {}).setdefault(item.cluster, []).append(item.values)
    harm = {}
    for target in record.languages:
        for tag in record.languages:
            nll = size = 0.0
            for cluster in chosen[tag]:
                for before, after in zip(sums[None, tag][cluster], sums[target, tag][cluster], strict=True):
                    nll += after["nll"] - before["nll"]
                    size += before["bytes"]
            harm[target, tag] = nll / np.log(2) / size
    own = np.mean([harm[t, t] for t in record.languages])
    return own - np.mean([harm[t, tag] for t in record.languages for tag in record.languages if t != tag])


def test_difference_agrees_with_a_bootstrap_over_clusters(entries):
    known = [sides(entry.record, entry.folder)["ppl"] for entry in entries]
    found = present(difference(*known))
    rng = np.random.default_rng(0)
    clusters = {tag: [f"{tag}-{i}" for i in range(30)] for tag in entries[0].record.languages}
    plain = [selectivity(e.record, e.folder, clusters) for e in entries]
    assert found.value == pytest.approx(plain[0] - plain[1], rel=1e-6)
    drawn = []
    for _ in range(150):
        chosen = {tag: rng.choice(names, len(names)) for tag, names in clusters.items()}
        drawn.append(np.subtract(*(selectivity(e.record, e.folder, chosen) for e in entries)))
    half = (found.interval[1] - found.interval[0]) / 2
    assert half == pytest.approx(1.96 * np.std(drawn), rel=0.25)
    assert found.paired


def test_pairing_narrows_and_needs_the_same_items(entries):
    one, two = (sides(entry.record, entry.folder)["ppl"] for entry in entries)
    apart = present(unpaired(entries[0].record, entries[1].record, "ppl"))
    assert apart.value == pytest.approx(present(difference(one, two)).value)
    assert not apart.paired
    same = present(difference(one, one))
    assert same.value == pytest.approx(0, abs=1e-12)
    assert same.interval == pytest.approx((0, 0), abs=1e-12)
    assert present(unpaired(entries[0].record, entries[0].record, "ppl")).interval[1] > 0
    assert difference(one, PairedSide("another key", one.side)) is None


def test_items_that_do_not_give_the_published_selectivity_pair_nothing(entries, tmp_path):
    record, folder = entries[0].record, entries[0].folder
    name = present(find(record.files, "items")).name
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    for line in lines:
        if line["target"] == line["language"] and line["control"] is None:
            line["values"]["nll"] += 1
    (tmp_path / name).write_text("\n".join(map(json.dumps, lines)))
    assert sides(record, tmp_path) == {}
    assert sides(record, tmp_path / "absent") == {}


def in_shares(entry, folder):
    """The same record with every target twice: at 1 as it was, at 0.5 doing half of it."""
    record = entry.record
    items = list(read_items(entry.folder / present(find(record.files, "items")).name))
    intact = {item.id: item.values for item in items if item.target is None}
    made = [item for item in items if item.target is None]
    for item in items:
        if item.target is not None:
            half = {**item.values, "nll": (item.values["nll"] + intact[item.id]["nll"]) / 2}
            made += [replace(item, target=f"{item.target}:0.5", values=half), replace(item, target=f"{item.target}:1")]
    targets = tuple(
        target.model_copy(update={"name": f"{target.name}:{share}", "neurons": size})
        for target in record.targets
        for share, size in (("0.5", target.neurons // 2), ("1", target.neurons))
    )
    found = analyse(from_items(made), tasks=record.tasks, targets=targets, settings=record.analysis)
    path = write_items(folder, made)
    changed = record.model_copy(
        update={
            "targets": targets,
            "baseline": found.baseline,
            "cells": found.cells,
            "summary": found.summary,
            "files": (describe(folder, path, "items"),),
        }
    ).with_id()
    return Entry(folder, changed)


def test_shares_of_neurons_do_not_water_the_summary_down_and_are_ranked_apart(entries, tmp_path):
    whole, parts = entries[0], in_shares(entries[0], tmp_path)
    before, after = whole.record.summary_of("ppl"), parts.record.summary_of("ppl")
    for name in ("on_target", "off_target", "selectivity"):
        assert getattr(after, name).value == pytest.approx(getattr(before, name).value)
    assert after.diagonal_share == before.diagonal_share
    assert after.per_neuron_damage == pytest.approx(before.per_neuron_damage)
    assert after.control_selectivity.mean == pytest.approx(before.control_selectivity.mean)
    assert after.rows[0].selectivity.value < after.rows[1].selectivity.value
    assert not list(result_problems(parts.record))
    known = {entry.slug: sides(entry.record, entry.folder) for entry in (whole, parts)}
    assert present(difference(known[whole.slug]["ppl"], known[parts.slug]["ppl"])).value == pytest.approx(0, abs=1e-9)
    assert alike_key(whole.record, "ppl") != alike_key(parts.record, "ppl")
    assert comparable_key(whole.record, "ppl") == comparable_key(parts.record, "ppl")
    assert configuration_key(whole.record) != configuration_key(parts.record)
    assert intervention_text(parts.record) == f"{intervention_text(whole.record)} on shares 0.5, 1"
    view = record_view(parts, Standings())
    assert [row.name for row in view.tasks[0].rows][:2] == ["English 0.5", "English 1"]
    by_language = language_data([parts])[parts.slug]["ppl"]
    assert by_language["en"][0] == pytest.approx(after.rows[1].selectivity.value, rel=1e-4)


def test_the_board_and_the_command_give_one_number_for_one_pair(entries):
    one, two = entries
    own = [sides(entry.record, entry.folder)["ppl"] for entry in entries]
    items = [read_items(entry.folder / present(find(entry.record.files, "items")).name) for entry in entries]
    (compared, *_) = compare(
        *(from_items(item for item in each if item.control is None) for each in items),
        tasks=one.record.tasks,
        targets=(one.record.targets, two.record.targets),
    )
    told, shown = present(compared.selectivity), present(difference(*own))
    assert shown.value == pytest.approx(told.value, rel=1e-9)
    assert shown.interval == pytest.approx(told.interval, rel=1e-9)
    again = differences({"x": own[0], "y": own[1], "z": own[0]})
    assert again["x", "y"].interval == pytest.approx(told.interval, rel=1e-9)
    assert again["y", "z"].value == pytest.approx(-told.value, rel=1e-9)


def test_what_was_measured_on_less_text_is_not_ranked_beside_the_rest():
    one = synthetic_record(seed=3)
    less = one.document()
    less["baseline"][0]["items"] -= 1
    other = type(one).model_validate(less)
    assert alike_key(one, "ppl") != alike_key(other, "ppl")
    assert comparable_key(one, "ppl") == comparable_key(other, "ppl")


def test_what_is_not_comparable_is_never_in_one_set():
    one, two = synthetic_record(seed=3), synthetic_record(seed=3, model_name="synthetic/other")
    assert set_key(one) != set_key(two)
    assert alike_key(one, "ppl") != alike_key(two, "ppl")


def test_records_of_other_components_are_never_in_one_set():
    """Attention heads are not ranked beside neurons of feed-forward layers."""
    one = synthetic_record(seed=3)
    heads = one.document()
    heads["neurons"]["component"] = "head"
    other = type(one).model_validate(heads)
    assert comparable_key(one, "ppl") != comparable_key(other, "ppl")
    assert alike_key(one, "ppl") != alike_key(other, "ppl")
    assert set_key(one) != set_key(other)
