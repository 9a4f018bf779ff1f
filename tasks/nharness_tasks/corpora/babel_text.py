"""The text of babel and of the sample corpus: sources, shares and the three splits."""

from __future__ import annotations

from pathlib import Path

from nharness_tasks.corpora import libreoffice, mozilla, udhr
from nharness_tasks.corpora.pages import LANGUAGES
from nharness_tasks.corpora.splits import Splits, SplitShares, cut

SHARES = SplitShares(detect=0.15, eval=0.11)
"""Shares of the LibreOffice help's pages."""


def splits(cache: Path) -> Splits:
    """LibreOffice help in all three splits, Mozilla's messages in train only, the UN declaration never in train."""
    return cut(
        {language: tuple(libreoffice.pages(language, cache)) for language in LANGUAGES},
        SHARES,
        train_only={language: tuple(mozilla.pages(language, cache)) for language in LANGUAGES},
        held_out={language: tuple(udhr.pages(language, cache)) for language in LANGUAGES},
    )
