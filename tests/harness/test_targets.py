"""Names of targets are read as they are written."""

import pytest

from nharness.targets import GENERAL, RungName, part_target, rung_of, whose


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (RungName("fr", 64), "fr#64"),
        (RungName("hi-Latn", 64, repeat=2), "hi-Latn/2#64"),
        (RungName("fr", 64, without=1528), "fr#64-1528"),
    ],
)
def test_a_rung_is_read_as_it_is_written(name, written):
    assert str(name) == written
    assert rung_of(written) == name
    assert whose(written) == (name.language, 1.0)


@pytest.mark.parametrize("other", ["fr", "fr:0.25", GENERAL, "fr#", "#3", "fr#x", "fr#3-", "fr#3#4", "fr/#3", "fr#-1"])
def test_what_is_no_rung(other):
    assert rung_of(other) is None


def test_shares():
    assert whose(part_target("fr", 0.25)) == ("fr", 0.25)
    assert whose("fr") == ("fr", 1.0)
