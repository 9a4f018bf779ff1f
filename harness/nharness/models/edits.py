"""Edit the activations of a model, and undo it.

An affine edit is applied by hooks or folded into the weights that follow; `auto` folds whenever that is exact. A
`ValueEdit` is applied by hooks only. Shapes: `S` rows, `E` experts, `I` neurons of one expert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from nharness.errors import ModelError
from nharness.models.counting import count_edits
from nharness.models.edit import AnyEdit, Backend, EditReport, Given, Plan, Scope, SitePlan, ValueEdit, plan_edits
from nharness.models.folding import fold_edits, why_not_exact, why_not_foldable
from nharness.models.generation import Phase, watch_phase
from nharness.models.neuron_map import LayerNeurons, ModuleTap, NeuronMap
from nharness.models.noise import Noise, watch_text
from nharness.models.padding import how_many, text_among, text_at
from nharness.models.streams import layers_edited
from nharness.models.taps import SiteValues, visit_sites
from nharness.models.trace import is_compiled


@contextmanager
def apply_edits(
    model: nn.Module,
    neuron_map: NeuronMap,
    edits: Sequence[AnyEdit],
    *,
    backend: Backend = "auto",
    scope: Scope = "all",
) -> Iterator[EditReport]:
    """Edit `model` inside the context and leave it as it was, bit for bit, whatever happens inside.

    `backend="fold"` where folding is impossible, and hooks on a model that was compiled before, raise ModelError with
    the reason. `scope="generation"` edits only tokens that come one by one after a prompt held in a cache.
    """
    plan = plan_edits(neuron_map, edits)
    chosen = _backend(model, neuron_map, plan, backend, scope)
    report = EditReport(chosen)
    with ExitStack() as stack:
        stack.enter_context(layers_edited(_layers(neuron_map, plan, chosen)))
        phase = stack.enter_context(watch_phase(model)) if scope == "generation" else Phase(generating=True)
        if chosen == "fold":
            stack.enter_context(fold_edits(model, neuron_map, plan))
            stack.enter_context(count_edits(model, neuron_map, plan, report))
        elif plan:
            wanted = [(neuron_map.layers[layer], site) for layer, site in plan]
            seeded = any(edit.seed is not None for at in plan.values() for edit in at.values)
            noise = stack.enter_context(watch_text(model)) if seeded else None
            stack.enter_context(visit_sites(model, wanted, _Editor(plan, report, phase, noise)))
        yield report


def _layers(neuron_map: NeuronMap, plan: Plan, backend: str) -> dict[str, str | None]:
    """Return the layers that are edited; to each its down projection, where nothing before that is touched."""
    found: dict[str, str | None] = {}
    for index, site in plan:
        layer = neuron_map.layers[index]
        down = _down(layer, site, backend)
        found[layer.name] = down if found.get(layer.name, down) == down else None
    return found


def _down(layer: LayerNeurons, site: str, backend: str) -> str | None:
    """Return the one module that an edit at `site` changes, or whose input it changes; None where it is another."""
    segment = layer.segments[0]
    if len(layer.segments) > 1 or segment.routed or segment.passes > 1:
        return None
    down = segment.down.module
    return down if backend == "fold" or segment.tap(site) == ModuleTap(down or "", "input") else None


def _backend(model: nn.Module, neuron_map: NeuronMap, plan: Plan, backend: Backend, scope: Scope) -> str:
    """Choose the backend, or say why the one asked for is impossible."""
    if scope == "generation":
        reason: str | None = "only tokens after the prompt are edited"
    else:
        reason = why_not_foldable(model, neuron_map, plan)
    if backend == "fold" and reason is not None:
        raise ModelError(f"this edit cannot be folded into the weights: {reason}; use the hook backend")
    if backend == "fold":
        return "fold"
    if backend == "auto" and reason is None and why_not_exact(model, neuron_map, plan) is None:
        return "fold"
    if plan and is_compiled(model):
        raise ModelError(
            "hooks added to a model after torch.compile are ignored by the compiled code: compile inside the context, "
            "edit the module that was compiled (model._orig_mod), or use an edit that can be folded into the weights"
            + (f" (here it cannot: {reason})" if reason else "")
        )
    return "hook"


class _Editor:
    """Applies a plan to the values that are visited."""

    def __init__(self, plan: Plan, report: EditReport, phase: Phase, noise: Noise | None) -> None:
        self.plan, self.report, self.phase, self.noise = plan, report, phase, noise
        self._vectors: dict[tuple[int, str, int, torch.device, torch.dtype], tuple[Tensor, Tensor | None, Tensor]] = {}

    def __call__(self, seen: SiteValues) -> Tensor | None:
        """Return the edited values [S, I], or None when none of these units is edited."""
        edits = self.plan[seen.layer.index, seen.site]
        scale, shift, counts = self._at(seen, edits)
        if not self.phase.generating or not len(counts):
            return None
        if seen.experts is None:
            self.report.add(counts.sum() * how_many(len(seen.values)))
            edited = seen.values * scale[0] if shift is None else torch.addcmul(shift[0], seen.values, scale[0])
        else:
            touched = counts[seen.experts]
            edited = seen.values * scale[seen.experts]
            edited = edited if shift is None else edited + shift[seen.experts]
            if seen.rows is not None:
                # A row that stands for no token is computed and must stay what it is: zero.
                edited = torch.where((seen.rows < 0)[:, None], seen.values, edited)
            text = text_among(len(touched)) if seen.rows is None else text_at(seen.rows)
            self.report.add((touched if text is None else touched.masked_fill(~text.to(touched.device), 0)).sum())
        return _with_values(seen, edits, edited, self.noise)

    def _at(self, seen: SiteValues, edits: SitePlan) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return scale [E, I], shift [E, I] (None when nothing is shifted) and units edited per expert [E] or []."""
        segment, values = seen.segment, seen.values
        key = (seen.layer.index, seen.site, segment.first_unit, values.device, values.dtype)
        if key not in self._vectors:
            inside = slice(segment.first_unit, segment.first_unit + segment.units)
            shape = (segment.experts, segment.width)
            counts = edits.touched[inside].reshape(shape).sum(1).to(values.device)
            shift = edits.shift[inside].reshape(shape).to(values.device, values.dtype)
            self._vectors[key] = (
                edits.scale[inside].reshape(shape).to(values.device, values.dtype),
                shift if bool((shift != 0).any()) else None,
                counts if bool(counts.any()) else counts[:0],
            )
        return self._vectors[key]


def _with_values(seen: SiteValues, edits: SitePlan, edited: Tensor, noise: Noise | None) -> Tensor:
    """Put the values of the edits that are not affine in place."""
    for edit in edits.values:
        units = edit.units.to(edited.device) - seen.segment.first_unit
        inside = (units >= 0) & (units < seen.segment.units)
        rows = torch.arange(len(edited), device=edited.device) if seen.rows is None else seen.rows
        for expert in sorted(set((units[inside] // seen.segment.width).tolist())):
            mine = inside & (units // seen.segment.width == expert)
            here = _rows_of(seen, expert, len(edited), edited.device)
            if len(here):
                columns = (units[mine] % seen.segment.width).expand(len(here), -1)
                places, tokens = mine.nonzero().reshape(-1), rows[here]
                drawn = None
                if edit.seed is not None and noise is not None:
                    drawn = noise.at(tokens, edit.units.to(tokens.device)[mine], (edit.seed, edit.layer, edit.site))
                given = Given(edited[here[:, None], columns], places, tokens, drawn)
                edited = edited.index_put((here[:, None], columns), _values(edit, given))
    return edited


def _values(edit: ValueEdit, given: Given) -> Tensor:
    """Return the edit's values [S, k]; raises ModelError for anything of another shape."""
    values = edit.values(given)
    if not isinstance(values, Tensor) or values.shape != given.values.shape:
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ModelError(
            f"an edit of layer {edit.layer} was given activations {list(given.values.shape)} (tokens, units) and "
            f"returned {shape}; expected a tensor of the same shape"
        )
    return values.to(given.values.dtype)


def _rows_of(seen: SiteValues, expert: int, count: int, device: torch.device) -> Tensor:
    """Return the places of the rows that went to `expert`."""
    if seen.experts is None:
        return torch.arange(count, device=device)
    sent = seen.experts == expert if seen.rows is None else (seen.experts == expert) & (seen.rows >= 0)
    return sent.nonzero().reshape(-1)
