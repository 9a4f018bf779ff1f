"""Neurons whose mean activation is largest for one language: a detector in twenty lines."""

import numpy as np
from pydantic import Field

from nharness import Detector, DetectorOptions, Entry, Need, hookimpl


class TopMean(Detector):
    """The share `top_rate` of (neuron, language) pairs with the largest mean activation above the other languages'."""

    name = "top-mean"

    class Options(DetectorOptions):
        top_rate: float = Field(0.01, gt=0, le=1)

    options: Options

    def needs(self):
        return (Need("moments", "gate"),)

    def detect(self, evidence):
        mean = evidence.statistics("gate").mean()  # [G, M]
        margin = mean - np.sort(mean, axis=0)[-2]  # above the second largest language: positive for one language only
        return self.detection(
            evidence, membership=margin > np.quantile(margin, 1 - self.options.top_rate / len(mean)), score=margin
        )


@hookimpl
def nharness_register_detectors():
    return [Entry("top-mean", "largest mean activation above all other languages", TopMean)]
