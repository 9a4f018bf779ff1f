"""The demonstration's own arguments give way to those that are added."""

from nharness_tasks.demo import ARGUMENTS, arguments


def test_added_options_take_the_place_of_the_demonstration_s():
    assert arguments([]) == list(ARGUMENTS)
    found = arguments(["--languages", "en,de", "--controls=3", "-q"])
    assert found.count("--languages") == 1
    assert "--controls" not in found
    assert found[-4:] == ["--languages", "en,de", "--controls=3", "-q"]
    assert found[:3] == ["run", "--model", "smollm2"]
