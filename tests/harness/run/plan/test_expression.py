"""`-k` expressions over cell ids: what they choose, and that pytest's own parser says the same of any text."""

import re
from typing import Any

import pytest
from _pytest.mark.expression import Expression
from hypothesis import example, given, settings
from hypothesis import strategies as st

from narrowing import present
from nharness.errors import UsageError
from nharness.run.plan.expression import DEEPEST, compile_expression

IDS = [
    "lape[zh]/zero::ppl[fr]",
    "lape[en]/zero::ppl[zh]",
    "random[zh]~3/mean::xcopa[zh]",
    "baseline::ppl[fr]",
    "lape@0.002[de]/scale@0.5::ppl[de]",
]
DOCUMENTED = {  # pytest's documentation, "how to invoke" and "examples of markers", with what it says of the names
    "MyClass and not method": (["TestMyClass.test_something"], ["TestMyClass.test_method_simple"]),
    "http": (["test_send_http"], ["test_something_quick", "test_another", "TestClass.test_method"]),
    "not send_http": (["test_something_quick", "test_another", "TestClass.test_method"], ["test_send_http"]),
    "http or quick": (["test_send_http", "test_something_quick"], ["test_another", "TestClass.test_method"]),
    "test_method or test_other": (["test_method", "test_other"], ["test_third"]),
    "not test_method": (["test_other"], ["test_method"]),
    "not test_method and not test_other": (["test_third"], ["test_method", "test_other"]),
}


def chosen(expression):
    matches = compile_expression(expression)
    return [number for number, text in enumerate(IDS) if matches(text)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", [0, 1, 2, 3, 4]),
        (" \t", [0, 1, 2, 3, 4]),
        ("lape", [0, 1, 4]),
        ("LAPE", [0, 1, 4]),
        ("not lape", [2, 3]),
        ("lape and ppl[fr]", [0]),
        ("xcopa or baseline", [2, 3]),
        ("not (xcopa or baseline)", [0, 1, 4]),
        ("not lape and not baseline", [2]),
        ("lape[zh] or mean and xcopa", [0, 2]),
        ("not not lape", [0, 1, 4]),
        ("(((lape)))", [0, 1, 4]),
        ("~3", [2]),
        ("lape@0.002[de]/scale@0.5::ppl[de]", [4]),
        ("NOT", []),  # an operator in small letters only
    ],
)
def test_grammar(expression, expected):
    assert chosen(expression) == expected


@pytest.mark.parametrize(
    ("expression", "column"),
    [
        ("and", 1),
        ("lape and", 9),
        ("(lape", 6),
        ("lape)", 5),
        ("lape ppl", 6),
        ("not", 4),
        ("or lape", 1),
        ("()", 2),
        ("a, b", 2),
        ("a = 1", 3),
        ("lape and 'x'", 10),
        ("a\nb", 2),
        ("lape(x=1)", 5),
    ],
)
def test_what_is_out_of_place_is_named_with_its_column(expression, column):
    with pytest.raises(UsageError, match=re.escape(f"-k {expression!r}: at column {column}: expected ")):
        compile_expression(expression)


@pytest.mark.parametrize("expression", ["(" * 50_000, "not " * 50_000 + "lape"])
def test_depth_without_end_is_refused(expression):
    with pytest.raises(UsageError, match=f"nested more than {DEEPEST} deep"):
        compile_expression(expression)
    assert chosen("not " * (DEEPEST - 2) + "lape") == [0, 1, 4]


@pytest.mark.parametrize("expression", DOCUMENTED)
def test_the_examples_that_pytest_documents(expression):
    matches = compile_expression(expression)
    chosen, left = DOCUMENTED[expression]
    assert all(map(matches, chosen))
    assert not any(map(matches, left))


def pytest_says(expression):
    """Return what pytest's parser makes of the expression: the ids it chooses, or the column it complains of."""
    try:
        compiled = Expression.compile(expression)
    except SyntaxError as error:
        return error.offset

    def named_in(text) -> Any:
        return lambda name, **_options: name.lower() in text.lower()

    return [number for number, text in enumerate(IDS) if compiled.evaluate(named_in(text))]


def we_say(expression):
    try:
        return chosen(expression)
    except UsageError as error:
        return int(present(re.search(r"at column (\d+)", str(error)))[1])


NAMES = st.sampled_from(
    ["lape", "LAPE", "lape[zh]/zero", "::ppl[fr]", "mean", "x", "Not", "AND", "or_", "\\", "é", "٣"]
)
WELL_FORMED = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        inner.map("not {}".format),
        inner.map("({})".format),
        st.tuples(inner, st.sampled_from([" and ", " or ", "\tor  "]), inner).map("".join),
    ),
    max_leaves=8,
)
ANYTHING = st.lists(
    st.one_of(
        NAMES,
        st.sampled_from(["and", "or", "not", "(", ")", " ", "  ", "\t", "\n", "=", ",", "'", '"', "!", "\xa0", "&"]),
    ),
    max_size=9,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(WELL_FORMED, ANYTHING))
@example("lape or mean and not ppl[fr]")
@example("(lape)or(mean)")
@example("not(lape)")
@example("lape !")
def test_agrees_with_pytest_on_any_text(expression):
    if not expression.strip():
        return  # chooses everything, which pytest's -k decides before it parses
    called = any(
        found[1] not in {"and", "or", "not"} for found in re.finditer(r"([-\w:+.\[\]\\/]+)[ \t]*\(", expression)
    )
    if called or (
        "\\" in expression and re.search("['\"]", expression)
    ):  # what pytest parses for its -m, and refuses in -k
        assert isinstance(we_say(expression), int)
    else:
        assert we_say(expression) == pytest_says(expression)
