"""The languages of outputs, counted by hand."""

from typing import Any

import pytest

from nharness.record.items import RecordedItem
from nharness.report.outputs import fallback, output_rows, taken_for


class Named:
    def __init__(self, **fields):
        self.__dict__.update(fields)


RECORD: Any = Named(
    tasks=[
        Named(name="out", metric="in_language", languages=("fr", "de")),
        Named(name="ppl", metric="x", languages=("fr",)),
    ],
    targets=[Named(name="fr:0.5", language="fr"), Named(name="fr:1", language="fr"), Named(name="de:1", language="de")],
)


def items(target, language, tags, control=None):
    return [
        RecordedItem("out", target, control, language, f"d{place}", "c", {f"language_{tag}": 1.0, f"second_{tag}": 1.0})
        for place, tag in enumerate(tags)
    ]


def test_rows_say_what_the_model_falls_back_to():
    rows = output_rows(
        RECORD,
        [
            *items(None, "fr", ["fr"] * 4),
            *items("fr:0.5", "fr", ["fr", "fr", "en", "und"]),
            *items("fr:1", "fr", ["en", "en", "es", "fr"]),
            *items("fr:1", "fr", ["zh"] * 4, control=0),
            *items("fr:1", "de", ["zh"] * 4),
        ],
    )
    assert [(row["off"], row["in language"], row["second opinion"], row["instead"]) for row in rows] == [
        ("-", "100%", "100%", "-"),
        ("fr:0.5", "50%", "50%", "en 50%, und 50%"),
        ("fr:1", "25%", "25%", "en 67%, es 33%"),
    ]


def test_shares_are_of_what_is_elsewhere():
    assert fallback(["fr", "zh", "und", "zh"], "fr") == pytest.approx({"zh": 2 / 3, "und": 1 / 3})
    assert fallback(["fr"], "fr") == {}
    assert taken_for(items(None, "fr", ["ja"])[0]) == "ja"
    assert taken_for(RecordedItem("out", None, None, "fr", "d", "c", {"in_language": 0.0})) == "und"
