"""For authors of plug-ins and tests: a conformance kit for detectors, tiny models, planted truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nharness.testing.planted import PlantedModel, Planting, planted_model
    from nharness.testing.tiny import tiny_model

__all__ = ["PlantedModel", "Planting", "planted_model", "tiny_model"]


def __getattr__(name: str) -> Any:
    # what needs a tensor library is imported when it is asked for: the conformance kit does without
    if name == "tiny_model":
        from nharness.testing import tiny  # noqa: PLC0415 - see above

        return tiny.tiny_model
    if name in __all__:
        from nharness.testing import planted  # noqa: PLC0415 - see above

        return getattr(planted, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
