"""`-k` expressions over cell ids, on the examples of pytest's documentation turned to cells."""

import re

import pytest

from nharness.errors import UsageError
from nharness.run.select import compile_expression

IDS = ["lape[zh]/zero::ppl[fr]", "lape[en]/zero::ppl[zh]", "random[zh]~3/mean::xcopa[zh]", "baseline::ppl[fr]"]


def chosen(expression):
    matches = compile_expression(expression)
    return [number for number, text in enumerate(IDS) if matches(text)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", [0, 1, 2, 3]),
        ("lape", [0, 1]),
        ("LAPE", [0, 1]),
        ("not lape", [2, 3]),
        ("lape and ppl[fr]", [0]),
        ("xcopa or baseline", [2, 3]),
        ("not (xcopa or baseline)", [0, 1]),
        ("not lape and not baseline", [2]),
        ("lape[zh] or mean and xcopa", [0, 2]),
        ("not not lape", [0, 1]),
        ("(((lape)))", [0, 1]),
    ],
)
def test_grammar(expression, expected):
    assert chosen(expression) == expected


@pytest.mark.parametrize("expression", ["and", "lape and", "(lape", "lape)", "lape ppl", "not", "or lape", "()"])
def test_what_is_out_of_place_is_named_with_its_column(expression):
    with pytest.raises(UsageError, match=re.escape(f"-k {expression!r}: at column ")):
        compile_expression(expression)


def test_agrees_with_pytest_on_names_it_can_parse():
    from _pytest.mark.expression import Expression

    words = ["lape", "zero", "ppl", "mean", "xcopa"]
    for expression in ["lape and not mean", "not (lape or mean)", "lape or mean and xcopa", "not lape or ppl", "zero and ppl"]:
        theirs = Expression.compile(expression)
        for text in IDS:
            names = {word for word in words if word in text}
            assert compile_expression(expression)(text) == theirs.evaluate(names.__contains__), (expression, text)
