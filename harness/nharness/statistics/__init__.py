"""Statistics per language and neuron, from one recording pass, that shards of merge into.

`table` is the value and its file; `catalogue` names the statistics; `fold` merges shards, each statistic by its rule.
"""

from nharness.statistics.catalogue import CATALOGUE, RULES, MergeRule, StatisticFormat
from nharness.statistics.fold import Fold, merge
from nharness.statistics.table import LanguageTotals, Statistics, load

__all__ = [
    "CATALOGUE",
    "RULES",
    "Fold",
    "LanguageTotals",
    "MergeRule",
    "StatisticFormat",
    "Statistics",
    "load",
    "merge",
]
