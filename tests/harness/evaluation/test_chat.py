"""Chat templates: what the tokenizer's own method gives, and no more time, memory, chance or calendar than is allowed."""

import gc
import os
import time

import pytest

from nharness.errors import UsageError
from nharness.evaluation.chat import ChatTemplate
from nharness.evaluation.lm_eval_model import ObservedModel

from .conftest import byte_tokenizer

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Wie geht's? 😀 é"},
    {"role": "assistant", "content": "Gut."},
]
MARKED = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}{{ eos_token }}\n"
    "{% if m['role'] == 'none' %}{% break %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SYSTEM_REFUSED = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + MARKED


def filling(template, **bounds):
    return ChatTemplate(byte_tokenizer(chat_template=template), **bounds)


@pytest.mark.parametrize("template", [MARKED, {"default": MARKED, "tool_use": "{{ tools }}"}])
@pytest.mark.parametrize("continued", [False, True])
def test_it_is_what_the_tokenizers_own_method_gives(template, continued):
    tokenizer = byte_tokenizer(chat_template=template)
    expected = tokenizer.apply_chat_template(
        TURNS, tokenize=False, add_generation_prompt=not continued, continue_final_message=continued
    )
    assert ChatTemplate(tokenizer).fill(TURNS, continued=continued) == expected


@pytest.mark.parametrize(
    "hostile",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10 ** 12 }}",
        "{% set ns = namespace(x='aa') %}{% for n in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
        "{{ 10 ** (10 ** 9) % 7 }}",
    ],
)
def test_a_template_that_never_ends_or_asks_for_all_memory_is_refused_in_a_sentence(hostile):
    chat = filling(hostile, seconds=1.0, memory=1 << 28)
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"takes more than 1 s or 256 MiB for one prompt; expected one that ends$"):
        chat.fill(TURNS)
    first = time.monotonic()
    with pytest.raises(UsageError, match="takes more than 1 s"):
        chat.fill(TURNS[1:])
    assert time.monotonic() - first < 0.1 < first - began < 60


@pytest.mark.parametrize(
    ("faulty", "reason"),
    [
        ("{{ raise_exception('roles must alternate') }}", "TemplateError: roles must alternate"),
        ("{% for m in messages %}", "TemplateSyntaxError: Unexpected end of template"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError: access to attribute '__class__'"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "RecursionError"),
    ],
)
def test_a_template_that_fails_says_why(faulty, reason):
    with pytest.raises(UsageError, match=rf"the tokenizer's chat template cannot be filled \({reason}"):
        filling(faulty).fill(TURNS)


def test_chance_and_the_calendar_are_the_same_in_every_run():
    drawn = "{{ strftime_now('%d %b %Y %H:%M') }} {{ range(10 ** 5 - 1) | random }} {{ lipsum() }}"
    one, other = filling(drawn), filling(drawn)
    text = one.fill(TURNS)
    other.fill(TURNS[1:])  # what was filled before does not count
    assert text == other.fill(TURNS)
    assert text.startswith("26 Jul 2024 00:00 ")


def test_a_tokenizer_without_a_template_and_one_without_a_default_are_refused():
    with pytest.raises(UsageError, match="the tokenizer has none"):
        ChatTemplate(byte_tokenizer())
    with pytest.raises(UsageError, match="chat template cannot be chosen"):
        filling({"a": MARKED, "b": MARKED}).fill(TURNS)


def test_the_process_ends_with_its_owner():
    chat = filling(MARKED)
    chat.fill(TURNS)
    pid = chat._filling.process.pid
    del chat
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_template_that_refuses_a_system_message_goes_without_it(model):
    tokenizer = byte_tokenizer(chat_template=SYSTEM_REFUSED)
    lm = ObservedModel(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=64)
    assert lm.apply_chat_template(TURNS, add_generation_prompt=False) == ChatTemplate(tokenizer).fill(
        TURNS[1:], continued=True
    )
