"""What an intervention is: neurons in, changes of their activation out.

Legend: `n` neurons of the target, `M` neurons of the model.
An intervention sees statistics, neurons and errors and no model; the runner turns its changes into edits of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from nharness.detector import Evidence, Need, make_options
from nharness.errors import PluginError
from nharness.record.sources import Purpose

SITES = ("gate", "hidden")
VALUES_FROM = ("", "resample", "patch")


@dataclass(frozen=True)
class Target:
    """The neurons one cell deactivates: flat indices int64 [n], ascending, and the language they are held to be of.

    members: bool [G, M], the languages each neuron belongs to, for interventions that need the others.
    source: for `steer`, the language whose neurons are switched off while `language`'s are driven.
    """

    language: str
    flat: NDArray[np.int64]
    members: NDArray[np.bool_] | None = None
    source: str | None = None
    source_flat: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Change:
    """`a -> scale * a + shift` for the given neurons at one site: flat int64 [n], scale and shift float32 [n].

    values_from: "resample" or "patch" replaces the value instead by one of other text; scale and shift are then unused.
    donors: languages whose text the values come from, in order of preference; seed: of the random tokens.
    """

    site: Literal["gate", "hidden"]
    flat: NDArray[np.int64]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    values_from: Literal["", "resample", "patch"] = ""
    donors: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `PluginError` for what no change can be."""
        for what, value, allowed in (("site", self.site, SITES), ("values_from", self.values_from, VALUES_FROM)):
            if value not in allowed:
                raise PluginError(f"a change has {what} {value!r}; expected one of {', '.join(map(repr, allowed))}")
        flat, shape = np.asarray(self.flat), np.shape(self.flat)
        if flat.ndim != 1 or flat.dtype.kind not in "iu" or (flat.size and flat.min() < 0):
            raise PluginError(f"a change has neurons {flat.dtype}{list(shape)}; expected flat indices [n], 0 or above")
        if len(np.unique(flat)) < flat.size:
            raise PluginError("a change names a neuron twice")
        for what, values in (("scale", self.scale), ("shift", self.shift)):
            if np.shape(values) != shape:
                raise PluginError(
                    f"a change has a {what} {list(np.shape(values))}; expected one number a neuron, {list(shape)}"
                )
            if not np.isfinite(values).all():
                raise PluginError(
                    f"a change has a {what} that is NaN or infinite; expected a finite number for every neuron"
                )


class InterventionOptions(BaseModel):
    """Base of an intervention's options: frozen, no unknown names, ranges in the fields; recorded verbatim."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Intervention(ABC):
    """Base of all interventions; an instance holds its options and nothing else."""

    name: str
    version: ClassVar[str] = "1"
    purpose: ClassVar[Purpose] = "harm"  # to harm a language, to "steer" towards one, to "restore" one: signs follow
    strength_option: ClassVar[str | None] = None  # the option that `--strength` sweeps
    needs_source: ClassVar[bool] = False  # whether `--source-language` must be given

    Options: ClassVar[type[InterventionOptions]] = InterventionOptions  # a subclass's own model, nested or assigned
    options: InterventionOptions

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a purpose that no sign follows from."""
        super().__init_subclass__(**kwargs)
        if cls.purpose not in get_args(Purpose):
            raise PluginError(f"purpose of {cls.__name__} is {cls.purpose!r}; expected {', '.join(get_args(Purpose))}")

    def __init__(self, **options: Any) -> None:
        self.options = make_options(f"intervention {self.name}", self.Options, options)

    def needs(self) -> tuple[Need, ...]:
        """Return what must be recorded beside the detector's own needs."""
        return ()

    @abstractmethod
    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return the changes; none may be empty, and no neuron may be changed twice at one site."""
