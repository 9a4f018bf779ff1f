"""Statistics per language and neuron, from one recording pass, that shards of merge into.

`table` is the value and its file; `catalogue` names the statistics; `merging` joins shards, each tensor by its rule.
"""

from nharness.statistics.catalogue import CATALOGUE, RULES, MergeRule, StatisticFormat
from nharness.statistics.merging import Merger, merge
from nharness.statistics.table import LanguageTotals, Statistics, load

__all__ = [
    "CATALOGUE",
    "RULES",
    "LanguageTotals",
    "MergeRule",
    "Merger",
    "StatisticFormat",
    "Statistics",
    "load",
    "merge",
]
