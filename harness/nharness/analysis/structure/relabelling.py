"""Languages in other orders, for tests that ask what a matrix says when its labels are reshuffled."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

MOST_EXACT = 7
DRAWS = 1_999


def orders_of(count: int, seed: int) -> NDArray[np.int64]:
    """Return every order of up to seven things, the given one included, else 1 999 seeded ones [orders, count]."""
    if count <= MOST_EXACT:
        return np.array(list(permutations(range(count))))
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(count) for _ in range(DRAWS)])
