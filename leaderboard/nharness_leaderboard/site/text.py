"""Numbers and documents as pages show them; the templates escape all other text."""

from __future__ import annotations

import json
import math
from typing import Any

from markupsafe import Markup

from nharness.record.model import Record
from nharness.record.results import ControlSelectivity
from nharness.record.sources import Selection

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits; a dash for None."""
    if value is None or isinstance(value, bool) or not math.isfinite(value):
        return NONE
    if value and (abs(value) >= 10**6 or abs(value) < 10**-4):
        text = f"{value:.{digits - 1}e}"
    elif abs(value) >= 10 ** (digits - 1):
        text = f"{value:,.0f}"
    else:
        text = f"{value:#.{digits}g}" if value else "0"
    return text.rstrip(".").replace("-", MINUS)


def plain(value: float | None) -> str:
    """Return a setting as it would be typed: no trailing zeros."""
    return NONE if value is None else f"{value:g}".replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """Return a change: as `number`, with a plus where it is above 0."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 else text


def fixed(value: float | None, places: int = 3) -> str:
    """Return a change with a fixed number of places and its sign, for the cells of one matrix."""
    if value is None or not math.isfinite(value):
        return NONE
    if abs(value) >= 10**5:
        return signed(value, 2)
    text = f"{value:+.{places}f}"
    return "0" if not float(text) else text.replace("-", MINUS)


def percent(value: float | None) -> str:
    """Return a share as whole percent."""
    return NONE if value is None else f"{100 * value:.0f}\N{NARROW NO-BREAK SPACE}%"


def kept(value: float | None) -> str:
    """Return a kept share of the harm, 0 to 1, with two decimal places."""
    return NONE if value is None else f"{value:.2f}"


def harm_percent(value: float | None) -> str:
    """Return a harm relative to the intact value in percent, with sign and one decimal place."""
    return NONE if value is None else f"{fixed(100 * value, 1)}\N{NARROW NO-BREAK SPACE}%"


def share(value: float) -> str:
    """Return a small share as percent with at most three significant digits."""
    return f"{100 * value:.3g}\N{NARROW NO-BREAK SPACE}%"


def whole(value: float | None) -> str:
    """Return a count with separators."""
    return NONE if value is None else f"{value:,.0f}"


def against_random(control: ControlSelectivity | None) -> str:
    """Return p against random draws; where more draws could lower it, `<= 0.17 (5 draws)`."""
    if control is None or control.p is None:
        return NONE
    if not control.at_floor:
        return p_value(control.p)
    draws = "draw" if control.draws == 1 else "draws"
    return f"\N{LESS-THAN OR EQUAL TO}\N{NARROW NO-BREAK SPACE}{p_value(control.p)} ({control.draws} {draws})"


def p_value(value: float | None) -> str:
    """Return a p value: two significant digits, never 0."""
    if value is None:
        return NONE
    return "<\N{NARROW NO-BREAK SPACE}0.0001" if value < 10**-4 else f"{value:.2g}"


def script_json(document: Any) -> Markup:
    """Return JSON that is safe inside a script element: it cannot close the element or open a comment."""
    text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped)  # noqa: S704 - escaped above for exactly this place


def rounded(value: float | None, digits: int = 5) -> float | None:
    """Return a number rounded to so many significant digits, for data that are only drawn."""
    return None if value is None else float(f"{value:.{digits}g}")


def intervention_text(record: Record) -> str:
    """Return the intervention in words: name, strength, other options but the site, shares of neurons."""
    intervention = record.intervention
    strength = intervention.strength
    others = [(name, value) for name, value in intervention.options.items() if name != "site" and value != strength]
    options = ", ".join(f"{name} {value}" for name, value in others)[:200]
    strong = "" if strength is None else f" {strength:g}"
    shares = f" on shares {', '.join(record.shares[:20])}" if record.shares else ""
    return f"{intervention.name}{strong}" + (f" ({options})" if options else "") + shares


def selection_text(selection: Selection) -> list[str]:
    """Return the selection in words: kinds unless all, the budget if any."""
    kinds = [] if len(selection.kinds) >= 3 else [" and ".join(selection.kinds) + " only"]
    return kinds + ([] if selection.budget is None else [f"{share(selection.budget)} of neurons"])
