"""Run lm-eval and datasets without bars or log lines, hear what they warn of, and fill templates elsewhere."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import datasets
import lm_eval.api.task
import lm_eval.utils

from nharness.evaluation.templates import templates
from nharness.replacing import replaced

LOGGERS = ("lm_eval", "lm-eval", "datasets", "transformers", "huggingface_hub", "absl", "evaluate")
LONGEST = 200
SEEN_TO = (
    "using preconfigured rule",  # where examples come from: `few_shot`
    "using test_docs as fewshot_docs",
    "Truncating",  # prompts that are cut are counted item by item
    "Left truncation applied",
    "Overwriting default num_fewshot",
    "generation_kwargs",  # decoding is ours, and said
    "do_sample",
)
"""Warnings of lm-eval about what nharness handles itself."""


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Silence the named loggers, progress bars and all warnings, and seal templates; put everything back after.

    Gives the warnings of lm-eval that nharness does not see to itself, one of a kind, as they come. Exceptions pass
    through unchanged. Jinja templates of tasks are filled in a process of their own (`templates`).
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    bars = datasets.are_progress_bars_disabled()
    heard = _Heard()
    spoken = logging.getLogger("lm_eval")
    passed_on = spoken.propagate
    for logger in loggers:
        logger.setLevel(max(logging.ERROR, logger.level))
    spoken.setLevel(logging.WARNING)
    spoken.addHandler(heard)
    spoken.propagate = False
    datasets.disable_progress_bars()
    try:
        with (
            replaced(lm_eval.api.task, "tqdm", _no_bar),
            replaced(lm_eval.utils, "env", templates()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield heard.texts
    finally:
        spoken.removeHandler(heard)
        spoken.propagate = passed_on
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()


class _Heard(logging.Handler):
    """Keeps one warning of a kind: those that differ in numbers or in what they quote are one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self._kinds: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())[:LONGEST]
        kind = re.sub(r"\d+", "#", text.partition("{")[0])
        if kind not in self._kinds and not any(known in text for known in SEEN_TO):
            self._kinds.add(kind)
            self.texts.append(text)


def _no_bar(items: Iterable[Any], **_options: Any) -> Iterable[Any]:
    return items
