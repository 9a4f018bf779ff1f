"""Results in the papers' own files, read into this project's values: neuron masks and activation counts.

Files written by `torch.save` are opened with `weights_only=True` and in no other way.
"""

from nharness.foreign.counts import import_counts
from nharness.foreign.masks import import_masks

__all__ = ["import_counts", "import_masks"]
