"""The accumulators of the statistics in `nharness.statistics.CATALOGUE`, by name."""

from __future__ import annotations

from collections.abc import Mapping

from nharness.recording.accumulator import Accumulator
from nharness.recording.attribution import Attribution, Relevance
from nharness.recording.by_document import DocumentMean, OutputChange, UpMagnitude
from nharness.recording.histogram import Histogram
from nharness.recording.quantiles import QuantileSketch
from nharness.recording.sums import ActivationCount, Moments

ACCUMULATORS: Mapping[str, type[Accumulator]] = {
    kind.name: kind
    for kind in (
        ActivationCount,
        Moments,
        Histogram,
        QuantileSketch,
        DocumentMean,
        UpMagnitude,
        OutputChange,
        Attribution,
        Relevance,
    )
}
