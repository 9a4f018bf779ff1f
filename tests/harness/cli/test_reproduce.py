"""`leaderboard reproduce`: a record made again from itself alone, compared item by item; the badge it earns or not."""

import json
import shutil
from typing import Any

import pytest

from narrowing import present
from nharness.cli.main import main
from nharness.record.items import read_items
from nharness.record.model import content_id
from nharness.record.reproduction import Reproduction
from nharness.record.store import describe
from nharness.record.validate import load_record


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
