"""What an edit is: values to put in place of activations, written per layer, site and unit.

Shapes: `n` units of an edit, `W` all units of a layer, `S` rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from nharness.errors import ModelError
from nharness.models.neuron_map import SITES, NeuronMap

Backend = Literal["auto", "hook", "fold"]
Scope = Literal["all", "generation"]


@dataclass(frozen=True, eq=False)
class Edit:
    """`a -> scale*a + shift` for some units of one layer at one site (`gate` or `hidden`).

    `units` int64 [n] are units of the layer, each at most once; `scale` and `shift` are float32 [n].
    """

    layer: int
    site: str
    units: Tensor
    scale: Tensor
    shift: Tensor

    @classmethod
    def zero(cls, layer: int, units: Tensor | Sequence[int], site: str = "hidden") -> Edit:
        """Return the edit that switches `units` off."""
        return cls.affine(layer, units, scale=0.0, shift=0.0, site=site)

    @classmethod
    def affine(
        cls, layer: int, units: Tensor | Sequence[int], *, scale: float, shift: float, site: str = "hidden"
    ) -> Edit:
        """Return the edit with one scale and one shift for all `units`."""
        chosen = torch.as_tensor(units, dtype=torch.int64).reshape(-1)
        return cls(layer, site, chosen, torch.full(chosen.shape, scale), torch.full(chosen.shape, shift))


@dataclass(frozen=True, eq=False, slots=True)
class Given:
    """What a `ValueEdit` is given: the activations of some of its units at some tokens.

    `values` is [S, k] in the model's dtype, a copy; `columns` int64 [k] are the places of these units in the edit's
    `units`; `rows` int64 [S] are flat token indices; `noise` [S, k] is standard normal where the edit has a seed.
    """

    values: Tensor
    columns: Tensor
    rows: Tensor
    noise: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ValueEdit:
    """Other values in place of the activations of `units` int64 [n] of one layer at one site.

    `values` is given the activations at hand and returns as many, [S, k]. It is called once per block, and once per
    expert that has some of the units and some tokens. `seed` asks for noise (`nharness.models.noise` says of what).
    """

    layer: int
    site: str
    units: Tensor
    values: Callable[[Given], Tensor]
    seed: int | None = None


AnyEdit = Edit | ValueEdit


@dataclass
class EditReport:
    """What an edit did: the backend chosen, and how many activations (tokens x units, padding left out) it changed."""

    backend: str
    _counts: list[Tensor] = field(default_factory=list)

    @property
    def edited_activations(self) -> int:
        """Number of activations edited until now; grows while the model runs."""
        if len(self._counts) > 1:
            self._counts[:] = [torch.stack([count.cpu() for count in self._counts]).sum()]
        return int(self._counts[0]) if self._counts else 0

    def add(self, count: int | Tensor) -> None:
        """Count some more; a tensor is read only when the count is, so that the accelerator is not waited for."""
        self._counts.append(torch.as_tensor(count, dtype=torch.int64))
        if len(self._counts) > 512:
            self._counts[:] = [torch.tensor(self.edited_activations)]


@dataclass(eq=False)
class SitePlan:
    """All edits of one layer at one site: the affine ones as vectors [W], then the others in order."""

    scale: Tensor
    shift: Tensor
    touched: Tensor
    values: list[ValueEdit] = field(default_factory=list)

    @property
    def shifts(self) -> bool:
        """True when some activation gets a constant."""
        return bool((self.shift != 0).any())


Plan = dict[tuple[int, str], SitePlan]


def plan_edits(neuron_map: NeuronMap, edits: Iterable[AnyEdit]) -> Plan:
    """Put edits together per (layer, site); affine edits of the same unit are applied one after the other.

    A layer, site or unit that does not exist, a unit named twice in one edit, or vectors of different lengths raise
    ModelError saying what exists.
    """
    plan: Plan = {}
    for edit in edits:
        _check(neuron_map, edit)
        if not len(edit.units):
            continue
        width = neuron_map.layers[edit.layer].width
        site = plan.setdefault(
            (edit.layer, edit.site),
            SitePlan(torch.ones(width), torch.zeros(width), torch.zeros(width, dtype=torch.bool)),
        )
        units = edit.units.cpu()
        site.touched[units] = True
        if isinstance(edit, ValueEdit):
            site.values.append(edit)
            continue
        scale, shift = edit.scale.detach().float().cpu(), edit.shift.detach().float().cpu()
        site.shift[units] = site.shift[units] * scale + shift
        site.scale[units] = site.scale[units] * scale
    return plan


def _check(neuron_map: NeuronMap, edit: AnyEdit) -> None:
    """Refuse an edit that does not fit the map."""
    layers = neuron_map.layers
    if not 0 <= edit.layer < len(layers):
        raise ModelError(f"no layer {edit.layer}: the model has feed-forward layers 0 to {len(layers) - 1}")
    if edit.site not in SITES:
        raise ModelError(f"no site {edit.site!r} to edit: known are {', '.join(SITES)}")
    units, width = edit.units, layers[edit.layer].width
    if units.dtype != torch.int64 or units.ndim != 1:
        raise ModelError(f"units must be int64 in one dimension, got {units.dtype} of shape {tuple(units.shape)}")
    if len(units) and (int(units.min()) < 0 or int(units.max()) >= width):
        raise ModelError(f"layer {edit.layer} has units 0 to {width - 1}, got {int(units.min())} to {int(units.max())}")
    if len(torch.unique(units)) != len(units):
        raise ModelError(f"a unit of layer {edit.layer} is named twice in one edit")
    if isinstance(edit, Edit) and not len(edit.scale) == len(edit.shift) == len(units):
        raise ModelError(f"{len(units)} units, but {len(edit.scale)} scales and {len(edit.shift)} shifts")
