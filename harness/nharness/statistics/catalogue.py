"""The statistics a detector may ask for: their tensors, and how shards of each add up.

Legend: `M` neurons, `D` documents of the language, `S` bins.
A tensor's full name in the file is `<statistic>/<tensor>/<language>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from nharness.errors import PluginError

MergeRule = Literal["sum", "max", "min", "concatenate", "same"]
RULES: tuple[MergeRule, ...] = get_args(MergeRule)


@dataclass(frozen=True)
class StatisticFormat:
    """One statistic's tensors, each with its merge rule, and the version of what they hold.

    "sum", "max", "min": taken neuron by neuron over the shards; the first dimension counts neurons. "concatenate": one
    row a document, in document order. "same": equal in every shard (bin edges); a difference is an error.
    Statistics of another version are not merged. Raises `PluginError` for a rule that does not exist.
    """

    name: str
    summary: str
    tensors: Mapping[str, MergeRule]
    version: str = "1"

    def __post_init__(self) -> None:
        for tensor, rule in self.tensors.items():
            if rule not in RULES:
                known = ", ".join(RULES)
                raise PluginError(f"statistic {self.name} merges {tensor!r} by {rule!r}; expected one of {known}")

    def agrees_with(self, other: StatisticFormat) -> bool:
        """Tell whether shards of both can be merged: the same version, and one rule for what both have."""
        shared = self.tensors.keys() & other.tensors.keys()
        return self.version == other.version and all(self.tensors[name] == other.tensors[name] for name in shared)


CATALOGUE: Mapping[str, StatisticFormat] = {
    entry.name: entry
    for entry in (
        StatisticFormat(
            "activation_count",
            "positive: int64 [M], tokens with a > 0 (NaN counts as not active); routed: int64 [M], tokens that reached "
            "the neuron, present for mixture-of-experts layers only",
            {"positive": "sum", "routed": "sum"},
        ),
        StatisticFormat(
            "moments",
            "sum, sumsq: float64 [M], sum and sum of squares of a over tokens; routed as in activation_count",
            {"sum": "sum", "sumsq": "sum", "routed": "sum"},
        ),
        StatisticFormat(
            "histogram",
            "count: int32 [M, S + 2], tokens per bin, under- and overflow first and last; edges: float32 [S + 1], "
            "the same for every neuron and language: how distributions differ, not for quantiles",
            {"count": "sum", "edges": "same"},
        ),
        StatisticFormat(
            "quantile_sketch",
            "count: int32 [M, S], tokens per column of `nharness.statistics.sketch`; least, most: float32 [M], the "
            "extremes, infinite where no token reached the neuron",
            {"count": "sum", "least": "min", "most": "max"},
        ),
        StatisticFormat(
            "document_mean",
            "mean: float32 [D, M], mean of a over each document's tokens",
            {"mean": "concatenate"},
        ),
        StatisticFormat(
            "up_magnitude",
            "sum: float32 [D, M], sum over each document's tokens of |u|, the up-projection's output",
            {"sum": "concatenate"},
        ),
        StatisticFormat(
            "output_change",
            "mean: float32 [D, M], root mean square over each document's tokens of |h| * |W_down[:, j]|, the norm of "
            "the change of the layer's output when the neuron is zeroed",
            {"mean": "concatenate"},
        ),
        StatisticFormat(
            "attribution",
            "sum, sumsq, abssum: float64 [M], over tokens, of a * dLoss/da; loss = summed next-token NLL in nats",
            {"sum": "sum", "sumsq": "sum", "abssum": "sum"},
        ),
        StatisticFormat(
            "relevance",
            "sum: float64 [M], over tokens, of the neuron's relevance to the logits of the tokens that come next, by "
            "layer-wise relevance propagation",
            {"sum": "sum"},
        ),
    )
}
