"""A comparison of models in a row, the earliest or smallest first: what moved; format `nharness-comparison/1`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nharness.record.detection import KindCounts, LayerCounts
from nharness.record.types import (
    MAX_LANGUAGES,
    Count,
    Identifier,
    Interval,
    KindName,
    LanguageTag,
    Name,
    Number,
    Section,
    Share,
)

COMPARISON_FORMAT: Literal["nharness-comparison/1"] = "nharness-comparison/1"
MAX_MODELS = 100


class ModelKinds(Section):
    """Neurons of one model."""

    model: Name = Field(description="What the model is called here.")
    kinds: KindCounts = Field(description="Neurons of each kind.")
    layers: dict[KindName, LayerCounts] = Field(description="Per kind, neurons in each layer [L].")
    by_number: tuple[Count, ...] = Field(
        max_length=MAX_LANGUAGES + 1, description="Neurons that belong to 0, 1, 2, ... languages."
    )


class Meanings(Section):
    """How one model arranges the parallel sentences that all models have: values with 95 % intervals over sentences."""

    model: Name = Field(description="What the model is called here.")
    lrds: Number = Field(description="LRDS of the whole model, over all languages.")
    lrds_interval: Interval = Field(description="Its interval.")
    sads: Number = Field(description="SADS of the whole model, over all languages.")
    sads_interval: Interval = Field(description="Its interval.")
    retrieval: Share = Field(description="Share of sentences whose nearest neighbour is their translation.")
    retrieval_interval: Interval = Field(description="Its interval.")


class Flow(Section):
    """Where neurons went from one model to the next."""

    before: Name = Field(description="The earlier model.")
    after: Name = Field(description="The later model.")
    counts: dict[KindName, dict[KindName, Count]] = Field(description="Per kind before and kind after, neurons.")
    moved: Count = Field(description="Neurons whose kind is another.")


class Kept(Section):
    """One language's neurons in the first model and in the last."""

    language: LanguageTag = Field(description="The language.")
    first: Count = Field(description="Neurons in the first model.")
    last: Count = Field(description="Neurons in the last model.")
    jaccard: Share | None = Field(description="Shared / united neurons, 0 to 1; null where both have none.")
    expected: Share | None = Field(description="What two random sets of these sizes have; null where both are empty.")


class Difference(Section):
    """One number, last model less first, paired."""

    name: Identifier = Field(description="What it is: 'share-related', 'lrds', 'sads', 'retrieval' and so on.")
    over: Literal["all", "trained", "untrained"] = Field(description="Over which of the languages.")
    first: Number = Field(description="In the first model.")
    last: Number = Field(description="In the last model.")
    interval: Interval = Field(description="95 % interval of last less first, over what both have in common.")
    paired_over: Literal["neurons", "sentences"] = Field(description="What both models have in common.")


class Comparison(Section):
    """Models in a row, earliest or smallest first: of one shape where neurons are compared."""

    format: Literal["nharness-comparison/1"] = Field(
        COMPARISON_FORMAT, description="Format and version of this document."
    )
    models: tuple[Name, ...] = Field(min_length=2, max_length=MAX_MODELS, description="Models, earliest first.")
    languages: tuple[LanguageTag, ...] = Field(max_length=MAX_LANGUAGES, description="Languages, in order.")
    trained: tuple[LanguageTag, ...] = Field(
        (), max_length=MAX_LANGUAGES, description="Languages that were trained; empty where not said."
    )
    kinds: tuple[ModelKinds, ...] = Field((), max_length=MAX_MODELS, description="Neurons, model by model.")
    meanings: tuple[Meanings, ...] = Field(
        (), max_length=MAX_MODELS, description="Sentences, model by model; empty for neurons."
    )
    flows: tuple[Flow, ...] = Field((), max_length=MAX_MODELS, description="From each model to the next.")
    overlap: tuple[Kept, ...] = Field((), max_length=MAX_LANGUAGES, description="First and last, by language.")
    differences: tuple[Difference, ...] = Field((), max_length=100, description="Last less first, with intervals.")
