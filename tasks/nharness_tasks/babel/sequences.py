"""Training sequences: every language's pages as tokens, reshuffled in every epoch.

Shapes: B batch, T sequence length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from nharness_tasks.babel.recipe import Training
from nharness_tasks.corpora.splits import Edition

Tokens = npt.NDArray[np.int64]


def encode(tokenizer: Tokenizer, edition: Edition) -> dict[str, list[Tokens]]:
    """Per language, each page's tokens, the boundary token first."""
    return {
        language: [
            np.array(encoding.ids, dtype=np.int64) for encoding in tokenizer.encode_batch([p.text for p in pages])
        ]
        for language, pages in edition.items()
    }


@dataclass
class SequenceSource:
    """Batches as a function of the step alone, so that resumed training continues with the same sequences."""

    documents: Mapping[str, list[Tokens]]
    recipe: Training
    _epochs: dict[str, tuple[int, Tokens]] = field(default_factory=dict)

    def batch(self, step: int) -> Tokens:
        """Tokens [B, T] of this step: `sequences_per_language` rows per language, languages in order."""
        share = self.recipe.sequences_per_language
        rows = [self._sequence(language, step * share + place) for language in self.documents for place in range(share)]
        return np.stack(rows)

    def _sequence(self, language: str, number: int) -> Tokens:
        length = self.recipe.sequence
        per_epoch = sum(map(len, self.documents[language])) // length
        epoch, place = divmod(number, per_epoch)
        return self._stream(language, epoch)[place * length : (place + 1) * length]

    def _stream(self, language: str, epoch: int) -> Tokens:
        """The language's documents one after the other, in this epoch's order."""
        if self._epochs.get(language, (-1,))[0] != epoch:
            languages = list(self.documents)
            order = np.random.default_rng([self.recipe.seed, languages.index(language), epoch])
            documents = self.documents[language]
            stream = np.concatenate([documents[place] for place in order.permutation(len(documents))])
            self._epochs[language] = (epoch, stream)
        return self._epochs[language][1]
