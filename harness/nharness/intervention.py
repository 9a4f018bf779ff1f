"""What an intervention is: neurons in, changes of their activation out.

Legend: `n` neurons of the target, `M` neurons of the model.
An intervention sees statistics, neurons and errors and no model; the runner turns its changes into edits of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Generic, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar

from nharness.detector import Evidence, Need, bracketed, make_options
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
        _require_one_of("site", self.site, SITES)
        _require_one_of("values_from", self.values_from, VALUES_FROM)
        _require_neurons(self.flat)
        shape = np.shape(self.flat)
        for what, values in (("scale", self.scale), ("shift", self.shift)):
            if np.shape(values) != shape:
                raise PluginError(
                    f"a change has a {what} {list(np.shape(values))}; expected one number per neuron, {list(shape)}"
                )
            if not np.isfinite(values).all():
                raise PluginError(
                    f"a change has a {what} that is NaN or infinite; expected a finite number for every neuron"
                )


@dataclass(frozen=True)
class ValueChange:
    """`a -> function(a)` for the given neurons at one site, flat int64 [n]: any function of the values.

    function: defined at the top of a module, and given the values [S, k] that `k` of the neurons, those of one layer
    (or one expert), have at `S` tokens: a torch tensor of the model's dtype. It returns as many, and treats every token
    by itself. `parameters` are passed by name: a number as it is, an array whose first dimension is n as the tensor
    [k, ...] of the neurons at hand. With a `seed` it is also passed `noise` [S, k], standard normal, which hangs on the
    seed, the neuron, and the text up to the token. An affine function is better a `Change`, which can be folded into
    weights.
    """

    site: Literal["gate", "hidden"]
    flat: NDArray[np.int64]
    function: Callable[..., Any]
    parameters: Mapping[str, float | NDArray[Any]] = field(default_factory=dict)
    seed: int | None = None

    def __post_init__(self) -> None:
        """Raise `PluginError` for what no change can be."""
        _require_one_of("site", self.site, SITES)
        _require_neurons(self.flat)
        if not _found_again(self.function):
            named = getattr(self.function, "__qualname__", repr(self.function))
            raise PluginError(
                f"a change has function {named}; expected one defined at the top of a module, which other processes "
                "find by its name (what it depends on goes into parameters)"
            )
        for name, value in self.parameters.items():
            if name == "noise" or not name.isidentifier():
                raise PluginError(
                    f"a change has a parameter {name!r}; expected an argument of its function, not `noise`"
                )
            if np.ndim(value) and len(np.asarray(value)) != len(self.flat):
                raise PluginError(
                    f"a change has a parameter {name} {list(np.shape(value))}; expected a number, or an array whose "
                    f"first dimension is its {len(self.flat)} neurons"
                )
            if not np.isfinite(value).all():
                raise PluginError(f"a change has a parameter {name} that is NaN or infinite; expected finite numbers")


AnyChange = Change | ValueChange


def _require_one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise PluginError(f"a change has {what} {value!r}; expected one of {', '.join(map(repr, allowed))}")


def _require_neurons(given: NDArray[np.int64]) -> None:
    flat = np.asarray(given)
    if flat.ndim != 1 or flat.dtype.kind not in "iu" or (flat.size and flat.min() < 0):
        raise PluginError(f"a change has neurons {flat.dtype}{list(flat.shape)}; expected flat indices [n], 0 or above")
    if len(np.unique(flat)) < flat.size:
        raise PluginError("a change names a neuron twice")


def _found_again(function: Callable[..., Any]) -> bool:
    """True for what another process finds by its module and name."""
    name, module = (str(getattr(function, of, None) or "") for of in ("__qualname__", "__module__"))
    return bool(module) and getattr(import_module(module), name, None) is function


class InterventionOptions(BaseModel):
    """Base of an intervention's options: frozen, no unknown names, ranges in the fields; recorded verbatim."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


OptionsT = TypeVar("OptionsT", bound=InterventionOptions, default=InterventionOptions)


class Intervention(ABC, Generic[OptionsT]):
    """Base of all interventions; an instance holds its options and nothing else.

    `class Damp(Intervention[DampOptions])` has `DampOptions` as its options, for type checkers too.
    """

    name: str
    version: ClassVar[str] = "1"
    purpose: ClassVar[Purpose] = "harm"  # to harm a language, to "steer" towards one, to "restore" one: signs follow
    strength_option: ClassVar[str | None] = None  # the option that `--strength` sweeps
    needs_source: ClassVar[bool] = False  # whether `--source-language` must be given

    Options: ClassVar[type[InterventionOptions]] = InterventionOptions  # nested, assigned or in brackets
    options: OptionsT

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a purpose that no sign follows from."""
        super().__init_subclass__(**kwargs)
        if "Options" not in vars(cls):
            cls.Options = bracketed(cls, Intervention) or cls.Options
        if cls.purpose not in get_args(Purpose):
            raise PluginError(f"purpose of {cls.__name__} is {cls.purpose!r}; expected {', '.join(get_args(Purpose))}")

    def __init__(self, **options: Any) -> None:
        self.options = cast("OptionsT", make_options(f"intervention {self.name}", self.Options, options))

    def needs(self) -> tuple[Need, ...]:
        """Return what must be recorded beside the detector's own needs."""
        return ()

    @abstractmethod
    def changes(self, target: Target, evidence: Evidence) -> tuple[AnyChange, ...]:
        """Return the changes; none may be empty, and no neuron may be changed twice at one site."""
