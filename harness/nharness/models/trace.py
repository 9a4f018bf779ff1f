"""One traced forward pass over a few tokens: every down projection reached, and what each module took and gave."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models.flow import Dataflow, Leaf, Mark, Weight, settled_root
from nharness.models.follow import Arrival, Follower
from nharness.models.operations import INTEGERS, tensors_in
from nharness.models.parameter_names import ParameterNames
from nharness.replacing import replaced

TRACE_BATCH, TRACE_LENGTH = 2, 5


@dataclass(frozen=True)
class FoundBlock:
    """One feed-forward block met in the traced pass.

    `hidden_root` is the root of the hidden site, `shape` that of the hidden vectors that arrived, `path` the smallest
    module that contains all of the block; with routed experts, the smallest such module that is given every token.
    """

    flow: Dataflow
    hidden_root: int
    parameter: str
    weight_unit_dim: int
    parameter_shape: tuple[int, ...]
    exact: bool
    routed: bool
    width: int
    shape: tuple[int, ...]
    path: str


@dataclass
class Trace:
    """What the traced pass showed: blocks in order, and the modules that took or gave each root, in call order.

    `activated` are the weights whose products went through an activation function, `told` the modules that were given
    whole numbers per token: the routing.
    """

    blocks: list[FoundBlock] = field(default_factory=list)
    took: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    gave: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    activated: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)


class _Tracer(Follower):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(ParameterNames(model))
        named = model.named_parameters(remove_duplicate=False)
        self.shapes = {name: tuple(parameter.shape) for name, parameter in named}
        self.trace = Trace()
        self.stack: list[str] = []
        self.opaque = {name: module for name, module in model.named_modules() if is_opaque_linear(module)}
        self.leaf_stacks: dict[Leaf, tuple[str, ...]] = {}

    def enter(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.stack.append(name)
        self.trace.calls[name] += 1
        tensors = tensors_in((*args, *kwargs.values()))
        for tensor in tensors[:1]:
            self.trace.took[self.mark_of(tensor).root].append(name)
        if any(tensor.dtype in INTEGERS and tensor.shape[:1] == (TRACE_BATCH * TRACE_LENGTH,) for tensor in tensors):
            self.trace.told.add(name)

    def leave(self, name: str, args: tuple[Any, ...], output: Any) -> None:
        if name in self.opaque and args and isinstance(output, Tensor):
            self._project(name, args[0], output)
        self.stack.pop()
        for tensor in tensors_in(output if isinstance(output, tuple | list) else (output,))[:1]:
            self.trace.gave[self.mark_of(tensor).root].append(name)

    def _project(self, name: str, values: Tensor, output: Tensor) -> None:
        """Take a module that is a projection by what it says of itself for one, whatever it computes with."""
        mark = self.mark_of(values)
        weight = Weight(f"{name}.weight", 2, exact=False)
        leaf = Leaf(weight.parameter, "", mark.source, values.shape[-1])
        self.on_projection(leaf)
        self.marks[output] = Mark(next(self.roots), Dataflow(frozenset({leaf}), direct=True))
        if mark.flow is not None and mark.flow.active and not mark.flow.reduced:
            self.on_departure(Arrival(values, mark, weight, -1, 1), output)

    def on_projection(self, leaf: Leaf) -> None:
        self.leaf_stacks[leaf] = tuple(self.stack)

    def on_activation(self, flow: Dataflow) -> None:
        self.trace.activated.update(leaf.parameter for leaf in flow.leaves)

    def on_departure(self, arrival: Arrival, output: Tensor) -> None:
        flow = arrival.mark.flow
        if flow is None or output.shape[arrival.unit_dim] != next(iter(flow.leaves)).width:
            return
        width = arrival.values.shape[arrival.unit_dim]
        whole = {Leaf(leaf.parameter, "", leaf.source, leaf.width) for leaf in flow.leaves}
        self.trace.blocks.append(
            FoundBlock(
                flow=flow,
                hidden_root=settled_root(arrival.mark),
                parameter=arrival.weight.parameter,
                weight_unit_dim=arrival.weight_unit_dim,
                parameter_shape=self.shapes.get(arrival.weight.parameter, ()),
                exact=arrival.weight.exact,
                routed=arrival.mark.experts is not None,
                width=width,
                shape=tuple(arrival.values.shape),
                path=self._path([tuple(self.stack), *(self.leaf_stacks[leaf] for leaf in whole)], flow),
            )
        )

    def _path(self, stacks: Sequence[Sequence[str]], flow: Dataflow) -> str:
        """Return the innermost of the modules around all of `stacks` that took what the block projects."""
        around = common_prefix(stacks)
        took = {name for leaf in flow.leaves for name in self.trace.took.get(leaf.source, ())}
        return next((name for name in reversed(around) if name in took), around[-1] if around else "")


def trace(model: nn.Module) -> Trace:
    """Run `model` once on a few tokens, in evaluation mode and without gradients, and return what was met.

    The model is left as it was: training flags restored, hooks removed. A model whose forward pass does not run on
    token ids alone raises ModelError with the reason.
    """
    tracer = _Tracer(model)
    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        stack.enter_context(_module_calls(model, tracer))
        stack.enter_context(torch.no_grad())
        if is_compiled(model):  # else the tracer itself would be compiled, which takes a minute
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(tracer)
        run_on_tokens(model)
    return tracer.trace


def run_on_tokens(model: nn.Module) -> None:
    """Run a forward pass of TRACE_BATCH x TRACE_LENGTH token ids."""
    accepted = inspect.signature(model.forward).parameters
    options = {"use_cache": False} if "use_cache" in accepted else {}
    ids = torch.arange(TRACE_BATCH * TRACE_LENGTH, device=input_device(model)).reshape(TRACE_BATCH, TRACE_LENGTH)
    try:
        model(input_ids=ids % 7 + 3, **options)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError, KeyError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{type(model).__name__} does not run on token ids alone, so its neurons cannot be located: {reason}; "
            "give `plugins=` a callable that returns its NeuronMap"
        ) from error


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode; restore each module's own flag afterwards."""
    training = [module for module in model.modules() if module.training]
    with ExitStack() as undo:
        for module in training:
            undo.enter_context(replaced(module, "training", False))
        if training:
            model.eval()
        yield


@contextmanager
def _module_calls(model: nn.Module, tracer: _Tracer) -> Iterator[None]:
    """Tell the tracer of every module call."""
    handles: list[Any] = []
    try:
        for name, module in model.named_modules():
            if name:
                handles.append(module.register_forward_pre_hook(_entering(tracer, name), with_kwargs=True))
                handles.append(module.register_forward_hook(_leaving(tracer, name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _entering(tracer: _Tracer, name: str) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tracer.enter(name, args, kwargs)

    return hook


def _leaving(tracer: _Tracer, name: str) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        tracer.leave(name, args, output)

    return hook


def input_device(model: nn.Module) -> torch.device:
    """Return the device on which the model takes its token ids."""
    embeddings = getattr(model, "get_input_embeddings", lambda: None)()
    weight = getattr(embeddings, "weight", None)
    if isinstance(weight, Tensor) and weight.device.type != "meta":
        return weight.device
    devices = [parameter.device for parameter in model.parameters() if parameter.device.type != "meta"]
    return devices[0] if devices else torch.device("cpu")


def is_opaque_linear(module: nn.Module) -> bool:
    """True for a linear module whose weight is no plain number per connection: quantised, or packed otherwise."""
    widths = (getattr(module, "in_features", None), getattr(module, "out_features", None))
    if not all(isinstance(width, int) for width in widths) or any(True for _ in module.children()):
        return False
    weight = getattr(module, "weight", None)
    if type(weight) is not nn.Parameter or not isinstance(module, nn.Linear):
        return True
    numbers = weight.dtype.is_floating_point and weight.dtype.itemsize > 1  # one byte is an 8-bit float's code
    return not (numbers and weight.shape == widths[::-1])


def is_compiled(model: nn.Module) -> bool:
    """True when some module runs compiled code."""
    return any(
        getattr(module, "_compiled_call_impl", None) is not None or type(module).__name__ == "OptimizedModule"
        for module in model.modules()
    )


def common_prefix(stacks: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the module calls that all stacks begin with."""
    prefix: list[str] = []
    for names in zip(*stacks, strict=False):
        if len(set(names)) > 1:
            break
        prefix.append(names[0])
    return tuple(prefix)
