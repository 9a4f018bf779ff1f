"""Count what edits folded into the weights change, by hooks that only look at shapes and at the routing.

Shapes: `E` experts, `k` experts per token, `D` model width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from nharness.models.edit import EditReport, Plan
from nharness.models.neuron_map import NeuronMap, Segment
from nharness.models.operations import INTEGERS, tensors_in
from nharness.models.padding import how_many, text_among, text_at
from nharness.models.taps import SiteValues, visit_segment


@contextmanager
def count_edits(model: nn.Module, neuron_map: NeuronMap, plan: Plan, report: EditReport) -> Iterator[None]:
    """Add tokens x units to `report`, padding left out, whenever an edited block runs.

    Experts that are not told their tokens as whole numbers are followed, which costs what hooks cost.
    """
    with ExitStack() as stack:
        for (index, _), edits in plan.items():
            layer = neuron_map.layers[index]
            for segment in layer.segments:
                counts = edits.touched[segment.first_unit : segment.first_unit + segment.units]
                counts = counts.reshape(segment.experts, segment.width).sum(1)
                if not bool(counts.any()):
                    continue
                if segment.routed and not segment.told:
                    stack.enter_context(visit_segment(model, (layer, segment, "hidden"), _visitor(counts, report)))
                    continue
                module = model.get_submodule(segment.block if segment.routed else segment.down.module or segment.block)
                hook = module.register_forward_pre_hook(_counter(segment, counts, report), with_kwargs=True)
                stack.callback(hook.remove)
        yield


def _visitor(counts: Tensor, report: EditReport) -> Callable[[SiteValues], None]:
    """Return what counts the rows of each expert; `counts` int64 [E] are the edited units per expert."""

    def visit(seen: SiteValues) -> None:
        if seen.experts is not None:
            here = counts.to(seen.experts.device)[seen.experts]
            text = text_among(len(here)) if seen.rows is None else text_at(seen.rows)
            report.add((here if text is None else here[text.to(here.device)]).sum())

    return visit


def _counter(segment: Segment, counts: Tensor, report: EditReport) -> Callable[..., None]:
    """Return the hook that counts for one segment; `counts` int64 [E] are its edited units per expert."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = tensors_in((*args, *kwargs.values()))
        if segment.routed:
            chosen = next(tensor for tensor in tensors if tensor.dtype in INTEGERS).reshape(-1)
            met, text = (chosen >= 0) & (chosen < segment.experts), text_among(len(chosen))
            met = chosen[met if text is None else met & text.to(met.device)].long()
            report.add(counts.to(met.device)[met].sum())
        else:
            report.add(int(counts.sum()) * how_many(tensors[0].numel() // tensors[0].shape[-1]))

    return before
