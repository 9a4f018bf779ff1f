"""What a tensor is inside a feed-forward block, and how an operation changes that.

A feed-forward block is recognised by what it computes, not by what it is called. Every tensor carries a `Mark`:

1. The product of a tensor with a weight starts a flow: one `Leaf` (weight, part of its output, what it multiplied).
2. Elementwise functions of a flow and of constants continue it; slices continue it as another part.
3. The elementwise product of two flows that share no leaf, one of them with an activation function in it, is
   `gate * up`; its factors are the two sites.
4. Anything that mixes tokens or brings in other data ends the flow.
5. A flow with an activation function in it that meets another weight has arrived at a down projection: what meets the
   weight is the hidden site. If the vector was normalised on the way, the hidden site is what was normalised, because
   only there does setting one neuron leave the others alone.

Shapes: `S` rows (tokens, or token-expert pairs), `I` neurons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

import nharness.models.operations as ops


@dataclass(frozen=True, slots=True)
class Leaf:
    """One projection: the weight, the part of its output (`""` for all), and the root and width of what it took."""

    parameter: str
    part: str
    source: int
    width: int


@dataclass(frozen=True, slots=True)
class GatedProduct:
    """`gate * up`: the roots of both factors and of the result, and the projections behind each factor."""

    gate: int
    up: int
    gate_leaves: frozenset[Leaf]
    up_leaves: frozenset[Leaf]


@dataclass(frozen=True, slots=True)
class Dataflow:
    """What a tensor is inside a feed-forward block; see the module's steps.

    `active`: 2 when an activation function lies on the way, 1 when only a soft cap (tanh) does, else 0. `reduced`: one
    number per token, made from all units. `settled`: the root of the last tensor before the units were mixed
    (normalised) behind the activation function. `direct`: what a weight gave, untouched.
    """

    leaves: frozenset[Leaf]
    active: int = 0
    reduced: bool = False
    product: GatedProduct | None = None
    settled: int | None = None
    direct: bool = False


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter or what was selected from it; `flipped` when its last two dimensions were exchanged.

    `experts` int64 (a scalar or one per row) are the experts selected, None when the parameter is taken whole. `exact`
    is False when the values are no longer the parameter's own or no longer laid out as the parameter is.
    """

    parameter: str
    ndim: int
    flipped: bool = False
    experts: Tensor | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """All that is known of one tensor; tensors that hold the same values share a `root`.

    `rows` int64 [S] are indices into the rows of the tensor these rows were gathered from, -1 for a row that belongs to
    no token; `experts` int64 [S] is the expert of each row. Rows taken from one tensor share its `stem`.
    """

    root: int
    flow: Dataflow | None = None
    weight: Weight | None = None
    rows: Tensor | None = None
    experts: Tensor | None = None
    stem: int = -1

    @property
    def source(self) -> int:
        """The tensor of which these are some rows, or all."""
        return self.root if self.stem < 0 else self.stem


def gated_factors(left: Mark, right: Mark) -> GatedProduct | None:
    """Return the product that `left * right` is, or None when it is not `gate * up`."""
    a, b = left.flow, right.flow
    if a is None or b is None or a.reduced or b.reduced or a.active == b.active or a.leaves & b.leaves:
        return None
    if len({leaf.source for leaf in a.leaves | b.leaves}) != 1:
        return None
    if a.active > b.active:
        return GatedProduct(left.root, right.root, a.leaves, b.leaves)
    return GatedProduct(right.root, left.root, b.leaves, a.leaves)


def combine(
    name: str, tensors: Sequence[Tensor], marks: Sequence[Mark], product: GatedProduct | None
) -> Dataflow | None:
    """Return the flow of an elementwise function, a reduction or a norm of `tensors`; None where the flow ends."""
    flows = [mark.flow for mark in marks if mark.flow is not None]
    if not flows or any(_foreign(tensor, mark) for tensor, mark in zip(tensors, marks, strict=True)):
        return None
    whole = [mark for mark in marks if mark.flow is not None and not mark.flow.reduced]
    leaves = frozenset().union(*(flow.leaves for flow in flows))
    products = [product] if product else [flow.product for flow in flows if flow.product is not None]
    if name in ops.REDUCTIONS and len(tensors) == 1:
        return replace(flows[0], reduced=True, direct=False)
    mixing = name in ops.NORMS or (bool(whole) and any(flow.reduced for flow in flows))
    active = max(ops.strength(name), *(flow.active for flow in flows))
    return Dataflow(
        leaves, active, not whole, products[0] if products else None, _settled(whole, product, mixing=mixing)
    )


def _foreign(tensor: Tensor, mark: Mark) -> bool:
    """True for data that is neither of the flow, nor a constant, nor one number per token."""
    return mark.flow is None and mark.weight is None and tensor.numel() > 1 and tensor.shape[-1] != 1


def _settled(whole: Sequence[Mark], product: GatedProduct | None, *, mixing: bool) -> int | None:
    """Return the root of the last tensor behind the activation function before units were mixed."""
    if product is not None:
        return None
    known = [mark.flow.settled for mark in whole if mark.flow is not None and mark.flow.settled is not None]
    if known:
        return known[0]
    behind = [mark.root for mark in whole if mark.flow is not None and mark.flow.active]
    return behind[0] if mixing and behind else None


def part_of(flow: Dataflow, part: str) -> Dataflow:
    """Return the flow of a slice of the values."""
    leaves = frozenset(replace(leaf, part=f"{leaf.part}{part}") for leaf in flow.leaves)
    return replace(flow, direct=False, leaves=leaves)


def joined(marks: Sequence[Mark]) -> Dataflow | None:
    """Return the flow of rows put one below the other, when all of them are the same thing."""
    flows = {mark.flow for mark in marks}
    return marks[0].flow if len(flows) == 1 else None


def settled_root(mark: Mark) -> int:
    """Return the root of the hidden site for a tensor that arrived at a down projection."""
    return mark.root if mark.flow is None or mark.flow.settled is None else mark.flow.settled
