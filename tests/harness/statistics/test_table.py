"""Statistics files that lie are refused by name."""

import numpy as np
import pytest

from nharness.errors import FileFormatError
from nharness.statistics import table
from nharness.statistics.table import LanguageTotals, Statistics


@pytest.mark.parametrize(
    ("counts", "widths", "message"),
    [
        (np.array([1, -1]), (2,), "does not count, per neuron"),
        (np.array([1.0, 2.0]), (2,), "does not count, per neuron"),
        (np.ones((2, 2), np.int64), (2,), "does not count, per neuron"),
        (np.array([1.0, np.nan]), (2,), "NaN or infinity"),
        (np.array([1.0, np.inf]), (2,), "NaN or infinity"),
        (np.array([1, 5]), ("q",), "not positive whole numbers"),
        (np.array([1, 5]), (2.5,), "not positive whole numbers"),
    ],
)
def test_files_that_lie_are_refused(tmp_path, counts, widths, message):
    found = Statistics("gate", widths, {"en": LanguageTotals(5, 1)}, {"activation_count/positive/en": counts})
    found.save(tmp_path / "s.safetensors")
    with pytest.raises(FileFormatError, match=message):
        table.load(tmp_path / "s.safetensors")


@pytest.mark.parametrize("provenance", [{}, {"tokens": "all"}, {"tokens": "response"}])
def test_counts_above_their_tokens_are_taken_with_a_warning(tmp_path, provenance):
    counts = {"activation_count/positive/en": np.array([1, 530])}
    Statistics("gate", (2,), {"en": LanguageTotals(5, 1)}, counts, provenance).save(tmp_path / "s.safetensors")
    with pytest.warns(UserWarning, match="1 of 2 counts in .* exceed the language's 5 tokens, by 525 at most"):
        found = table.load(tmp_path / "s.safetensors")
    assert found.get("activation_count", "positive", "en").tolist() == [1, 530]
