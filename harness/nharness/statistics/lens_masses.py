"""What the hidden states of every layer say, read through the final norm and the LM head, summed over documents.

Legend: `D` documents, `L` layers, `C` classes of tokens: one a language, in order, and last those of none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nharness.errors import UsageError


@dataclass(frozen=True)
class LensMasses:
    """One language's text: probability mass by class, summed over the positions of each document that were read.

    clusters: the source of each document [D]. positions: int64 [D]. mass: float64 [D, L + 1, C], after the embedding
    and after each layer, a row of C adds up to the positions. text: float64 [D, C], how many of the tokens that really
    come next are of each class.
    """

    clusters: tuple[str, ...]
    positions: NDArray[np.int64]
    mass: NDArray[np.float64]
    text: NDArray[np.float64]

    def __post_init__(self) -> None:
        documents = len(self.clusters)
        shapes = (self.positions.shape, self.mass.shape[:1] + self.mass.shape[2:], self.text.shape)
        if shapes != ((documents,), (documents, *self.text.shape[1:]), (documents, *self.text.shape[1:])):
            raise UsageError(f"{documents} documents, but positions, mass and text are of shapes {shapes}")
