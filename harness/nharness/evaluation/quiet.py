"""Run lm-eval and datasets without their progress bars, warnings and log lines."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import datasets
import lm_eval.api.task

LOGGERS = ("lm_eval", "lm-eval", "datasets", "transformers", "huggingface_hub", "absl", "evaluate")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the named loggers below ERROR, progress bars and all warnings; put everything back after.

    Exceptions pass through unchanged.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    bars, requests_bar = datasets.are_progress_bars_disabled(), lm_eval.api.task.tqdm
    for logger in loggers:
        logger.setLevel(max(logging.ERROR, logger.level))
    datasets.disable_progress_bars()
    lm_eval.api.task.tqdm = _no_bar
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        lm_eval.api.task.tqdm = requests_bar
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()


def _no_bar(items: Iterable[Any], **_options: Any) -> Iterable[Any]:
    return items
