"""Ternary: language-specific, language-related and general neurons (Zhang et al., AAAI 2026, arXiv 2505.21505).

Legend: `G` languages (K in the formulas), `M` neurons of the model. Site gate.

1. p[k, j] = share of language k's tokens of interest with g_j > 0. The paper's tokens are those of the model's own
   responses, counted as prompt+response minus prompt, both clamped at 0; plain text serves as well. After this
   subtraction a count may slightly exceed the number of tokens: p is used as it is, with a `UserWarning` and a note.
2. q = p / sum_k p, raised to 1e-12 and divided by its sum; an all-zero row counts as uniform.
3. score = H(q) / ln K - lambda * max_k p / m, with m = (1 + 1/2 + ... + 1/K) / K. No filter.
4. The round(top_rate * M) smallest scores are selected.
5. Bar T as in `lape`; N = number of languages with p > T. specific: N = 1; related: 1 < N < K; general: N = K;
   unassigned: N = 0. A selected neuron belongs to the languages with p > T.
6. lambda="auto": the largest value in [0, 0.2] for which no selected neuron is general, by bisection until the
   bracket is 1e-3 wide; the bracket's lower end is taken, as in the authors' code (hence at most 0.19922, and 0 when
   even a small lambda selects a general neuron). A number fixes it. In the paper's units it is lambda * ln K / m.

Notes hold lambda in both units and the kinds per layer, over the selected neurons and over all (`kinds_selected`,
`kinds_all`); the latter give the layer profile from which the paper reads its four stages.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nharness.detector import Detector, DetectorOptions, Evidence, Need
from nharness.neurons import KINDS, Detection
from nharness.statistics import Statistics
from nharness_detectors.selection import activation_bar, entropy, kind_counts, lowest, share_count

LAMBDA_RANGE = (0.0, 0.2)
TOLERANCE = 1e-3
FLOOR = 1e-12


class TernaryOptions(DetectorOptions):
    """Share of all neurons selected, share of all p below the bar, and the weight of the largest probability."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of all neurons to select")
    activation_bar: float = Field(
        0.95, ge=0, le=1, description="quantile of all probabilities above which a neuron belongs to a language"
    )
    lambda_: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = Field(
        "auto",
        alias="lambda",
        description="weight of the largest probability; auto: the most that selects no general neuron",
    )


class Ternary(Detector):
    """Neurons of low normalised entropy and high activation probability, of three kinds."""

    name = "ternary"
    Options = TernaryOptions
    options: TernaryOptions

    def needs(self) -> tuple[Need, ...]:
        """Return activation counts at the gate."""
        return (Need("activation_count", "gate"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return the selected neurons; score [M] is lower for neurons of fewer languages."""
        recorded = evidence.statistics("gate")
        probability = recorded.activation_probability()
        count = len(recorded.languages)
        mean_harmonic = math.fsum(1 / n for n in range(1, count + 1)) / count
        evenness = entropy(probability, floor=FLOOR) / math.log(count)
        peak = probability.max(axis=0) / mean_harmonic
        active = probability > activation_bar(probability, self.options.activation_bar)
        quota = share_count(self.options.top_rate, peak.size)
        given = self.options.lambda_
        weight = _largest_weight(evenness, peak, active, quota) if given == "auto" else float(given)
        score = evenness - weight * peak
        selected = lowest(score, quota)
        found = self.detection(evidence, membership=active & selected, score=score, best="lowest", candidates=active)
        notes: dict[str, Any] = {"lambda": weight, "lambda_paper": weight * math.log(count) / mean_harmonic}
        notes |= {"selected": int(selected.sum()), "excess_counts": _excess(recorded), **_kind_tables(found, selected)}
        return replace(found, notes=notes)


def _largest_weight(
    evenness: NDArray[np.float64], peak: NDArray[np.float64], active: NDArray[np.bool_], quota: int
) -> float:
    general = np.asarray(active.all(axis=0))
    low, high = LAMBDA_RANGE
    while high - low > TOLERANCE:
        middle = (low + high) / 2
        if general[lowest(evenness - middle * peak, quota)].any():
            high = middle
        else:
            low = middle
    return low


def _excess(recorded: Statistics) -> int:
    """Return how many counts exceed the tokens that reached their neuron; warn if any does."""
    excess = sum(
        int((recorded.get("activation_count", "positive", tag) > recorded.tokens(tag)).sum())
        for tag in recorded.languages
    )
    if excess:
        text = (
            f"{excess} activation counts exceed the number of tokens, as subtraction allows; they are used as they are"
        )
        warnings.warn(text, UserWarning, stacklevel=4)
    return excess


def _kind_tables(found: Detection, selected: NDArray[np.bool_]) -> dict[str, Any]:
    everywhere = found.kinds(over="all")
    among = np.where(selected, everywhere, -1).astype(np.int8)
    return {
        "kinds_selected": kind_counts(among, KINDS, found.layer_widths),
        "kinds_all": kind_counts(everywhere, KINDS, found.layer_widths),
    }
