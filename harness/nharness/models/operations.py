"""What the torch functions of a forward pass mean for the flow of a feed-forward block.

Names are those that a `TorchFunctionMode` sees, without leading and trailing underscores (`__mul__`, `mul_` -> `mul`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Nothing but the shape, the type or the place of the values changes: the result is the same activation.
ALIASES = _names(
    "view reshape unsqueeze squeeze contiguous to float double half bfloat16 type type_as dropout clone flatten "
    "unflatten detach view_as reshape_as cpu cuda alias expand expand_as dropout1d feature_dropout"
)
# The result holds some of the values: another part of the same projection.
PARTS = _names(
    "chunk split tensor_split unbind getitem select narrow unsafe_chunk unsafe_split split_with_sizes index_select"
)
# One value from one value, and by itself no activation function (a block is no feed-forward block for having these).
NEUTRAL = _names(
    "add sub mul div radd rsub rmul rtruediv truediv neg pow rpow square sqrt rsqrt abs clamp clip clamp_min clamp_max "
    "minimum maximum where gt lt ge le eq ne logical_and logical_or logical_not bitwise_and bitwise_or invert "
    "reciprocal nan_to_num masked_fill isfinite isnan isinf iadd isub imul itruediv addcmul lerp fill copysign sign "
    "true_divide multiply subtract divide round floor and or"
)
# One value from one value, and an activation function or the heart of one; a tanh may be no more than a soft cap.
SOFT = _names("tanh")
NONLINEAR = _names(
    "relu relu6 silu gelu sigmoid logsigmoid erf exp expm1 log log1p softplus elu celu selu leaky_relu mish "
    "hardswish hardsigmoid hardtanh softsign tanhshrink threshold prelu sin cos"
)
# One number per token from all units.
REDUCTIONS = _names("mean sum var std norm amax amin max min vector_norm")
NORMS = _names("rms_norm layer_norm normalize group_norm")
REPEATS = _names("repeat repeat_interleave")
MULTIPLICATIONS = _names("mul rmul imul multiply")
CONTINUING = NEUTRAL | NONLINEAR | SOFT | REDUCTIONS | NORMS
TRANSPOSES = _names("transpose permute t swapaxes T mT movedim")
# Questions about a tensor that make no tensor.
HARMLESS = _names(
    "size dim numel shape dtype device is_floating_point stride data_ptr item tolist len ndim grad_fn requires_grad"
)
INTEGERS = frozenset({torch.int64, torch.int32, torch.uint8})


@dataclass(frozen=True)
class Call:
    """One call of a torch function: its bare name, what it was given, and the tensors among that, in order."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    tensors: Sequence[Tensor]

    @property
    def index(self) -> Any:
        """What a slice or a gathering along the first dimension takes; None along another."""
        if self.name == "index_select":
            return self.args[2] if len(self.args) > 2 and self.args[1] == 0 else None
        return self.args[1] if len(self.args) > 1 else None


@dataclass(frozen=True)
class MatrixProduct:
    """A call that multiplies `left` by `right`; `slot` says where each stands among the arguments.

    `left_dim` and `right_dim` are the contracted dimensions. `offsets` are the ends of the groups of rows when each
    group meets its own matrix.
    """

    left: Tensor
    right: Tensor
    left_slot: int | str
    right_slot: int | str
    left_dim: int
    right_dim: int
    offsets: Tensor | None = None


# name -> (argument names of the two factors, position of the first, contracted dimension of the second)
_PRODUCTS: dict[str, tuple[tuple[str, str], int, int]] = {
    "linear": (("input", "weight"), 0, -1),
    "matmul": (("input", "other"), 0, -2),
    "mm": (("input", "mat2"), 0, -2),
    "bmm": (("input", "mat2"), 0, -2),
    "addmm": (("mat1", "mat2"), 1, -2),
    "baddbmm": (("batch1", "batch2"), 1, -2),
    "grouped_mm": (("mat_a", "mat_b"), 0, -2),
    "rmatmul": (("input", "other"), 0, -2),
}


def matrix_product(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> MatrixProduct | None:
    """Return the two factors of a call, or None when it is no matrix product of two tensors."""
    if name not in _PRODUCTS:
        return None
    names, first, right_dim = _PRODUCTS[name]
    slots = [first + i if first + i < len(args) else names[i] for i in range(2)]
    left, right = (args[slot] if isinstance(slot, int) else kwargs.get(slot) for slot in slots)
    if not isinstance(left, Tensor) or not isinstance(right, Tensor) or left.ndim < 2 or right.ndim < 2:
        return None
    offsets = kwargs.get("offs", args[2] if name == "grouped_mm" and len(args) > 2 else None)
    if name == "rmatmul":
        left, right, slots = right, left, slots[::-1]
    return MatrixProduct(left, right, slots[0], slots[1], -1, right_dim, offsets)


def strength(name: str) -> int:
    """Return how much of an activation function `name` is: 2 for one, 1 for what may be a soft cap, 0 for none."""
    return 2 if name in NONLINEAR else 1 if name in SOFT else 0


def put(args: tuple[Any, ...], kwargs: dict[str, Any], slot: int | str, value: Any) -> tuple[Any, ...]:
    """Return `args` with `value` at `slot`; a keyword slot is set in `kwargs` in place."""
    if isinstance(slot, str):
        kwargs[slot] = value
        return args
    return (*args[:slot], value, *args[slot + 1 :])


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among arguments, looking one level into tuples and lists."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found.extend(item for item in value if isinstance(item, Tensor))
    return found


def function_name(func: Callable[..., Any]) -> str:
    """Return the bare name of a torch function; a property such as `Tensor.T` goes by the property's name."""
    name = getattr(func, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", "")
    return name.strip("_")
