"""`leaderboard reproduce`: a record made again from itself alone, compared item by item; the badge it earns or not."""

import json
import shutil
from dataclasses import replace
from typing import Any

import pytest

from narrowing import present
from nharness.cli.main import main
from nharness.neurons import load
from nharness.record.items import read_items
from nharness.record.model import content_id
from nharness.record.reproduction import Reproduction
from nharness.record.store import describe
from nharness.record.validate import load_record
from nharness.targets import rung_of
from nharness_leaderboard.reproduction import reproduction_of


@pytest.fixture(scope="module")
def made(tiny_run, tmp_path_factory):
    """A record of a tiny run, and the options that say where its model lies."""
    out = tmp_path_factory.mktemp("made")
    assert main([*tiny_run, "--ladder", "--folds", "0", "--out", str(out)]) == 0
    return out / "records" / "lape-zero", ["--model", tiny_run[tiny_run.index("--model") + 1]]


def test_a_record_holds_no_path_of_the_machine(made):
    where = made[1][1]
    assert where.startswith("/")
    text = (made[0] / "record.json").read_text()
    assert str(made[0].parents[2]) not in text
    assert where not in text
    command = json.loads(text)["identity"]["command"]
    assert f"--model {where.rpartition('/')[2]} " in command


def again(folder, where):
    code = main(["leaderboard", "reproduce", str(folder), *where])
    return code, Reproduction.model_validate_json((folder / "reproduction.json").read_text())


def test_a_true_record_is_reproduced_and_says_what_made_it(made, tmp_path, capsys):
    folder = shutil.copytree(made[0], tmp_path / "record")
    before = load_record(folder / "record.json")
    assert present(before.identity.source).nharness.digest
    assert {plugin.distribution for plugin in present(before.identity.source).plugins} == {"nharness"}
    model: Any = present(before.identity.specification)["model"]
    assert model["max_length"] == 128
    code, found = again(folder, made[1])
    assert (code, found.verdict, found.beyond, found.absent) == (0, "reproduced", 0, 0), found.reasons
    assert found.items == found.identical > 0
    assert found.record == before.identity.id
    rungs = sum(1 for _ in read_items(next(folder.glob("ladder.jsonl*"))))
    assert rungs > 0
    assert found.items == rungs + sum(1 for _ in read_items(next(folder.glob("items.jsonl*"))))
    assert found.headline_difference == 0
    after = load_record(folder / "record.json", files=True)
    assert (after.identity.badge, after.identity.id) == ("reproduced", before.identity.id)
    assert "reproduced; of" in capsys.readouterr().out


@pytest.mark.parametrize("role", ["items", "ladder"])
def test_an_invented_item_is_found_and_the_badge_is_lost(made, role, tmp_path, capsys):
    folder = shutil.copytree(made[0], tmp_path / "record")
    items = next(folder.glob(f"{role}.jsonl*"))
    lines = items.read_text().splitlines(keepends=True)
    lie = json.loads(lines[-1])
    lie["values"]["nll"] *= 1.01
    items.write_text("".join([*lines[:-1], json.dumps(lie) + "\n"]))
    document = json.loads((folder / "record.json").read_text())
    document["files"] = [
        describe(folder, items, role).document() if each["role"] == role else each for each in document["files"]
    ]
    document["identity"]["badge"] = "reproduced"
    document["identity"]["id"] = content_id(document)
    (folder / "record.json").write_text(json.dumps(document))
    code, found = again(folder, made[1])
    assert (code, found.verdict, found.beyond) == (1, "differs", 1)
    assert found.largest[0].id == lie["id"]
    assert found.largest[0].difference > found.largest[0].allowed
    assert load_record(folder / "record.json").identity.badge == "self-reported"
    assert "differ by more than the noise floor allows" in capsys.readouterr().out


def test_a_record_does_not_allow_itself_more_noise(made, tmp_path):
    """The noise floor that a record states is nobody's word but its own."""
    record = load_record(made[0] / "record.json")
    loud = record.model_copy(
        update={"baseline": tuple(each.model_copy(update={"noise_floor": 9.0}) for each in record.baseline)}
    )
    moved = remade(made[0], tmp_path, change_ladder=rung_moved(str(a_rung(made[0])[0]), 1.01))
    assert reproduction_of(loud, made[0], record, moved).verdict == "differs"
    assert reproduction_of(loud, made[0], loud, moved).verdict == "reproduced"  # where the second says so too


def remade(folder, tmp_path, *, change_scores=None, change_ladder=None):
    """A copy of a record whose neurons' scores and ladders' items are changed, its own headline kept."""
    copy = shutil.copytree(folder, tmp_path / "made")
    if change_scores is not None:
        path = next(copy.glob("neurons*.safetensors"))
        found = load(path)
        replace(found, score=change_scores(found.score.copy())).save(path)
    if change_ladder is not None:
        path = next(copy.glob("ladder.jsonl*"))
        items = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(change_ladder(item)) + "\n" for item in items))
    return copy


def rung_moved(name, by):
    def change(item):
        return (
            item | {"values": item["values"] | {"nll": item["values"]["nll"] * by}} if item["target"] == name else item
        )

    return change


def a_rung(folder):
    """A language and units of a rung that leaves neurons out, and the flat indices of its last and the one after."""
    found = load(next(folder.glob("neurons*.safetensors")))
    lists = dict(zip(found.languages, found.ranked(), strict=True))
    names = {item.target for item in read_items(next(folder.glob("ladder.jsonl*"))) if item.target is not None}
    rungs = [rung for name in sorted(names) if (rung := rung_of(name)) and rung.repeat is None and rung.without is None]
    chosen = next(rung for rung in rungs if 0 < rung.units < len(lists[rung.language]))
    return chosen, lists[chosen.language][chosen.units - 1 : chosen.units + 1]


def test_a_rung_is_compared_where_the_same_neurons_are_off(made, tmp_path):
    record = load_record(made[0] / "record.json")
    chosen, (last, following) = a_rung(made[0])

    def swapped(score):
        score[..., [last, following]] = score[..., [following, last]]
        return score

    moved = rung_moved(str(chosen), 1.001)
    same = reproduction_of(record, made[0], record, remade(made[0], tmp_path / "same", change_ladder=moved))
    assert (same.verdict, same.rungs_apart) == ("differs", 0)
    assert same.beyond > 0
    assert any("means of" in reason and str(chosen) in reason for reason in same.reasons)
    other = remade(made[0], tmp_path / "other", change_scores=swapped, change_ladder=moved)
    found = reproduction_of(record, made[0], record, other)
    assert (found.verdict, found.beyond, found.rungs_apart) == ("reproduced", 0, 1), found.reasons


@pytest.mark.parametrize("part", ["value", "interval", "language"])
def test_a_headline_stands_with_its_interval_and_every_language(made, part):
    record = load_record(made[0] / "record.json")
    document = record.document()
    headline: Any = document["headline"]
    estimate = headline["estimate"]
    wide = estimate["interval"] or [estimate["value"]] * 2
    step = 0.2 * (wide[1] - wide[0]) + 0.01
    if part == "value":
        estimate["value"] += step if estimate["value"] < 0.5 else -step
    elif part == "interval":
        estimate["interval"] = [wide[0], wide[1] + step]
    else:
        tag = next(tag for tag, each in headline["languages"].items() if each["kept"] is not None)
        headline["languages"][tag]["kept"] = 0.5 if abs(headline["languages"][tag]["kept"] - 0.5) > 0.4 else 0.99
    other = type(record).model_validate(document)
    found = reproduction_of(record, made[0], other, made[0])
    words = {"value": "the headline moves by", "interval": "interval", "language": "the kept share of"}
    assert found.verdict == "differs"
    assert any(words[part] in reason for reason in found.reasons), found.reasons


def test_how_many_neurons_are_others_is_told(made, tmp_path):
    record = load_record(made[0] / "record.json")
    copy = shutil.copytree(made[0], tmp_path / "made")
    path = next(copy.glob("neurons*.safetensors"))
    found = load(path)
    membership = found.membership.copy()
    row = found.languages.index("de")
    gone, instead = membership[row].nonzero()[0][0], (~membership[row]).nonzero()[0][0]
    membership[row, [gone, instead]] = [False, True]
    replace(found, membership=membership).save(path)
    targets = tuple(
        each.model_copy(update={"digest": "0" * 64}) if each.name == "de" else each for each in record.targets
    )
    again = record.model_copy(update={"targets": targets})
    reasons = reproduction_of(record, made[0], again, copy).reasons
    assert f"other neurons were found for de (1 of {membership[row].sum()})" in reasons
