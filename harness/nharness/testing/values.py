"""What a change of values makes of random ones, for its checks.

Shapes: `S` tokens, `n` neurons of the change.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nharness.intervention import ValueChange
from nharness.models import Given
from nharness.run.work.edits import ChangedValues


def applied(change: ValueChange, tokens: int) -> Callable[[slice], Tensor]:
    """Return what gives the changed values of some of `tokens` tokens, the same standard normal ones on every call."""
    count = len(change.flat)
    random = torch.Generator().manual_seed(0)
    values, noise = torch.randn(2, tokens, count, generator=random)
    function, columns, rows = ChangedValues(change, np.arange(count)), torch.arange(count), torch.arange(tokens)

    def at(some: slice) -> Tensor:
        drawn = None if change.seed is None else noise[some]
        return function(Given(values[some].clone(), columns, rows[some], drawn))

    return at
