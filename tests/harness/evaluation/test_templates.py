"""Templates of lm-eval's tasks: what lm-eval's own environment gives, in no more time and memory than is allowed."""

import time
from datetime import date
from decimal import Decimal

import lm_eval.utils
import pytest
from jinja2 import TemplateError

from nharness.evaluation.filling import Filling
from nharness.evaluation.templates import Templates, templates

DOCUMENT = {
    "q": "  Wie geht's? 😀 é\n",
    "n": 3,
    "x": 0.5,
    "of": {"a": ["b", None]},
    "on": date(2024, 7, 26),
    "d": Decimal("1.5"),
    "pair": (1, b"x"),
}


@pytest.mark.parametrize(
    "text",
    [
        "{{q.strip()}}\nAnswer: {{of.a[0]}} {{ of['a'][1] }}\n",
        "{% for part in of.a %}{{ loop.index }}{{ part }},{% endfor %}{% if n == 3 %}{{ x * n }}{% endif %}",
        "{{ q | regex_replace('[a-z]+', '_', 1) | trim }}{{ on }} {{ d }} {{ pair }}",
        "{% set other = ['a', 'b', q] %}{{ other }}{{ [n, x] }}{{ of | length }}",
        "no fields {{ '{' }}",
    ],
)
def test_they_are_what_lm_eval_fills(text):
    assert templates().from_string(text).render(**DOCUMENT) == lm_eval.utils.apply_template(text, DOCUMENT)


def test_every_filter_of_lm_evals_own_is_there():
    own = set(lm_eval.utils.env.filters)
    source = "".join(f"{{% if false %}}{{{{ q | {name} }}}}{{% endif %}}" for name in sorted(own))
    assert templates().from_string(source).render(q="") == ""


HOSTILE = {
    "rounds": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "repeated": "{{ 'a' * n ** 12 }}",
    "doubled": "{% set ns = namespace(x='aa') %}{% for n in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "folded": "{{ 10 ** (10 ** 9) % 7 }}",
    "searched": "{{ ('a' * 40 ~ 'b') | regex_replace('(a+)+$', '') }}",
    "long": "{{ 'a' * 2 ** 25 }}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_one_that_never_ends_or_asks_for_all_memory_is_refused_and_costs_no_other(text):
    bounded = Templates(Filling(seconds=1.0, memory=1 << 28))
    with pytest.raises(TemplateError, match=r"^a template takes more than 1 s or 256 MiB for one text; expected one"):
        bounded.from_string(text).render(n=10)
    again = time.monotonic()
    with pytest.raises(TemplateError, match="more than 1 s"):
        bounded.from_string(text).render(n=11)
    assert time.monotonic() - again < 0.1
    assert bounded.from_string("{{ n }}").render(n=10) == "10"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ absent }}", "UndefinedError: 'absent' is undefined"),
        ("{% for m in q %}", "TemplateSyntaxError: Unexpected end of template"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError: access to attribute '__class__'"),
        ("{{" + "(" * 5000, "RecursionError|MemoryError"),
        ("{{ q + 1 }}", "TypeError"),
    ],
)
def test_one_that_fails_says_why(text, reason):
    with pytest.raises(TemplateError, match=reason):
        templates().from_string(text).render(**DOCUMENT)
