"""Statistics files that lie are refused by name."""

import numpy as np
import pytest

from nharness.errors import FileFormatError
from nharness.statistics import table
from nharness.statistics.table import LanguageTotals, Statistics


@pytest.mark.parametrize(
    ("counts", "widths", "message"),
    [
        (np.array([1, 6]), (2,), "no count per neuron"),
        (np.ones((2, 2), np.int64), (2,), "no count per neuron"),
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
