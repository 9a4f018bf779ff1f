"""Scores against a truth that ships with nharness, recomputed; stability, checked for contradictions.

A file of measured ablations is a truth for the model it was measured on. Scores against the planted model need that
model, and a stability needs the text: both are taken on trust as far as they do not contradict themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import fmean

import numpy as np

from nharness.analysis.ground_truth import TRUE_SHARE, Truth, against_truth, own_effect
from nharness.neurons import load as load_neurons
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.record.problems import Problem
from nharness.record.results import GroundTruth, Stability
from nharness.record.store import find, inside
from nharness.tensorfile import load as load_tensors
from nharness_leaderboard.deep.neurons import fits

ABLATION = "nharness-ablation/1"


def truth_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield scores that do not follow from the truth, and stabilities that contradict themselves or the neurons."""
    for index, stability in enumerate(record.stability or ()):
        yield from _stability(f"/stability/{index}", stability, record)
    entry = find(record.files, "neurons")
    if not record.ground_truth or entry is None:
        return
    path = inside(folder, entry.name)
    for index, scores in enumerate(record.ground_truth):
        yield from _means(f"/ground_truth/{index}", scores)
        truth = shipped_truth(record, scores.truth) if fits(record, path) else None
        if truth is not None:
            expected = against_truth(load_neurons(path), truth)
            for name, found in expected.document().items():
                if not _alike(scores.document()[name], found):
                    yield Problem(f"/ground_truth/{index}/{name}", "the truth and the neurons file give another value")


def shipped_truth(record: Record, name: str) -> Truth | None:
    """Return the measured truth of that name if it ships with nharness and is of the record's model, else None."""
    registered = Plugins().entries("truths").get(name)
    path = registered.entry.value if registered else None
    if not isinstance(path, Path) or not path.is_file():
        return None
    delta, metadata = _ablation(path)
    if metadata.get("model") != record.model.fingerprint or metadata.get("tokenizer") != (
        record.model.tokenizer_fingerprint
    ):
        return None
    languages = [tag for tag in record.languages if f"delta/{tag}" in delta]
    if len(languages) < 2:
        return None
    effect = own_effect(np.stack([delta[f"delta/{tag}"].astype(np.float64) for tag in languages]))
    return Truth.from_effects(name, languages, record.model.layer_widths, effect, share=TRUE_SHARE)


@cache
def _ablation(path: Path) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    return load_tensors(path, ABLATION)


def _means(where: str, scores: GroundTruth) -> Iterator[Problem]:
    """Yield means that differ from those over languages."""
    for name in ("auroc", "precision_at_k", "rank_correlation"):
        values = [value for each in scores.languages if (value := getattr(each, name)) is not None]
        if scores.languages and not _alike(getattr(scores, name), fmean(values) if values else None):
            yield Problem(f"{where}/{name}", "it is not the mean over the languages")


def _stability(where: str, stability: Stability, record: Record) -> Iterator[Problem]:
    """Yield a mean that differs from that over languages, and an impossible observed number or p."""
    known = [value for value in stability.languages.values() if value is not None]
    if known and stability.jaccard is not None and not _alike(stability.jaccard, fmean(known)):
        yield Problem(f"{where}/jaccard", f"it is {stability.jaccard}, the mean over languages is {fmean(known)}")
    for index, count in enumerate(stability.shuffled):
        drawn = count.p * (1 + stability.repeats)
        if not (drawn > 0.5 and math.isclose(drawn, round(drawn), abs_tol=1e-6)):
            yield Problem(f"{where}/shuffled/{index}/p", f"no p of {stability.repeats} shuffles is {count.p}")
    for tag in stability.languages:
        if tag not in record.languages:
            yield Problem(f"{where}/languages", f"{tag} is no language of the record")


def _alike(got: object, expected: object) -> bool:
    if isinstance(got, int | float) and isinstance(expected, int | float):
        return math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(got, dict) and isinstance(expected, dict):
        return got.keys() == expected.keys() and all(_alike(got[name], expected[name]) for name in got)
    if isinstance(got, list | tuple) and isinstance(expected, list | tuple):
        return len(got) == len(expected) and all(map(_alike, got, expected))
    return got == expected
