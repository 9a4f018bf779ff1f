"""Values that a type allows to be None, where a test says that they are there."""

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """Return the value; the test fails where there is none."""
    assert value is not None
    return value
