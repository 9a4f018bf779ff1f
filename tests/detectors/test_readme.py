"""The tables of detectors/README.md say what the code says."""

import re
from pathlib import Path

import pytest

from nharness.plugins import Plugins

TEXT = (Path(__file__).resolve().parents[2] / "detectors" / "README.md").read_text()
PLUGINS = Plugins()


def rows(heading):
    table = re.split(r"\n\n", TEXT[TEXT.index(f"| {heading} |") :])[0].splitlines()[2:]
    return {
        cells[0].strip("`"): cells[1:]
        for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in table)
    }


def options(kind):
    named = [(field.alias or name, field.default) for name, field in kind.Options.model_fields.items()]
    return " ".join(f"{name}={default}" for name, default in named) or "-"


def needs(kind):
    return ", ".join(f"{need.statistic} ({need.site})" for need in kind().needs()) or "-"


def shipped(kind):
    return {name for name, entry in PLUGINS.entries(kind).items() if entry.plugin == "detectors"}


@pytest.mark.parametrize("heading", ["detector", "intervention"])
def test_every_row_and_no_other(heading):
    assert set(rows(heading)) == shipped(f"{heading}s")


@pytest.mark.parametrize("heading", ["detector", "intervention"])
def test_rows_agree_with_the_code(heading):
    for name, cells in rows(heading).items():
        kind = PLUGINS.resolve(f"{heading}s", name)
        assert cells[1:3] == [needs(kind), options(kind)], name
        if heading == "intervention":
            assert cells[3] == (kind.strength_option or "-"), name
