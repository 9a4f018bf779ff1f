"""The neurons of a record: how many, of which kind, in which layers, shared by which languages.

Legend: `G` languages of the record in order, `L` layers.
"""

from __future__ import annotations

from pydantic import Field

from nharness.record.types import (
    MAX_LANGUAGES,
    Count,
    Digest,
    Identifier,
    KindName,
    LanguageTag,
    RelativeName,
    Section,
    Share,
)

LayerCounts = tuple[Count, ...]


class KindCounts(Section):
    """Neurons of each kind: specific to one language, related to several, general to all, unassigned to none."""

    specific: Count = Field(description="Neurons of exactly one language.")
    related: Count = Field(description="Neurons of more than one but not all languages.")
    general: Count = Field(description="Neurons of all languages.")
    unassigned: Count = Field(description="Neurons of no language.")


class LayerProfile(Section):
    """Neurons per layer; each list has one count per layer [L]."""

    languages: dict[LanguageTag, LayerCounts] = Field(
        max_length=MAX_LANGUAGES, description="Per language, its neurons in each layer [L]."
    )
    kinds_selected: dict[KindName, LayerCounts] = Field(
        description="Per kind, neurons in each layer [L], counting the selected neurons."
    )
    kinds_all: dict[KindName, LayerCounts] | None = Field(
        None,
        description="Per kind, neurons in each layer [L], counting every neuron the detector could have given to a "
        "language were its cut looser; null where the detector does not say.",
    )


class Neurons(Section):
    """The detected neurons."""

    component: Identifier = Field(
        "mlp",
        description="What a unit is a coordinate of: 'mlp' (the intermediate vector of a feed-forward layer), "
        "'attention', 'head', 'residual', 'dictionary' or 'expert'. Records of different components are not compared.",
    )
    file: RelativeName | None = Field(None, description="The neurons file beside the record, or null.")
    sha256: Digest | None = Field(None, description="SHA-256 of the neurons file, hexadecimal, or null.")
    total: Count = Field(description="Neurons of the model, the sum of its layer widths.")
    selected: Count = Field(description="Neurons that belong to at least one language.")
    per_language: dict[LanguageTag, Count] = Field(
        max_length=MAX_LANGUAGES, description="Neurons of each language; a neuron may belong to several."
    )
    kinds_selected: KindCounts = Field(description="Kinds over the selected neurons; all others are unassigned.")
    kinds_all: KindCounts | None = Field(None, description="Kinds over all candidate neurons, or null.")
    layers: LayerProfile = Field(description="The same per layer.")
    overlap: tuple[tuple[Share | None, ...], ...] = Field(
        max_length=MAX_LANGUAGES,
        description="Jaccard overlap of two languages' neurons [G, G], 0 to 1; null where both have none.",
    )
