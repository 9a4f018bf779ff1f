"""LAVE: language activation value entropy, the baseline of Tang et al. (ACL 2024, arXiv 2402.16438).

Legend: `G` languages, `M` neurons of the model. Site gate.

1. v[k, j] = mean of g_j over language k's tokens, negative means raised to 0.
2. Then as in `lape`, with v for p: entropy over languages of v / sum_k v, filter bar and activation bar among all v,
   the round(top_rate * M) smallest entropies, members by v > T.

Departure: the paper only says that the mean value stands in for the probability; an entropy needs weights of at least
0, and means of smooth gates (SiLU, GELU) can be negative; hence step 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nharness.detector import Evidence, Need
from nharness_detectors.lape import Lape


class Lave(Lape):
    """Neurons whose mean activation is concentrated in few languages."""

    name = "lave"

    def needs(self) -> tuple[Need, ...]:
        """Return moments at the gate."""
        return (Need("moments", "gate"), Need("activation_count", "gate"))

    def weight(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return mean activations [G, M], at least 0."""
        mean = evidence.statistics("gate").mean()
        return np.maximum(mean, 0.0, out=mean)
