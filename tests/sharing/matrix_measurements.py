"""Measurements of a made-up matrix: three languages with parallel documents, two tasks, targets, controls."""

import numpy as np

from nharness.analysis.measurements import Measurement
from nharness.record.cells import Target, Task
from nharness.record.results import AnalysisSettings

LANGUAGES = ("en", "zh", "fr")
PPL = Task(
    name="ppl",
    family="perplexity",
    metric="bits_per_byte",
    unit="bits per byte",
    direction="lower",
    languages=LANGUAGES,
)
CHOICE = Task(
    name="choice",
    family="choice",
    metric="acc",
    unit="share of items",
    direction="higher",
    languages=("en", "zh"),
    chance=0.25,
)
SETTINGS = AnalysisSettings(bootstrap_draws=499, seed=3, confidence=0.95)


def targets(neurons=(10, 20, 30), general=True):
    found = [
        Target(name=tag, language=tag, kinds=("specific",), neurons=n)
        for tag, n in zip(LANGUAGES, neurons, strict=True)
    ]
    return found + ([Target(name="general", language=None, kinds=("general",), neurons=5)] if general else [])


def matrix(seed=0, *, documents=40, draws=6, sample=20, effect=0.2, spill=0.02):
    """Return measurements of both tasks: `effect` bits per byte on the diagonal, `spill` off it, draws near 0."""
    rng = np.random.default_rng(seed)
    found = []
    for language in LANGUAGES:
        size = rng.integers(100, 900, documents)
        nll = size * (1.0 + rng.normal(0, 0.05, documents)) * np.log(2)
        keep = {"task": "ppl", "language": language, "size": size}
        found.append(_ppl(keep, None, None, nll))
        for target in (*LANGUAGES, "general"):
            change = effect if target == language else spill
            noise = rng.normal(0, 0.03, documents)
            found.append(_ppl(keep, target, None, nll + size * (change + noise) * np.log(2)))
            for draw in range(draws):
                noise = rng.normal(0, 0.03, documents) + rng.normal(0, 0.01)
                found.append(_ppl(keep, target, draw, (nll + size * noise * np.log(2)), sample))
    for language in CHOICE.languages:
        right = (rng.random(120) < 0.8).astype(float)
        found.append(_choice(language, None, right))
        for target in (*LANGUAGES, "general"):
            lost = rng.random(120) < (0.4 if target == language else 0.02)
            found.append(_choice(language, target, np.where(lost, 0.0, right)))
    return found


def _ppl(keep, target, control, nll, count=None):
    count = count or len(nll)
    ids = tuple(f"doc-{i}" for i in range(count))
    values = {
        "nll": nll[:count],
        "bytes": keep["size"][:count].astype(float),
        "tokens": np.ceil(keep["size"][:count] / 3),
    }
    return Measurement(
        keep["task"], target, control, keep["language"], ids, ids, values, available=50, edited_activations=7
    )


def _choice(language, target, acc):
    ids = tuple(f"q-{i}" for i in range(len(acc)))
    return Measurement(
        "choice", target, None, language, ids, tuple(f"page-{i // 3}" for i in range(len(acc))), {"acc": acc}
    )
