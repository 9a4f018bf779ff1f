"""Errors: exit codes, the nearest name, context put in front once."""

import inspect
import re

import pytest

from nharness import errors
from nharness.errors import NharnessError, UnknownNameError, UsageError, during, nearest


def test_every_error_has_its_exit_code_in_the_tree():
    drawn = {
        line.replace("|--", "").replace("`--", "").replace("|", "").split()[0]: line
        for line in errors.__doc__.splitlines()
        if re.search(r"(Error|Run) +\d ", line)
    }
    for name, kind in inspect.getmembers(errors, lambda o: inspect.isclass(o) and issubclass(o, NharnessError)):
        assert name in drawn, name
        assert f" {kind.exit_code}  " in drawn[name], name


@pytest.mark.parametrize(
    ("got", "known", "expected"),
    [
        ("lapse", ["lape", "random"], "; did you mean 'lape'?"),
        ("qqq", ["b", "a"], "; known: a, b"),
        ("x", [], "; none are registered"),
    ],
)
def test_nearest(got, known, expected):
    assert nearest(got, known) == expected


def test_unknown_names_keep_what_they_were_made_from():
    error = UnknownNameError("detector", "lapse", ["lape"])
    assert (error.kind, error.got, error.known, error.exit_code) == ("detector", "lapse", ("lape",), 4)


def test_context_comes_in_front_from_the_inside_out():
    with pytest.raises(UsageError) as caught, during(model="m"), during(detector="lape", language="zh"):
        raise UsageError("too few tokens")
    assert str(caught.value) == "model m: detector lape, language zh: too few tokens"


def test_context_leaves_other_errors_alone():
    with pytest.raises(KeyError, match=r"^'x'$"), during(model="m"):
        raise KeyError("x")
