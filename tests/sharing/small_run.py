"""A small run of the default model, as the Python calls take it."""

from typing import Any

SMALL: dict[str, Any] = {
    "languages": ["en", "de"],
    "detect_tokens": 2000,
    "eval_tokens": 600,
    "controls": 0,
    "tasks": "ppl",
}
