"""The ranges of a record's numbers and names, said once.

No number in a record is NaN or infinite: what could not be computed is null, and a flag or a reason says why.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from nharness.errors import PluginError
from nharness.spec import HIDDEN, LONGEST_NAME

Number: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e300, le=1e300)]
NonNegative: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1e300)]
Share: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
Correlation: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1, le=1)]
Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Flag: TypeAlias = Annotated[bool, Field(strict=True)]

LanguageTag: TypeAlias = Annotated[
    str, Field(strict=True, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=35)
]
Name: TypeAlias = Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_NAME, pattern=f"^[^{HIDDEN}]+$")]
Identifier: TypeAlias = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,99}$")]
ShortText: TypeAlias = Annotated[str, Field(strict=True, max_length=2_000, pattern=f"^[^{HIDDEN}]*$")]
LongText: TypeAlias = Annotated[
    str, Field(strict=True, max_length=200_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")
]
Digest: TypeAlias = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
Fingerprint: TypeAlias = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9:._-]{1,200}$")]
RelativeName: TypeAlias = Annotated[
    str, Field(strict=True, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")
]
Instant: TypeAlias = Annotated[str, Field(strict=True, pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
Options: TypeAlias = Annotated[dict[Name, JsonValue], Field(max_length=200)]

T = TypeVar("T")
Asserted = Annotated[T, Field(json_schema_extra={"x-asserted": True})]
"""A field that no file beside the record gives: whoever wrote the record says so."""
Shipped = Annotated[T, Field(json_schema_extra={"x-asserted": True, "x-recomputed": "where it ships with nharness"})]
"""The same, but for what `validate --deep` recomputes from a corpus or a truth that ships with nharness."""

KindName: TypeAlias = Literal["specific", "related", "general", "unassigned"]
Interval: TypeAlias = tuple[Number, Number]

MAX_LANGUAGES = 512
MAX_LAYERS = 1_024
MAX_CELLS = 100_000


_IDENTIFIER, _NAME = TypeAdapter[Any](Identifier), TypeAdapter[Any](Name)


def require_nameable(thing: object, called: str) -> None:
    """Raise `PluginError` for a detector or intervention whose name or version no record can hold."""
    for field, rule, expected in (
        ("name", _IDENTIFIER, "letters, digits and any of _.:+- (at most 100)"),
        ("version", _NAME, f"a text of at most {LONGEST_NAME} characters, none of them a control character"),
    ):
        try:
            rule.validate_python(str(getattr(thing, field)))
        except ValidationError as error:
            raise PluginError(
                f"{called!r} has the {field} {getattr(thing, field)!r:.60}; expected {expected}"
            ) from error


def one_line(text: str, *, limit: int = 2_000) -> str:
    """Return text as a short text of a record may be: one line, nothing hidden, no longer than `limit`."""
    return re.sub(f"[{HIDDEN}]+", " ", text)[:limit]


class Section(BaseModel):
    """Base of every part of a record: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=False)

    def document(self) -> dict[str, Any]:
        """Return the part as plain JSON values; nulls are written out, so that what is absent is seen."""
        return self.model_dump(mode="json")


class Estimate(Section):
    """A number with its uncertainty."""

    value: Number = Field(description="Point estimate, in the unit of the field that holds it.")
    interval: Interval | None = Field(
        None,
        description="Lower and upper end of the paired cluster-bootstrap interval at the confidence named under "
        "analysis, in the unit of the value; null where too few items or rows were there to resample.",
    )
    withheld: ShortText | None = Field(None, description="Why there is no interval; null where there is one.")
