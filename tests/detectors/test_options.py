"""Every option of every detector and intervention: what is out of range is refused in one sentence with the range."""

import math

import pytest

from nharness.errors import OptionError
from nharness.plugins import Plugins

PLUGINS = Plugins()
BOUNDS = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}
"""What to add to a bound to be outside of it."""


def options():
    for kind in ("detectors", "interventions"):
        for name, entry in PLUGINS.entries(kind).items():
            if entry.plugin == "detectors":
                schema = PLUGINS.resolve(kind, name).Options.model_json_schema()
                yield from (
                    (kind, name, option, described) for option, described in schema.get("properties", {}).items()
                )


EVERY = list(options())
IDS = [f"{name}-{option}" for _, name, option, _ in EVERY]


def alternatives(described):
    return described.get("anyOf", [described])


def refusal(kind, name, option, value):
    with pytest.raises(OptionError) as caught:
        PLUGINS.resolve(kind, name)(**{option: value})
    text = str(caught.value)
    assert text.startswith(f"{kind.removesuffix('s')} {name}: option {option} is {value!r}; expected ")
    assert "\n" not in text
    return text.partition("; expected ")[2]


@pytest.mark.parametrize(("kind", "name", "option", "described"), EVERY, ids=IDS)
def test_nonsense_is_refused_with_what_is_allowed(kind, name, option, described):
    expected = refusal(kind, name, option, "nonsense")
    for each in alternatives(described):
        for choice in (*each.get("enum", ()), *([each["const"]] if "const" in each else ())):
            assert repr(choice) in expected
        for bound in BOUNDS:
            if bound in each:
                assert f"{each[bound]:g}" in expected or f"{each[bound]:,.0f}" in expected
        words = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
        assert words.get(each.get("type"), "") in expected


@pytest.mark.parametrize(("kind", "name", "option", "described"), EVERY, ids=IDS)
def test_what_lies_beyond_a_bound_is_refused_and_defaults_are_not(kind, name, option, described):
    for each in alternatives(described):
        for bound, step in BOUNDS.items():
            if bound in each:
                refusal(kind, name, option, each[bound] + step)
        if each.get("type") == "number":
            refusal(kind, name, option, math.nan)
    default = described.get("default")
    made = PLUGINS.resolve(kind, name)(**{option: default})
    assert made.options.model_dump(by_alias=True)[option] == default


def test_every_option_says_what_it_means():
    assert not [(name, option) for _, name, option, described in EVERY if len(described.get("description", "")) < 10]
