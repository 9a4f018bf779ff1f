"""Statistics: mergeable sums per language and neuron, from one recording pass.

`table` is the value and its file; `catalogue` names the statistics and how their shards add up.
"""

from nharness.statistics.catalogue import CATALOGUE, StatisticFormat, TensorRule
from nharness.statistics.table import LanguageTotals, Statistics, load, merge

__all__ = ["CATALOGUE", "LanguageTotals", "StatisticFormat", "Statistics", "TensorRule", "load", "merge"]
