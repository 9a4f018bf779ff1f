"""A reproduction: what came of making a record again, written beside it; it alone earns the badge `reproduced`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nharness.record.sources import Environment, Source
from nharness.record.types import Count, Digest, Identifier, Instant, LanguageTag, Name, NonNegative, Section, ShortText

REPRODUCTION_NAME = "reproduction.json"
REPRODUCTION_FORMAT: Literal["nharness-reproduction/1"] = "nharness-reproduction/1"


class ItemDifference(Section):
    """One item that came out otherwise."""

    task: Identifier = Field(description="Name of the task.")
    target: Name | None = Field(description="Name of the target, or of a rung (fr#64); null for the intact model.")
    control: Count | None = Field(description="Number of the random draw; null for the detection's own neurons.")
    language: LanguageTag = Field(description="Language evaluated.")
    id: Name = Field(description="Id of the item.")
    difference: NonNegative = Field(description="Absolute difference, in the task's unit.")
    allowed: NonNegative = Field(description="Difference that the record's noise floor allows, in the task's unit.")


class Reproduction(Section):
    """One record made again from the record alone, in a fresh store, and compared item by item."""

    format: Literal["nharness-reproduction/1"] = Field(
        REPRODUCTION_FORMAT, description="Format and version of this document."
    )
    record: Digest = Field(description="Id of the record that was made again.")
    verdict: Literal["reproduced", "differs"] = Field(description="Whether every item is within the noise floor.")
    created: Instant = Field(description="When it was made, UTC, as YYYY-MM-DDThh:mm:ssZ.")
    reasons: tuple[ShortText, ...] = Field((), max_length=20, description="Why it differs, a sentence each.")
    items: Count = Field(description="Items that both have.")
    identical: Count = Field(description="Items of which every value is the same.")
    beyond: Count = Field(description="Items that differ by more than the record's noise floor allows.")
    absent: Count = Field(description="Items that only one of the two has.")
    rungs_apart: Count = Field(
        0,
        description="Rungs of ladders whose items moved and whose neurons differ, or are in no file: rounding decides "
        "which neuron is a long list's last, and only the headline is held.",
    )
    headline_difference: NonNegative | None = Field(
        None, description="By how much the headline moved, a share; null where there is none."
    )
    headline_allowed: NonNegative | None = Field(
        None,
        description="By how much it and its interval's ends may move: a tenth of the width; null where there is none.",
    )
    largest: tuple[ItemDifference, ...] = Field((), max_length=20, description="The largest differences, first first.")
    source: Source | None = Field(None, description="The source code that made it again.")
    environment: Environment = Field(description="The software and the machine that made it again.")
    environment_changes: tuple[Identifier, ...] = Field(
        (), max_length=20, description="Parts of the environment that are not the record's."
    )
