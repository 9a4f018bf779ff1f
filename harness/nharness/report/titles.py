"""Titles of papers by their arXiv number, for BibTeX; a paper that is not here is cited without one."""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "2212.04273": (
        "Better Hit the Nail on the Head than Beat around the Bush: Removing Protected Attributes with a Single "
        "Projection"
    ),
    "2402.16438": "Language-Specific Neurons: The Key to Multilingual Capabilities in Large Language Models",
    "2402.18815": "How do Large Language Models Handle Multilingualism?",
    "2404.02431": (
        "On the Multilingual Ability of Decoder-based Pre-trained Language Models: Finding and Controlling "
        "Language-Specific Neurons"
    ),
    "2410.11718": (
        "Converging to a Lingua Franca: Evolution of Linguistic Regions and Semantics Alignment in Multilingual Large "
        "Language Models"
    ),
    "2503.17456": "Language-specific Neurons Do Not Facilitate Cross-Lingual Transfer",
    "2505.21505": "How does Alignment Enhance LLMs' Multilingual Capabilities? A Language Neurons Perspective",
    "2507.22608": "Language Arithmetics: Towards Systematic Language Neuron Identification and Manipulation",
    "2601.04664": (
        "CRANE: Causal Relevance Analysis of Language-Specific Neurons in Multilingual Large Language Models"
    ),
    "2609.10993": "Distribution-aware Language Neuron Identification in Multilingual Large Language Models",
}
