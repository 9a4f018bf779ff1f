"""Random evidence with everything that any detector asks for: ties, dead neurons, unequal layers, experts."""

import numpy as np
import pytest

from nharness.detector import Evidence
from nharness.statistics import LanguageTotals, Statistics, sketch

TAGS = ("en", "de", "zh", "sw", "th", "hi", "ru", "ja", "ko", "vi", "id", "tr")
BINS = 20


def build(languages=4, widths=(30, 17, 45), seed=0, *, documents=7, routed=False, ties=False):
    """Evidence at both sites; with `ties` counts and responses take few values and a tenth of the neurons is dead."""
    random = np.random.default_rng(seed)
    tags = TAGS[:languages]
    tokens = {tag: int(random.integers(300, 500)) for tag in tags}
    numbers = {tag: documents + row % 3 for row, tag in enumerate(tags)}
    totals = {tag: LanguageTotals(tokens[tag], numbers[tag]) for tag in tags}
    dead = random.random(sum(widths)) < 0.1 if ties else np.zeros(sum(widths), dtype=bool)
    sites = {}
    for site in ("gate", "hidden"):
        tensors = {}
        for tag in tags:
            size = {"tokens": tokens[tag], "documents": numbers[tag]}
            tensors |= tensors_of(tag, random, dead, **size, ties=ties, routed=routed)
        sites[site] = Statistics(site, tuple(widths), totals, tensors, {"model": "made-up"})
    changes = {f"delta/{tag}": random.standard_normal(sum(widths)) for tag in tags}
    return Evidence(sites, loss_changes=changes)


def tensors_of(tag, random, dead, *, tokens, documents, ties, routed):
    size = dead.size
    reached = random.integers(0, tokens + 1, size) * (random.random(size) > 0.1) if routed else np.full(size, tokens)
    share = random.integers(0, 5, size) / 10 if ties else random.random(size) ** 3
    share[dead] = 0
    positive = np.floor(reached * share).astype(np.int64)
    mean = random.standard_normal(size) * (~dead)
    shape = np.ones(BINS + 2) / (BINS + 2) if ties else random.dirichlet(np.ones(BINS + 2), size)
    count = random.multinomial(10 if ties else tokens, shape, size) * (40 if ties else 1)
    count[dead] = 0
    count[dead, 3] = tokens
    response = random.integers(0, 3, (documents, size)) / 2 if ties else random.standard_normal((documents, size))
    response[:, dead] = 0
    tensors = {
        "activation_count/positive": positive,
        "moments/sum": mean * reached,
        "moments/sumsq": (mean**2 + random.random(size) * ~dead) * reached,
        "histogram/count": count.astype(np.int64),
        "histogram/edges": np.linspace(-1, 1, BINS + 1, dtype=np.float32),
        **sketch_of(count),
        "document_mean/mean": response.astype(np.float32),
        "up_magnitude/sum": np.abs(response * 3).astype(np.float32),
        "output_change/mean": np.abs(response).astype(np.float32),
        "attribution/sum": random.standard_normal(size) * tokens * ~dead,
        "relevance/sum": random.standard_normal(size) * tokens * ~dead,
        "attribution/sumsq": random.random(size) * tokens,
        "attribution/abssum": random.random(size) * tokens,
    }
    if routed:
        tensors["activation_count/routed"] = reached.astype(np.int64)
    return {f"{name}/{tag}": value for name, value in tensors.items()}


def sketch_of(count):
    """The bins of a histogram as columns around the one of zeros."""
    first = sketch.ZERO - count.shape[1] // 2
    columns = np.zeros((len(count), sketch.SIZE), dtype=np.int32)
    columns[:, first : first + count.shape[1]] = count
    lower, upper = sketch.edges()
    used = columns > 0
    least = np.where(used.any(axis=1), lower[used.argmax(axis=1)], np.inf)
    most = np.where(used.any(axis=1), upper[::-1][used[:, ::-1].argmax(axis=1)], -np.inf)
    return {
        "quantile_sketch/count": columns,
        "quantile_sketch/least": least.astype(np.float32),
        "quantile_sketch/most": most.astype(np.float32),
    }


def select_languages(evidence, tags):
    """The same evidence for the given languages, in the given order."""
    sites = {
        name: Statistics(
            s.site,
            s.layer_widths,
            {tag: s.totals[tag] for tag in tags},
            {n: t for n, t in s.tensors.items() if n.rsplit("/", 1)[1] in tags},
            s.provenance,
        )
        for name, s in evidence.sites.items()
    }
    return Evidence(sites, reference=evidence.reference, loss_changes=evidence.loss_changes)


def counts_evidence(counts, tokens, widths=None):
    """Evidence from activation counts [G, M] and tokens a language, at the gate."""
    counts = np.asarray(counts, dtype=np.int64)
    tags = TAGS[: len(counts)]
    totals = {tag: LanguageTotals(int(n), 1) for tag, n in zip(tags, tokens, strict=True)}
    tensors = {f"activation_count/positive/{tag}": row for tag, row in zip(tags, counts, strict=True)}
    return Evidence({"gate": Statistics("gate", tuple(widths or (counts.shape[1],)), totals, tensors)})


def statistics_evidence(site, statistic, tensors_by_language, tokens=100, widths=None, **more):
    """Evidence of one statistic: a list of {tensor: array}, one a language."""
    tags = TAGS[: len(tensors_by_language)]
    tensors = {
        f"{statistic}/{name}/{tag}": np.asarray(value)
        for tag, group in zip(tags, tensors_by_language, strict=True)
        for name, value in group.items()
    }
    size = next(iter(tensors.values())).shape[-1]
    if statistic in {"histogram", "quantile_sketch"}:
        size = next(value for name, value in tensors.items() if "/count/" in name).shape[0]
    totals = {tag: LanguageTotals(tokens, 1) for tag in tags}
    return Evidence({site: Statistics(site, tuple(widths or (size,)), totals, tensors)}, **more)


@pytest.fixture
def evidence_of():
    return build


@pytest.fixture
def with_languages():
    return select_languages


@pytest.fixture
def from_counts():
    return counts_evidence


@pytest.fixture
def from_statistic():
    return statistics_evidence
