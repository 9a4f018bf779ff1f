"""The templates: text is always escaped, undefined names are errors; filters for numbers."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from nharness_leaderboard.site import text

# Scripts come from the site's own folder only; charts compile expressions, which is what 'unsafe-eval' allows.
POLICY = (
    "default-src 'none'; script-src 'self' file: 'unsafe-eval'; style-src 'self' file: 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)


@cache
def environment() -> Environment:
    """Return the template environment."""
    made = Environment(
        loader=PackageLoader("nharness_leaderboard", "site/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "number",
        "plain",
        "signed",
        "fixed",
        "percent",
        "kept",
        "harm_percent",
        "share",
        "whole",
        "p_value",
        "script_json",
    ):
        made.filters[name] = getattr(text, name)
    made.globals.update(dash=text.NONE, version=version("nharness"), policy=POLICY)
    return made


def asset(name: str) -> str:
    """Return the text of one of the site's own scripts or style sheets."""
    return (files("nharness_leaderboard") / "site" / "assets" / name).read_text(encoding="utf-8")
