"""What was measured: tasks, baselines, targets, cells, random controls.

A *cell* is one target deactivated and one task measured on one language. `change` is always edited minus baseline, in
the task's unit, over the same items.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from nharness.record.types import (
    MAX_CELLS,
    MAX_LANGUAGES,
    Asserted,
    Count,
    Digest,
    Flag,
    Identifier,
    Interval,
    KindName,
    LanguageTag,
    Name,
    NonNegative,
    Number,
    Options,
    Section,
    Share,
    ShortText,
)

CellFlag = Literal[
    "near_chance",
    "near_ceiling",
    "near_floor",
    "underpowered",
    "below_noise_floor",
    "few_clusters",
    "unknown_tokens",
    "truncated",
    "low_confidence",
    "overlap",
    "empty_target",
]


NOT_MEASURED = "it was not measured"
"""The end of the reason of a cell that the run left out, by selection or because it was stopped."""
NEURON_DIGEST = "SHA-256 of the neurons' ascending flat indices (int64, little-endian), hexadecimal."


class Task(Section):
    """One evaluation, in one or more languages."""

    name: Identifier = Field(description="Name of the task in this record, such as 'ppl' or 'xcopa'.")
    family: Asserted[Identifier] = Field(description="Task family, such as 'perplexity', 'choice' or 'generation'.")
    metric: Identifier = Field(description="What the values are, such as 'bits_per_byte' or 'acc'.")
    unit: Asserted[ShortText] = Field(description="Unit of the values, such as 'bits per byte' or 'share of items'.")
    direction: Asserted[Literal["lower", "higher"]] = Field(description="Which way is better for the model.")
    version: Asserted[Name | None] = Field(None, description="Version of the task's definition.")
    plugin: Asserted[Name | None] = Field(None, description="Module of the plug-in that registered it, or null.")
    distribution: Asserted[Name | None] = Field(
        None, description="Installed distribution and version the plug-in came from, or null."
    )
    dataset: Asserted[Name | None] = Field(None, description="Corpus or dataset the items come from, with its split.")
    languages: tuple[LanguageTag, ...] = Field(
        min_length=1, max_length=MAX_LANGUAGES, description="Languages it was evaluated in, in order."
    )
    few_shot: Asserted[Count] = Field(0, description="Examples put in front of each item, whoever asked for them.")
    few_shot_seed: Asserted[Count | None] = Field(
        None, description="Seed that chose the examples; null where there are none."
    )
    multiturn: Asserted[Flag | None] = Field(
        None, description="Whether examples are turns of a conversation; null where there are none."
    )
    limit: Asserted[Count | None] = Field(None, description="Most items taken per language; null: all of them.")
    chat_template: Asserted[Flag] = Field(False, description="Whether the model's chat template was applied.")
    decoding: Asserted[Options | None] = Field(
        None, description="How text was generated, every parameter that decides it; null where none is."
    )
    repeats: Asserted[Count | None] = Field(None, description="Answers generated for each item; null where none is.")
    scorer: Asserted[Literal["nharness", "lm-eval"] | None] = Field(
        None, description="Whose code judged the items; null where not stated."
    )
    lm_eval: Asserted[Name | None] = Field(
        None, description="Version of lm-eval that evaluated it; null: nharness itself."
    )
    chance: Asserted[Number | None] = Field(
        None, description="Value that guessing gets, in the task's unit; null if none."
    )


class Baseline(Section):
    """The intact model on one task and language."""

    task: Identifier = Field(description="Name of the task.")
    language: LanguageTag = Field(description="Language evaluated.")
    value: Number = Field(description="The task's metric, in the task's unit.")
    items: Count = Field(description="Items evaluated (documents or questions).")
    tokens: Count | None = Field(None, description="Tokens evaluated; null where the task does not count them.")
    bytes: Count | None = Field(None, description="UTF-8 bytes evaluated; null where the task does not count them.")
    perplexity: NonNegative | None = Field(
        None, description="exp(total NLL in nats / total tokens); comparable within this language and tokenizer only."
    )
    noise_floor: Asserted[NonNegative | None] = Field(
        None,
        description="How far the value moves with the composition of batches, in the task's unit.",
    )


class Hinge(Section):
    """The single unit of a target that carries most of its harm to the own language."""

    unit: tuple[Count, Count] = Field(description="The unit, as (layer, unit).")
    share: Asserted[Number] = Field(
        description="Share of the target's own harm that goes when this unit is left alone; above 1 where it gains."
    )
    at_cut: Asserted[Flag] = Field(description="Whether the unit lies within the repeats' scatter of the cut.")


class Shortfall(Section):
    """A target that has fewer neurons than its budget asks for."""

    asked: Count = Field(description="Neurons that the budget asks for.")
    got: Count = Field(description="Neurons that the detector gave.")


class Target(Section):
    """What one row of the matrix deactivates."""

    name: Identifier = Field(description="Name of the target: a language tag, or a kind such as 'general'.")
    language: LanguageTag | None = Field(None, description="Language whose neurons these are; null for a kind.")
    kinds: tuple[KindName, ...] = Field(description="Kinds of neurons included.", max_length=4)
    neurons: Count = Field(description="Number of neurons edited.")
    digest: Digest | None = Field(None, description=NEURON_DIGEST)
    hinge: Hinge | None = Field(None, description="Its strongest single unit; null where not looked for.")
    short: Shortfall | None = Field(None, description="How many neurons it lacks at its budget; null where none.")

    @property
    def share(self) -> str:
        """Which share of its language's neurons these are, as its name `fr:0.25` says; empty where they are all."""
        return self.name.removeprefix(f"{self.language}:") if self.name != self.language and self.language else ""


def largest_targets(targets: Iterable[Target]) -> frozenset[str]:
    """Return the names of the targets that a task's means are over: one a language, the one with most neurons.

    Of several with as many neurons it is the last. Targets of no language are not among them.
    """
    largest: dict[str, Target] = {}
    for target in targets:
        if target.language is None:
            continue
        if target.neurons >= largest.setdefault(target.language, target).neurons:
            largest[target.language] = target
    return frozenset(target.name for target in largest.values())


class CellControl(Section):
    """The cell's effect against random neurons, matched to the target and edited in the same way."""

    draws: Count = Field(description="Random draws evaluated for this cell.")
    items: Count = Field(description="Items each draw was evaluated on, a stratified sample of the cell's.")
    change: Number = Field(description="The target's own change on those items, in the task's unit.")
    mean: Number = Field(description="Mean change over the draws, in the task's unit.")
    sd: NonNegative | None = Field(None, description="Sample standard deviation over the draws; null below two draws.")
    effect: Number | None = Field(
        None, description="(change - mean) / sd, in control standard deviations; null where sd is null or 0."
    )
    worse: Count | None = Field(None, description="Draws that are at least as harmful as the target.")
    p: Share | None = Field(
        None,
        description="p of the target being no more than one further random draw, 0 to 1: prediction test, calibrated "
        "on the draws themselves; null where too few draws were made to judge.",
    )
    q: Share | None = Field(None, description="p after Benjamini-Hochberg over the task's whole matrix, 0 to 1.")


class CellResult(Section):
    """One target deactivated, one task measured on one language."""

    task: Identifier = Field(description="Name of the task.")
    target: Identifier = Field(description="Name of the target.")
    language: LanguageTag = Field(description="Language evaluated.")
    status: Literal["ok", "failed"] = Field(description="'ok', or 'failed' with a reason and no values.")
    reason: Asserted[ShortText | None] = Field(None, description="Why the cell failed; null when it did not.")
    baseline: Number | None = Field(None, description="Intact model on the same items, in the task's unit.")
    edited: Number | None = Field(None, description="Edited model, in the task's unit.")
    change: Number | None = Field(None, description="Edited minus baseline, in the task's unit.")
    interval: Interval | None = Field(
        None, description="Paired cluster-bootstrap interval of the change at the confidence named under analysis."
    )
    p: Share | None = Field(None, description="Two-sided paired bootstrap p of 'no change', 0 to 1.")
    q: Share | None = Field(None, description="p after Benjamini-Hochberg over the task's whole matrix, 0 to 1.")
    mcnemar_p: Share | None = Field(None, description="Exact McNemar p; null where items are not right-or-wrong.")
    perplexity_ratio: NonNegative | None = Field(
        None, description="Edited / baseline perplexity on the same tokens; null where the task is not perplexity."
    )
    items: Count = Field(0, description="Items the numbers are computed from, paired with the baseline.")
    items_available: Count = Field(0, description="Items the task has in this language.")
    clusters: Count | None = Field(
        None, description="Independent sources the items come from, the unit of resampling; null where not counted."
    )
    truncated: Asserted[Count | None] = Field(
        None, description="Items whose prompt was longer than the model's context and was cut; null where not counted."
    )
    withheld: ShortText | None = Field(
        None, description="Why there is no interval, p or q; null where there is one, or nothing to withhold."
    )
    edited_activations: Asserted[Count | None] = Field(
        None, description="Activations that were edited while it was evaluated, padding left out."
    )
    flags: tuple[CellFlag, ...] = Field((), max_length=12, description="Reasons to read the number with care.")
    minimum_detectable_effect: NonNegative | None = Field(
        None, description="Smallest true change found with 80 % power at 5 %, in the task's unit."
    )
    control: CellControl | None = Field(None, description="Comparison with random controls, or null.")


class ControlDraw(Section):
    """One random set of neurons, matched to one target."""

    target: Identifier = Field(description="Name of the target it is matched to.")
    draw: Count = Field(description="Number of the draw, from 0.")
    neurons: Count = Field(description="Number of neurons edited.")
    digest: Digest = Field(description=f"{NEURON_DIGEST} Where draws are matched by frequency, asserted.")
    changes: dict[Identifier, dict[LanguageTag, Number | None]] = Field(
        description="Per task and language the draw's change, in the task's unit; null where that cell failed.",
        max_length=200,
    )


class Controls(Section):
    """All random controls of the record."""

    kind: Identifier = Field(description="How draws are matched, such as 'layer', 'frequency' or 'uniform'.")
    options: Asserted[Options] = Field(
        default_factory=dict, description="Options of the draws and of stopping early, verbatim."
    )
    seed: Count = Field(description="Seed of the draws.")
    draws: tuple[ControlDraw, ...] = Field(max_length=MAX_CELLS, description="Every draw that was evaluated.")
