"""What came out: summaries over the matrix, curves, ground truth, stability, cost.

*Harm* is the change turned so that worse is positive: `change` where lower is better, `-change` where higher is better.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nharness.record.types import (
    MAX_LANGUAGES,
    Asserted,
    Correlation,
    Count,
    Estimate,
    Flag,
    Identifier,
    LanguageTag,
    NonNegative,
    Number,
    Section,
    Share,
)


class RowSummary(Section):
    """One language's neurons deactivated: harm to that language against harm to all others."""

    target: Identifier = Field(description="Name of the target.")
    language: LanguageTag = Field(description="The target's own language.")
    on_target: Estimate | None = Field(None, description="Harm to the own language, in the task's unit.")
    off_target: Estimate | None = Field(None, description="Mean harm to the other languages, in the task's unit.")
    selectivity: Estimate | None = Field(None, description="on_target - off_target, in the task's unit.")
    diagonal: Flag | None = Field(None, description="Whether the own language is the one harmed most.")
    largest: LanguageTag | None = Field(None, description="The language harmed most.")
    per_neuron_damage: Number | None = Field(None, description="on_target / neurons, in the task's unit per neuron.")
    langspec_f1: Share | None = Field(
        None,
        description="Harmonic mean of precision drop_own / (drop_own + mean other drop) and recall drop_own / "
        "baseline_own, drops clipped at 0; 0 to 1; null where the task is not one where higher is better.",
    )


class ControlSelectivity(Section):
    """The selectivity that random neurons get, and how far the detector's stands from it."""

    draws: Count = Field(description="Draws that cover the whole matrix.")
    mean: Number = Field(description="Mean selectivity over the draws, in the task's unit.")
    sd: NonNegative | None = Field(None, description="Sample standard deviation over the draws; null below two draws.")
    effect: Number | None = Field(None, description="(selectivity - mean) / sd, in control standard deviations.")
    p: Share | None = Field(
        None, description="p of the selectivity being no more than one further random draw's, 0 to 1, or null."
    )

    @property
    def at_floor(self) -> bool:
        """Whether p is as small as this number of draws can show; the true one may be smaller."""
        return self.p is not None and self.p <= 1 / (1 + self.draws) * (1 + 1e-9)


class TaskSummary(Section):
    """One task's whole matrix in a few numbers."""

    task: Identifier = Field(description="Name of the task.")
    on_target: Estimate | None = Field(None, description="Mean harm on the diagonal, in the task's unit.")
    off_target: Estimate | None = Field(None, description="Mean harm off the diagonal, in the task's unit.")
    selectivity: Estimate | None = Field(None, description="on_target - off_target, in the task's unit.")
    diagonal_share: Share | None = Field(
        None, description="Share of rows in which the own language is the one harmed most, 0 to 1."
    )
    per_neuron_damage: Number | None = Field(None, description="Mean of rows' damage per neuron, in the task's unit.")
    langspec_f1: Share | None = Field(None, description="Mean LangSpec-F1 over rows, 0 to 1; null where undefined.")
    control_selectivity: ControlSelectivity | None = Field(None, description="Selectivity of random neurons, or null.")
    area_under_budget: Number | None = Field(
        None,
        description="Area under selectivity over log10(budget), divided by its width, in the task's unit; or null.",
    )
    rows: tuple[RowSummary, ...] = Field(max_length=MAX_LANGUAGES, description="One per language target, in order.")


class CurveBand(Section):
    """The same point for random neurons."""

    draws: Count = Field(description="Draws evaluated.")
    mean: Number = Field(description="Mean selectivity over the draws, in the task's unit.")
    low: Number = Field(description="Lowest (or lower-quantile) selectivity of the draws, in the task's unit.")
    high: Number = Field(description="Highest (or upper-quantile) selectivity of the draws, in the task's unit.")


class CurvePoint(Section):
    """One point of a dose-response curve."""

    task: Identifier = Field(description="Name of the task.")
    axis: Literal["budget", "strength"] = Field(description="What is varied.")
    value: Number = Field(description="Share of all neurons per language (budget) or the strength, unitless.")
    neurons: Count | None = Field(None, description="Mean number of neurons edited per language, rounded.")
    on_target: Estimate | None = Field(None, description="Mean harm on the diagonal, in the task's unit.")
    off_target: Estimate | None = Field(None, description="Mean harm off the diagonal, in the task's unit.")
    selectivity: Estimate | None = Field(None, description="on_target - off_target, in the task's unit.")
    controls: CurveBand | None = Field(None, description="Random neurons at the same point, or null.")


class TruthScore(Section):
    """One language's scores against a ground truth."""

    language: LanguageTag = Field(description="The language.")
    auroc: Share | None = Field(None, description="Area under the ROC curve of the scores, 0 to 1, chance 0.5.")
    precision_at_k: Share | None = Field(None, description="Share of the k best-scored neurons that are true.")
    k: Count | None = Field(None, description="k, the number of true neurons unless the truth says otherwise.")
    rank_correlation: Correlation | None = Field(None, description="Spearman correlation of score and true effect.")


class GroundTruth(Section):
    """How well the detector's scores find neurons whose role is known."""

    truth: Identifier = Field(description="Name of the truth, such as 'exhaustive' or 'planted'.")
    auroc: Share | None = Field(None, description="Mean over languages, 0 to 1, chance 0.5.")
    precision_at_k: Share | None = Field(None, description="Mean over languages, 0 to 1.")
    rank_correlation: Correlation | None = Field(None, description="Mean over languages, -1 to 1.")
    languages: tuple[TruthScore, ...] = Field((), max_length=MAX_LANGUAGES, description="Per language.")


class ShuffledCount(Section):
    """A number of neurons, and what remains of it when documents lose their language."""

    what: Identifier = Field(description="A language, or a kind of neuron.")
    observed: Count = Field(description="Neurons of the detection.")
    mean: NonNegative = Field(description="Mean number over detections on shuffled labels.")
    p: Share = Field(description="(1 + shuffles with at least as many) / (1 + shuffles).")


class Stability(Section):
    """How much of the detection stays when it is repeated on other text."""

    kind: Identifier = Field(description="What was varied, such as 'split_half' or 'seed'.")
    repeats: Count = Field(description="Number of repeats compared.")
    jaccard: Share | None = Field(None, description="Mean Jaccard overlap of selected neurons over languages, 0 to 1.")
    rank_correlation: Correlation | None = Field(None, description="Mean Spearman correlation of scores, -1 to 1.")
    languages: dict[LanguageTag, Share | None] = Field(
        default_factory=dict, max_length=MAX_LANGUAGES, description="Jaccard overlap per language, 0 to 1."
    )
    shuffled: tuple[ShuffledCount, ...] = Field(
        (), max_length=2 * MAX_LANGUAGES, description="Per language and kind; of kind 'label_shuffle' only."
    )


class DetectorCost(Section):
    """What a detector itself needed, also where it came from a store or a shipped file."""

    tokens: Count = Field(description="Tokens passed through the model for its own statistics and ablations.")
    seconds: NonNegative | None = Field(
        None, description="Wall-clock time of the same, in seconds; null where unknown."
    )


class Cost(Section):
    """What the record cost to make, whichever run computed it; ablations that were measured before are not counted."""

    forward_tokens: dict[Identifier, Count] = Field(
        default_factory=dict, max_length=50, description="Tokens passed through the model, by stage."
    )
    seconds: dict[Identifier, NonNegative] = Field(
        default_factory=dict, max_length=50, description="Wall-clock time in seconds, by stage."
    )
    detector: DetectorCost | None = Field(
        None, description="What the detector itself needed; null where it was not told apart from the run."
    )
    cells_computed: Count = Field(0, description="Cells, controls included, that were evaluated for this record.")
    cells_reused: Count = Field(0, description="Cells that were taken from an earlier run or another record.")
    tokens_saved: Count = Field(0, description="Tokens that the run was spared by reuse and by stopping early.")


class AnalysisSettings(Section):
    """How the numbers were computed from the items."""

    bootstrap_draws: Count = Field(description="Bootstrap resamples per interval.")
    seed: Count = Field(description="Seed of the resampling.")
    confidence: Share = Field(description="Coverage of all intervals, 0 to 1, usually 0.95.")
    correction: Literal["benjamini-hochberg"] = Field("benjamini-hochberg", description="How p becomes q.")
    precision: Asserted[int] = Field(
        12, strict=True, ge=3, le=17, description="Significant decimal digits kept in numbers."
    )
