"""The headline: how much of the harm that a detector's neurons do stays in their own language, at one harm for all.

*Harm* here is the change over the intact value of the same language, a share: 0.10 is 10 % more bits per byte.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nharness.record.types import (
    MAX_LANGUAGES,
    Asserted,
    Count,
    Digest,
    Estimate,
    Flag,
    Identifier,
    Interval,
    LanguageTag,
    NonNegative,
    Number,
    Section,
    Share,
)

HARDLY_KNOWN = "hardly_known"
"""The flag of a language of which the tokenizer does not know more than 5 %: the headline leaves it out."""


class Leak(Section):
    """The other language that is harmed most."""

    language: LanguageTag = Field(description="The language.")
    share: Number = Field(description="Its harm at the crossing, as a share of its intact value.")


class Rung(Section):
    """One size of a language's nested sets of best units."""

    units: Count = Field(description="Units switched off.")
    own: Number = Field(description="Harm to the own language, as a share of its intact value.")
    others: Number = Field(description="Signed mean harm to the other languages, as shares of their intact values.")


class Hinge(Section):
    """How much of a language's harm hangs on one unit, the strongest of the rung that is read."""

    unit: Count = Field(description="Flat index of the unit.")
    share: Number = Field(description="Share of the rung's own harm that is gone when the unit is spared.")
    repeats_with: Asserted[Count | None] = Field(
        None, description="Repeats of the detection that have the unit among their best as many, or null."
    )


class LanguageHeadline(Section):
    """One language's part of the headline."""

    kept: Share | None = Field(None, description="Share of the harm that stays in the language, 0 to 1, or null.")
    interval: Interval | None = Field(None, description="Interval of `kept` at the confidence named under analysis.")
    units: NonNegative | None = Field(
        None, description="Units needed for the harm, interpolated between rungs; null where it was not reached."
    )
    own: Number | None = Field(None, description="Harm to the own language where `kept` was read, a share.")
    others: Number | None = Field(None, description="Mean harm to the others where `kept` was read, a share.")
    worst: Leak | None = Field(None, description="The other language harmed most where `kept` was read, or null.")
    at_5: Share | None = Field(None, description="The same as `kept` at 5 % harm, by the same rules, or null.")
    at_25: Share | None = Field(None, description="The same as `kept` at 25 % harm, by the same rules, or null.")
    hinge: Hinge | None = Field(None, description="The strongest unit where `kept` was read, or null.")
    flags: tuple[Identifier, ...] = Field((), max_length=12, description="Reasons to read it with care.")
    ladder: tuple[Rung, ...] = Field(
        (), max_length=200, description="Every size measured in all languages, smallest first."
    )

    @property
    def counts(self) -> bool:
        """Whether the headline counts the language; it leaves out those that the tokenizer hardly knows."""
        return HARDLY_KNOWN not in self.flags


class Headline(Section):
    """The number a board ranks by."""

    measure: Literal["kept_share"] = Field("kept_share", description="Name of the measure.")
    task: Identifier = Field("ppl", description="Name of the task it is measured by.")
    harm: Share = Field(0.10, description="The harm to the own language at which it is read, a share.")
    estimate: Estimate | None = Field(None, description="Mean of `kept` over languages, 0 to 1, or null.")
    reached: Count = Field(description="Languages in which the harm was reached.")
    of: Count = Field(description="Languages that were tried.")
    repeats: Count = Field(
        0, description="Repeats of the detection whose scatter is in the intervals; 0: they cover the text alone."
    )
    rank_eligible: Flag = Field(description="Whether it may be ranked: enough languages reached, clusters and units.")
    languages: dict[LanguageTag, LanguageHeadline] = Field(
        default_factory=dict, max_length=MAX_LANGUAGES, description="Per language."
    )

    @property
    def held(self) -> dict[str, int | None]:
        """By language, in how many repeats its strongest unit is among the best as many."""
        return {tag: each.hinge.repeats_with for tag, each in self.languages.items() if each.hinge is not None}


class Repeat(Section):
    """One detection on other text."""

    name: Asserted[Identifier] = Field(description="Name of the repeat, such as 'fold-0'.")
    tokens: Asserted[Count | None] = Field(None, description="Tokens it was detected on, or null.")
    documents: Asserted[Count | None] = Field(None, description="Documents it was detected on, or null.")
    neurons: Asserted[dict[LanguageTag, Count]] = Field(
        default_factory=dict, max_length=MAX_LANGUAGES, description="Neurons of each language."
    )
    digests: Asserted[dict[LanguageTag, Digest]] = Field(
        default_factory=dict,
        max_length=MAX_LANGUAGES,
        description="Per language, SHA-256 of its neurons' ascending flat indices, hexadecimal.",
    )


class Repeats(Section):
    """Detections repeated on other text, whose scatter enters the intervals."""

    kind: Asserted[Identifier] = Field(description="How the text was varied, such as 'folds' or 'resampled'.")
    seed: Asserted[Count | None] = Field(None, description="Seed of the parts, or null.")
    parts: tuple[Repeat, ...] = Field((), max_length=200, description="Every repeat, in order.")
