"""Paired differences and tiers: against a brute-force bootstrap, and hand-made orders."""

import json

import numpy as np
import pytest
from synthetic_records import synthetic_record
from synthetic_runs import synthetic_run

from nharness.record.items import read_items
from nharness.record.store import find
from nharness_leaderboard.paired import difference, influences, unpaired
from nharness_leaderboard.results import Entry
from nharness_leaderboard.ties import standings


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return [
        Entry(root / str(seed), synthetic_run(root / str(seed), seed=seed, strength=0.2 + 0.01 * (seed == 2), documents=60))
        for seed in (1, 2)
    ]


def selectivity(record, folder, chosen):
    """Selectivity from the items, clusters repeated as chosen, straight from its definition."""
    sums = {}
    for item in read_items(folder / find(record.files, "items").name):
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
    known = [influences(entry.record, entry.folder)["ppl"] for entry in entries]
    found = difference(*known)
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
    one, two = (influences(entry.record, entry.folder)["ppl"] for entry in entries)
    apart = unpaired(entries[0].record, entries[1].record, "ppl")
    assert apart.value == pytest.approx(difference(one, two).value)
    assert not apart.paired
    same = difference(one, one)
    assert same.value == 0
    assert same.interval == (0, 0)
    assert unpaired(entries[0].record, entries[0].record, "ppl").interval[1] > 0
    other = type(one)("another key", one.selectivity, one.languages)
    assert difference(one, other) is None


def test_items_that_do_not_give_the_published_selectivity_pair_nothing(entries, tmp_path):
    record, folder = entries[0].record, entries[0].folder
    name = find(record.files, "items").name
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    for line in lines:
        if line["target"] == line["language"] and line["control"] is None:
            line["values"]["nll"] += 1
    (tmp_path / name).write_text("\n".join(map(json.dumps, lines)))
    assert influences(record, tmp_path) == {}
    assert influences(record, tmp_path / "absent") == {}


def hand_made(*values, half=0.05):
    found = []
    for number, value in enumerate(values):
        record = synthetic_record(seed=3, detector=f"synthetic-{number}", accuracy=False)
        summary = record.summary[0]
        estimate = summary.selectivity.model_copy(update={"value": value, "interval": (value - half, value + half)})
        changed = record.model_copy(update={"summary": (summary.model_copy(update={"selectivity": estimate}),)}).with_id()
        found.append(Entry(None, changed))
    return found


def test_tiers_group_what_cannot_be_told_apart():
    found = hand_made(0.5, 0.48, 0.44, 0.40, 0.1)
    placed = standings(found, {})
    assert [placed[e.slug, "ppl"].tier for e in found] == [1, 1, 1, 2, 3]
    assert placed[found[1].slug, "ppl"].leader == found[0].slug


def test_what_is_not_comparable_is_never_in_one_set():
    one, two = synthetic_record(seed=3), synthetic_record(seed=3, model_name="synthetic/other")
    placed = standings([Entry(None, one), Entry(None, two)], {})
    sets = {key[0]: standing.group for key, standing in placed.items() if key[1] == "ppl"}
    assert len(set(sets.values())) == 2
    assert {standing.tier for standing in placed.values()} == {1}
