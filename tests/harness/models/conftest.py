"""What the models' own tensors say, seen from below: every matrix product that reaches the ATen level.

Independent of how nharness finds sites: nothing here knows modules, marks or hooks.
"""

import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "_grouped_mm", "linear", "mv", "matmul")
ACTIVATIONS = (
    "silu",
    "gelu",
    "relu",
    "sigmoid",
    "tanh",
    "softplus",
    "mish",
    "pow",
    "square",
    "where",
    "clamp",
    "hardtanh",
)


class Products(TorchDispatchMode):
    """Collects what is multiplied with some parameter, and what activation functions give."""

    def __init__(self, parameters):
        super().__init__()
        self.storages = {p.untyped_storage().data_ptr(): name for name, p in parameters.items()}
        self.factors = {name: [] for name in parameters}
        self.activated = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in PRODUCTS:
            tensors = [arg for arg in args if isinstance(arg, torch.Tensor) and arg.is_floating_point()]
            for tensor in tensors:
                owner = self.storages.get(tensor.untyped_storage().data_ptr())
                if owner is not None:
                    self.factors[owner].append([other.clone() for other in tensors if other is not tensor])
        if name.rstrip("_") in ACTIVATIONS:
            self.activated.append(result.clone())
        return result


def rows_seen(products, parameter, width):
    """All vectors of `width` that met `parameter`, as a sorted list of bytes."""
    vectors = []
    for factors in products.factors[parameter]:
        for factor in factors:
            if factor.ndim >= 2 and factor.shape[-1] == width:
                vectors.append(factor.reshape(-1, width))
                break
            if factor.ndim == 3 and factor.shape[-2:] == (width, 1):
                vectors.append(factor.squeeze(-1))
                break
    return as_bytes(torch.cat(vectors)) if vectors else []


def as_bytes(rows):
    """Rows of a matrix as a sorted list of bytes: equal lists are equal rows in any order; -0.0 counts as 0.0."""
    return sorted((row + 0.0).numpy().tobytes() for row in rows.detach().cpu())


@pytest.fixture
def brute():
    """This module: tests are imported one by one and cannot import each other."""
    return sys.modules[__name__]
