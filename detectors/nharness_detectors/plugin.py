"""Names, one-line summaries and places of all detectors and interventions; none of them is imported."""

from __future__ import annotations

from collections.abc import Sequence

from nharness.hookspecs import Entry, hookimpl

_DETECTORS = (
    ("lape", "lape:Lape", "lowest entropy of activation probabilities over languages (Tang et al. 2024)"),
    ("ternary", "ternary:Ternary", "entropy and peak probability; specific, related, general (Zhang et al. 2026)"),
    ("lingua-franca", "lingua_franca:LinguaFranca", "agreement of a language's sentences (Zeng et al. 2025)"),
    ("average-precision", "average_precision:AveragePrecision", "classifiers of the language (Kojima et al. 2024)"),
    ("plnd", "plnd:Plnd", "important in every document of the language, not in all languages (Zhao et al. 2024)"),
    ("dln", "dln:Dln", "least overlap of activation histograms across a split of languages (Kim et al. 2026)"),
    ("crane", "crane:Crane", "relevance to the language's predictions, standardised (Le & Li 2026)"),
    ("attribution", "attribution:Attribution", "first-order estimate of the loss that ablation costs each language"),
    ("lap", "lap:Lap", "highest activation probability (baseline of Tang et al. 2024)"),
    ("lave", "lave:Lave", "lowest entropy of mean activation over languages (baseline of Tang et al. 2024)"),
    ("diff-mean", "diff_mean:DiffMean", "largest difference of mean activation to the other languages"),
    ("effect-size", "effect_size:EffectSize", "largest difference of mean activation in pooled standard deviations"),
    ("probe", "probe:Probe", "weights of a sparse logistic regression of the language on document means"),
    ("act-prob-90p", "act_prob_90p:ActProb90p", "most often above the pooled 90th percentile (Mondal et al. 2025)"),
    ("random", "random:Random", "random neurons matched to a reference detection"),
    ("exhaustive", "exhaustive:Exhaustive", "every neuron ablated alone, each language's loss measured"),
)
_FOLDER = "nharness_detectors.interventions"
_INTERVENTIONS = (
    ("zero", "zero:Zero", "activation set to 0"),
    ("mean", "mean:Mean", "activation held at its mean over all languages"),
    ("complement-mean", "mean:ComplementMean", "activation held at the other languages' mean (Kim et al. 2026)"),
    ("median", "median:Median", "activation held at the language's median response (Kojima et al. 2024)"),
    ("add", "language_mean:Add", "activation plus the language's mean (Gurgurov et al. 2025)"),
    ("replace", "language_mean:Replace", "activation held at the language's mean (Gurgurov et al. 2025)"),
    ("diff-mean", "language_mean:AddDifference", "activation plus the difference of means (Gurgurov et al. 2025)"),
    ("constant", "constant:Constant", "activation held at one number (Gurgurov et al. 2025)"),
    ("scale", "scale:Scale", "activation multiplied"),
    ("amplify", "scale:Amplify", "activation held at a high quantile of what it is in the language"),
    ("resample", "donors:Resample", "activation taken from a random token of another language"),
    ("patch", "donors:Patch", "activation taken from the parallel sentence in another language"),
    ("clip", "values:Clip", "activation cut at a largest size"),
    ("threshold", "values:Threshold", "activation set to 0 where it is small"),
    ("noise", "values:Noise", "activation blurred by noise of its own size"),
    ("project", "values:Project", "the direction that tells the language from the others, held at its mean"),
    ("steer", "steer:Steer", "the source language's neurons off, the target language's on (Tang et al. 2024)"),
)


@hookimpl
def nharness_register_detectors() -> Sequence[Entry]:
    """Return every detector of this package."""
    return [Entry(name, summary, f"nharness_detectors.{target}") for name, target, summary in _DETECTORS]


@hookimpl
def nharness_register_interventions() -> Sequence[Entry]:
    """Return every intervention of this package."""
    return [Entry(name, summary, f"{_FOLDER}.{target}") for name, target, summary in _INTERVENTIONS]
