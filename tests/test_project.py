"""The files about the project agree with each other."""

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def names(requirements):
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower().replace("_", "-") for each in requirements}


def test_the_lock_file_pins_every_dependency():
    """`make lock` writes it; what it pulls in indirectly is pinned too."""
    direct = names(
        chain(
            PROJECT["project"]["dependencies"],
            *PROJECT["project"]["optional-dependencies"].values(),
            PROJECT["dependency-groups"]["dev"],
        )
    )
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE))
    assert direct - pinned - {"nharness"} == set()
    assert len(pinned) > 2 * len(direct)


def test_every_file_has_the_same_version():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1].strip("\"'") == PROJECT["project"]["version"]


def test_the_map_shows_every_room():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The map")[2].split("```")[1]
    shown = {word.partition("/")[0] for line in text.splitlines() for word in line.partition("   ")[0].split()}
    contract = next(each for each in PROJECT["tool"]["importlinter"]["contracts"] if each["containers"] == ["nharness"])
    rooms = {room for layer in contract["layers"] for room in layer.split(" | ")}
    assert rooms - shown == {"__main__"}
    assert shown - rooms == set()
