"""The names of parameters by identity, also of those that come into memory only while their module runs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a parameter is kept: attribute `key` of the module `owner`."""

    name: str
    owner: nn.Module
    key: str

    def holds(self, tensor: Tensor) -> bool:
        return getattr(self.owner, self.key, None) is tensor


class ParameterNames:
    """Names of the parameters of one module, `prefix` put in front; the first name of one that has several.

    An offloaded parameter is another object every time its module runs, and an object that is gone may leave its
    identity to another: what a place holds is looked at again each time.
    """

    def __init__(self, module: nn.Module, prefix: str = "") -> None:
        self._known: dict[int, _Place] = {}
        self._offloaded: list[_Place] = []
        for path, owner in module.named_modules(prefix=prefix, remove_duplicate=False):
            for key, parameter in owner.named_parameters(recurse=False, remove_duplicate=False):
                place = _Place(f"{path}.{key}" if path else key, owner, key)
                if parameter.is_meta:
                    self._offloaded.append(place)
                else:
                    self._known.setdefault(id(parameter), place)

    def of(self, tensor: Tensor) -> str | None:
        """Return the name of a parameter, None for any other tensor."""
        place = self._known.get(id(tensor))
        if place is not None and place.holds(tensor):
            return place.name
        if self._offloaded and isinstance(tensor, nn.Parameter):
            return next((place.name for place in self._offloaded if place.holds(tensor)), None)
        return None
