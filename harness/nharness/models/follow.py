"""Follow the data of a forward pass: a `TorchFunctionMode` that keeps the marks of `flow.py`.

It sees every torch function the model calls from Python, whether in a module of its own or not, and changes nothing
unless a subclass returns other tensors from `on_product` or `on_arrival`.

Shapes: `S` rows, `E` experts, `n` rows per expert, `D` model width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

import nharness.models.operations as ops
from nharness.models.flow import Dataflow, GatedProduct, Leaf, Mark, Weight, combine, gated_factors, joined, part_of
from nharness.models.parameter_names import ParameterNames
from nharness.models.routing import cut_rows, expert_of_rows, repeated_rows, splits_rows


@dataclass(frozen=True, slots=True)
class Arrival:
    """A flow meeting a weight: `values` is the tensor, `unit_dim` its dimension that counts neurons.

    `weight_unit_dim` (not negative) is the dimension of the parameter that counts neurons.
    """

    values: Tensor
    mark: Mark
    weight: Weight
    unit_dim: int
    weight_unit_dim: int


class Follower(TorchFunctionMode):
    """Mark every tensor that is made while this mode is active; `names` knows the weights."""

    def __init__(self, names: ParameterNames) -> None:
        super().__init__()
        self.names = names
        self.marks: Any = WeakIdKeyDictionary()
        self.roots: Iterator[int] = count()

    def on_product(self, gate: Tensor, up: Tensor, _product: GatedProduct, _mark: Mark) -> tuple[Tensor, Tensor]:
        """See the factors of `gate * up`; return those to multiply. The mark is the gate's."""
        return gate, up

    def on_arrival(self, arrival: Arrival) -> Tensor:
        """See the vector that meets the down projection; return the one to go on with."""
        return arrival.values

    def on_projection(self, leaf: Leaf) -> None:
        """See that a flow starts here."""

    def on_activation(self, flow: Dataflow) -> None:
        """See that a flow passes an activation function."""

    def on_departure(self, arrival: Arrival, output: Tensor) -> None:
        """See what the down projection made of an arrival."""

    def mark_of(self, tensor: Tensor) -> Mark:
        """Return what is known of `tensor`; a tensor never seen before gets a root of its own."""
        mark: Mark | None = self.marks.get(tensor)
        if mark is None or (type(tensor) is not Tensor and mark.weight is None):
            # A parameter may be brought into memory first and into its place, where it has a name, afterwards.
            name = self.names.of(tensor)
            mark = Mark(next(self.roots), weight=None if name is None else Weight(name, tensor.ndim))
            self.marks[tensor] = mark
        return mark

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func` as it would have run and mark what it returns."""
        kwargs = dict(kwargs or {})
        name = ops.function_name(func)
        if name in ops.HARMLESS:
            return func(*args, **kwargs)
        factors = ops.matrix_product(name, args, kwargs)
        if factors is not None:
            return self._multiply(func, args, kwargs, factors)
        product, taken = self._gated(name, args)
        result = func(*taken, **kwargs)
        tensors = ops.tensors_in((*args, *kwargs.values()))
        if tensors:
            self._mark(ops.Call(name, args, kwargs, tensors), product, result)
        return result

    def _multiply(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], factors: ops.MatrixProduct
    ) -> Any:
        """Run a matrix product; with a weight for a factor it starts a flow, and may be where one arrives."""
        left, right = self.mark_of(factors.left), self.mark_of(factors.right)
        if right.weight is not None and left.weight is None:
            values, slot, unit_dim, mark = factors.left, factors.left_slot, -1, left
            weight, dim = right.weight, factors.right_dim
        elif left.weight is not None and right.weight is None:
            values, slot, unit_dim, mark = factors.right, factors.right_slot, -2, right
            weight, dim = left.weight, -1
        else:
            return func(*args, **kwargs)
        mark = expert_of_rows(mark, weight, values, unit_dim, factors.offsets)
        arrival = None
        if mark.flow is not None and mark.flow.active and not mark.flow.reduced:
            arrival = Arrival(values, mark, weight, unit_dim, _parameter_dim(weight, dim))
            args = ops.put(args, kwargs, slot, self.on_arrival(arrival))
        result = func(*args, **kwargs)
        leaf = _leaf(weight, mark, values.shape[unit_dim])
        self.on_projection(leaf)
        flow = Dataflow(frozenset({leaf}), direct=True)
        self.marks[result] = Mark(next(self.roots), flow, None, mark.rows, mark.experts)
        if arrival is not None:
            self.on_departure(arrival, result)
        return result

    def _gated(self, name: str, args: tuple[Any, ...]) -> tuple[GatedProduct | None, tuple[Any, ...]]:
        """Let a subclass see both sites when this call multiplies gate and up projection."""
        if name not in ops.MULTIPLICATIONS or len(args) != 2 or not all(isinstance(arg, Tensor) for arg in args):
            return None, args
        marks = [self.mark_of(arg) for arg in args]
        product = gated_factors(marks[0], marks[1])
        if product is None or args[0].shape[-1] != args[1].shape[-1]:
            return None, args
        first = 0 if marks[0].root == product.gate else 1
        gate, up = self.on_product(args[first], args[1 - first], product, marks[first])
        return product, (gate, up) if first == 0 else (up, gate)

    def _mark(self, call: ops.Call, product: GatedProduct | None, result: Any) -> None:
        """Mark the result of a function that is no matrix product."""
        first = self.mark_of(call.tensors[0])
        if call.name in ops.PARTS:
            self._mark_parts(call, first, result)
        elif not isinstance(result, Tensor):
            return
        elif call.name in ops.TRANSPOSES:
            self.marks[result] = self._transposed(first, call.tensors[0], result)
        elif call.name in ops.ALIASES:
            self.marks[result] = _reshaped(first, call.tensors[0], result)
        elif call.name in ops.REPEATS:
            rows = repeated_rows(call, result)
            self.marks[result] = Mark(next(self.roots), rows=rows, stem=first.source)
        elif call.name == "cat":
            self.marks[result] = self._joined(call)
        elif result is not call.tensors[0] or first.weight is None:
            self.marks[result] = self._elementwise(call, product)

    def _elementwise(self, call: ops.Call, product: GatedProduct | None) -> Mark:
        """Mark the result of a function of several tensors."""
        root = next(self.roots)
        if call.name not in ops.CONTINUING:
            return Mark(root)
        marks = [self.mark_of(tensor) for tensor in call.tensors]
        if all(mark.weight is not None for mark in marks):
            weight = marks[0].weight
            return Mark(root, weight=None if weight is None else replace(weight, exact=False))
        flow = combine(call.name, call.tensors, marks, product)
        if flow is not None and ops.strength(call.name):
            self.on_activation(flow)
        carrier = next((mark for mark in marks if mark.rows is not None or mark.experts is not None), None)
        if carrier is None or (flow is None and call.name not in ops.MULTIPLICATIONS):
            return Mark(root, flow)
        return Mark(root, flow, None, carrier.rows, carrier.experts)

    def _mark_parts(self, call: ops.Call, first: Mark, result: Any) -> None:
        """Mark slices, and rows gathered by an index."""
        tensor, index = call.tensors[0], call.index
        many = isinstance(result, tuple | list)
        if not many and isinstance(index, Tensor) and index.dtype in ops.INTEGERS and index.ndim <= 1:
            self.marks[result] = self._gathered(first, index)
        elif not many and tensor is call.args[0] and result.numel() == tensor.numel():
            self.marks[result] = first
        elif splits_rows(call):
            for part, mark in zip(result, cut_rows(first, tensor, [len(part) for part in result]), strict=True):
                self.marks[part] = replace(mark, root=next(self.roots))
        elif first.flow is not None:
            for position, part in enumerate(result if many else (result,)):
                label = f"{call.name}[{position if many else index}]"
                self.marks[part] = replace(first, root=next(self.roots), flow=part_of(first.flow, label))
        elif first.weight is not None and not many:
            expert = torch.tensor(index) if isinstance(index, int) else None
            weight = replace(first.weight, experts=expert, exact=expert is not None and first.weight.exact)
            self.marks[result] = Mark(next(self.roots), weight=weight)

    def _joined(self, call: ops.Call) -> Mark:
        """Mark rows put one below the other."""
        root = next(self.roots)
        marks: Sequence[Mark] = [self.mark_of(tensor) for tensor in call.tensors]
        dim = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)
        if dim != 0 or any(mark.rows is None for mark in marks):
            return Mark(root)
        rows = torch.cat([mark.rows for mark in marks if mark.rows is not None])
        experts = [mark.experts for mark in marks if mark.experts is not None]
        return Mark(root, joined(marks), None, rows, torch.cat(experts) if len(experts) == len(marks) else None)

    def _gathered(self, mark: Mark, index: Tensor) -> Mark:
        """Mark `tensor[index]`: experts of a weight, or rows of an activation."""
        root = next(self.roots)
        if mark.weight is not None:
            return Mark(root, weight=replace(mark.weight, experts=index))
        return Mark(root, mark.flow, None, index if mark.rows is None else mark.rows[index], None, mark.source)

    def _transposed(self, mark: Mark, tensor: Tensor, result: Tensor) -> Mark:
        """Mark a transposition; only one of the last two dimensions of a weight is followed."""
        if mark.weight is None:
            return Mark(next(self.roots))
        last_two = result.ndim == tensor.ndim and result.shape[:-2] == tensor.shape[:-2]
        swapped = last_two and result.stride()[-2:] == tensor.stride()[-2:][::-1]
        weight = replace(mark.weight, flipped=not mark.weight.flipped, exact=mark.weight.exact and swapped)
        return Mark(next(self.roots), weight=weight)


def _reshaped(mark: Mark, tensor: Tensor, result: Tensor) -> Mark:
    """Mark another view of the same values; a weight that was re-cut is no longer laid out as its parameter."""
    if mark.weight is not None and (result.shape != tensor.shape or result.dtype != tensor.dtype):
        return replace(mark, weight=replace(mark.weight, exact=False))
    return mark


def _leaf(weight: Weight, mark: Mark, width: int) -> Leaf:
    """Return the projection of a tensor; the second of a low-rank pair is one of what the first took."""
    flow = mark.flow
    if flow is not None and flow.direct:
        first = next(iter(flow.leaves))
        return Leaf(weight.parameter, "", first.source, first.width)
    return Leaf(weight.parameter, "", mark.source, width)


def _parameter_dim(weight: Weight, dim: int) -> int:
    """Return which dimension of the parameter `dim` (-1 or -2) of the selected, perhaps flipped weight is."""
    from_end = {-1: -2, -2: -1}[dim] if weight.flipped else dim
    return weight.ndim + from_end
