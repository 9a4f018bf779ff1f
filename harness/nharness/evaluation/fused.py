"""The LM head and its cross-entropy in one kernel, where one is installed: `cut-cross-entropy`, the extra `fused`.

Cut Cross-Entropy (Wijmans et al., ICLR 2025, arXiv 2411.09009) accumulates the logsumexp over the vocabulary and the
target's logit block by block in float32, and writes no logits to memory. It needs CUDA and Triton. `Head` takes it on
CUDA when it agrees with the tiles on a probe; the record's description says that it did.

Its kernels have been run here in float32 by Triton's interpreter on a CPU, where they agree to 1e-4, and on no GPU yet.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from torch import Tensor

Kernel = Callable[..., Tensor]


def installed_kernel() -> Kernel | None:
    """Return the kernel, `(rows [N, D], weight [V, D], targets [N], softcap=, reduction=) -> [N]`; None without one."""
    try:
        library = importlib.import_module("cut_cross_entropy")  # imports Triton, seconds that only CUDA is worth
    except ImportError:
        return None
    kernel: Kernel = library.linear_cross_entropy
    return kernel


def fused_nll(
    kernel: Kernel, rows: Tensor, weight: Tensor, targets: Tensor, *, scale: float, cap: float | None
) -> Tensor:
    """Return the NLL in nats, float32 [N], of logits `cap * tanh(scale * rows @ weight.T / cap)`."""
    if not len(rows):
        return rows.new_zeros(0).float()
    scaled = rows if scale == 1 else rows * scale
    return kernel(scaled.contiguous(), weight, targets, softcap=cap, reduction="none").float()
