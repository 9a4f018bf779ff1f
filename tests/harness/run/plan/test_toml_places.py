"""Lines of TOML keys: a text written out by hand, and texts made from documents whose lines are known."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from nharness.run.plan.toml_places import lines_of

TEXT = '''# comment with [brackets] and = signs
[study]
name = "a ] string # with { all"
"quoted key" = 1
models = [
  "babel",  # first
  {name = "x", args = {dtype = "float32"}},
  { name = 'y', args = {a = [1,
    2]}, device = "cpu" },
]
words = """
kinds = 1
"""
when = 1979-05-27 07:32:00
dotted.inner . deep = [1, [2,
  3]]
[study.controls]
draws = -3
[[study.claims]]
statement = "a"
[[study.claims]]
statement = "b"
last = true'''
EXPECTED = {
    ("study",): 2,
    ("study", "name"): 3,
    ("study", "quoted key"): 4,
    ("study", "models"): 5,
    ("study", "models", 0): 6,
    ("study", "models", 1): 7,
    ("study", "models", 1, "args", "dtype"): 7,
    ("study", "models", 2): 8,
    ("study", "models", 2, "args", "a", 1): 9,
    ("study", "models", 2, "device"): 9,
    ("study", "words"): 11,
    ("study", "when"): 14,
    ("study", "dotted", "inner", "deep"): 15,
    ("study", "dotted", "inner", "deep", 1, 0): 15,
    ("study", "dotted", "inner", "deep", 1, 1): 16,
    ("study", "controls"): 17,
    ("study", "controls", "draws"): 18,
    ("study", "claims"): 19,
    ("study", "claims", 0, "statement"): 20,
    ("study", "claims", 1): 21,
    ("study", "claims", 1, "statement"): 22,
    ("study", "claims", 1, "last"): 23,
}


def test_every_key_and_entry_has_its_line():
    tomllib.loads(TEXT)
    found = lines_of(TEXT)
    assert {path: found.get(path) for path in EXPECTED} == EXPECTED


def paths(value, path=()):
    """Return every path in a parsed document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in entries for found in [(*path, key), *paths(inner, (*path, key))]]


KEYS = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", "h_1"])
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5",
        "nan",
        '"x"',
        '"a\\"]"',
        "'\\'",
        '"""t\n]"""',
        "'''q''''",
        "true",
        "1979-05-27",
        "1979-05-27 07:32:00Z",
        '""',
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: "[\n" + " ,# x]\n".join(parts) + "\n]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{k} = {v}" for k, v in pairs.items()) + "}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.dictionaries(KEYS, VALUES, max_size=3))
def test_any_document_is_outlined_whole(top, table):
    """Every path that the parser finds has a line, and keys of one statement come in the order of their lines."""
    text, starts = "", {}
    for header, pairs in (("", top), ("[zz.table]\n", table)):
        text += header
        for key, value in pairs.items():
            name = next(iter(tomllib.loads(f"{key}=0")))
            starts[(("zz", "table") if header else ()) + (name,)] = text.count("\n") + 1
            text += f"{key} = {value} # end\n"
    found = lines_of(text)
    assert set(paths(tomllib.loads(text))) <= set(found)
    assert {path: found[path] for path in starts} == starts
