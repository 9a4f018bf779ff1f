"""The structure of a model as a record states it: where kinds of neurons lie, where languages meet."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from nharness.record.types import (
    MAX_LANGUAGES,
    MAX_LAYERS,
    Asserted,
    Count,
    Flag,
    Identifier,
    Interval,
    KindName,
    LanguageTag,
    LongText,
    Number,
    Section,
    Share,
    ShortText,
)


class StructureMeasure(Section):
    """One number about a model, a layer, a kind of neuron or a pair of languages."""

    name: Identifier = Field(description="Name of the measure, such as 'concentration-first', 'lrds' or 'retrieval'.")
    unit: ShortText = Field(description="Unit of the value, such as 'share of neurons'.")
    layer: Count | None = Field(None, description="The layer, from 0; null for the whole model.")
    kind: KindName | None = Field(None, description="The kind of neuron; null where it is about none.")
    languages: tuple[LanguageTag, ...] = Field((), max_length=2, description="One or two languages it is about.")
    value: Number | None = Field(None, description="The number, in its unit; null where it is not defined.")
    interval: Interval | None = Field(None, description="Its interval at the confidence named under analysis, or null.")
    expected: Number | None = Field(None, description="What it is by chance, in its unit; null where there is none.")
    p: Share | None = Field(None, description="p of no more than chance, 0 to 1, or null.")


class Border(Section):
    """Where one stage ends and the next begins."""

    layer: Count = Field(description="First layer of the next stage.")
    interval: tuple[Count, Count] | None = Field(None, description="Layers between which the border lies, or null.")
    certainty: Share | None = Field(
        None, description="Share of resampled profiles that put the border within one layer, 0 to 1, or null."
    )


class Stages(Section):
    """The stages that a model's layers fall into, if they do."""

    found: Flag = Field(description="Whether this number of stages explains the layers better than fewer do.")
    names: tuple[ShortText, ...] = Field((), max_length=12, description="Names of the stages, first to last.")
    borders: tuple[Border, ...] = Field((), max_length=11, description="Borders between them, first to last.")
    best: ShortText | None = Field(
        None,
        description="What explains the layers: '4 stages', fewer, or 'a straight line'; null if not asked.",
    )
    rule: ShortText = Field(description="The rule by which they were located.")


class Structure(Section):
    """Where in the depth of a model the kinds of neurons lie, and where languages meet."""

    measures: tuple[StructureMeasure, ...] = Field(
        (), max_length=64 * MAX_LAYERS, description="Every number, in the order of the analysis."
    )
    recorded: Asserted[tuple[StructureMeasure, ...]] = Field(
        (),
        max_length=4 * MAX_LANGUAGES * MAX_LAYERS,
        description="Numbers of what the run recorded beside neurons and matrix: meanings of parallel sentences, and "
        "what every layer says through the LM head; left out where there are none.",
    )
    stages: Stages | None = Field(
        None, description="Stages by depth; null for a model of fewer than eight layers, which has no room for four."
    )
    tree: LongText | None = Field(
        None,
        description="Languages joined by the neurons they share, average linkage of 1 - Jaccard, as Newick writes a "
        "tree without lengths; null for fewer than two languages with neurons.",
    )

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an empty `recorded`: records from before it came keep their ids."""
        found: dict[str, Any] = write(self)
        return found if self.recorded else {name: value for name, value in found.items() if name != "recorded"}
