"""What every detector must keep, on synthetic evidence; the checks in the order in which they teach."""

from __future__ import annotations

import pickle
import tempfile
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np

from nharness.detector import Detector, Evidence, Need
from nharness.errors import NharnessError, UsageError
from nharness.neurons import Detection, budget_count
from nharness.neurons import load as load_neurons
from nharness.testing.checks import Check, CheckFailedError, check_options, check_pickles, no_global_state, require
from nharness.testing.evidence import LANGUAGES, Made, make_evidence

BUDGET = 0.05
LARGE = 458_752  # neurons: 32 layers of 14 336
ALLOWED_BYTES, ALLOWED_SECONDS = 4 << 30, 600
LARGEST_EVIDENCE = 96 << 20  # bytes: what is larger is made of fewer neurons, and the limits with it
USUAL = Made()


def _needs(detector: Detector) -> None:
    needs = detector.needs()
    detector(make_evidence(USUAL))  # what fails with everything does not fail for want of needs
    try:
        detector(make_evidence(USUAL, needs))
    except Exception as error:  # the plug-in boundary: what is checked is third-party code
        declared = ", ".join(f"{need.statistic}@{need.site}" for need in needs) or "nothing"
        raise CheckFailedError(f"needs() declares {declared}, but with that alone it failed: {error}") from error


def _languages(detector: Detector) -> None:
    for count in (2, 3, 7):
        tags = LANGUAGES[:count]
        found = detector(make_evidence(replace(USUAL, languages=tags)))
        require(found.languages == tags, f"with {count} languages, rows are {found.languages}, expected {tags}")


def _widths(detector: Detector) -> None:
    widths = (23, 40, 17)
    found = detector(make_evidence(replace(USUAL, widths=widths)))
    require(found.layer_widths == widths, f"layer widths are {found.layer_widths}, expected {widths}")


def _experts(detector: Detector) -> None:
    found = detector(make_evidence(replace(USUAL, routed=True)))
    require(not np.isnan(found.score[..., found.membership.any(axis=0)]).any(), "selected neurons have no score")


def _component(detector: Detector) -> None:
    found = detector(make_evidence(replace(USUAL, component="head")))
    require(found.component == "head", f"says {found.component!r} for units of component 'head'; use self.detection()")


def _dead(detector: Detector) -> None:
    found = detector(make_evidence(replace(USUAL, dead=0.2, twins=0.2)))
    require(found.membership.shape == (3, 80), "dead and duplicate neurons changed the shape")


def _nan(detector: Detector) -> None:
    evidence, bad = make_evidence(USUAL), 7
    for table in evidence.sites.values():
        for name, tensor in table.tensors.items():
            if tensor.dtype.kind == "f" and tensor.shape[-1] == table.size:
                tensor[..., bad] = np.nan
            elif name.startswith("quantile_sketch/count"):
                tensor[bad] = 0
    try:
        found = detector(evidence)
    except NharnessError:
        return
    floats = [need for need in detector.needs() if need.statistic not in {"activation_count", "histogram"}]
    require(not floats or not found.membership[:, bad].any(), "a neuron whose statistics are NaN was selected")


def _labels(detector: Detector) -> None:
    first = detector(make_evidence(USUAL))
    second = detector(make_evidence(replace(USUAL, languages=("ko", "hi", "sw"))))
    require(np.array_equal(first.membership, second.membership), "other names of the languages changed the neurons")


def _order(detector: Detector) -> None:
    turned = replace(USUAL, languages=USUAL.languages[::-1], places=(2, 1, 0))
    first, second = detector(make_evidence(USUAL)), detector(make_evidence(turned))
    require(np.array_equal(first.membership, second.membership[::-1]), "another order of languages changed the neurons")


def _deterministic(detector: Detector) -> None:
    first, second = detector(make_evidence(USUAL)), detector(make_evidence(USUAL))
    require(_same(first, second), "the same evidence gave another result; seed random choices with an option")


def _untouched(detector: Detector) -> None:
    evidence, fresh = make_evidence(USUAL), make_evidence(USUAL)
    detector(evidence)
    for site, table in evidence.sites.items():
        for name, tensor in table.tensors.items():
            same = np.array_equal(tensor, fresh.sites[site].tensors[name])
            require(same, f"changed {name} at site {site}; evidence is shared, work on a copy")


def _state(detector: Detector) -> None:
    with no_global_state():
        detector(make_evidence(USUAL))


def _pickles(detector: Detector) -> None:
    check_pickles(detector)
    again = pickle.loads(pickle.dumps(detector))  # noqa: S301 - what was pickled a moment ago
    first, second = again(make_evidence(USUAL)), detector(make_evidence(USUAL))
    require(np.array_equal(first.membership, second.membership), "its copy in another process finds other neurons")


def _single(detector: Detector) -> None:
    try:
        detector(make_evidence(replace(USUAL, languages=("en",))))
    except UsageError:
        return
    except NharnessError as error:
        require(holds=False, problem=f"raised {type(error).__name__} for a single language, expected UsageError")
    require(holds=False, problem="accepted a single language, which has no other to compare with")


def _file(detector: Detector) -> None:
    found = detector(make_evidence(USUAL))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "neurons.safetensors"
        found.save(path)
        require(_same(found, load_neurons(path)), "writing and reading changed the result; scores are float32")


def _budget(detector: Detector) -> None:
    cut = detector(make_evidence(USUAL)).cut(BUDGET)
    most, largest = budget_count(BUDGET, 80), int(cut.membership.sum(axis=1).max())
    require(largest <= most, f"cut to {BUDGET:g}, a language has {largest} neurons, expected at most {most}")


def _finite(detector: Detector) -> None:
    found = detector(make_evidence(USUAL))
    score = np.broadcast_to(found.score, found.membership.shape)
    require(np.isfinite(score[found.membership]).all(), "selected neurons have scores that are NaN or infinite")


def peak_bytes(detector: Detector, evidence: Evidence) -> int:
    """Return the most memory that Python and numpy held at once for the detection, in bytes."""
    tracemalloc.start()
    try:
        detector(evidence)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _large(detector: Detector) -> None:
    evidence, share = _large_evidence(detector)
    started = time.perf_counter()
    peak = peak_bytes(detector, evidence)
    seconds = time.perf_counter() - started
    require(
        peak < ALLOWED_BYTES * share,
        f"needs {peak / share / 2**30:.1f} GiB for {LARGE:,} neurons and {len(evidence.languages)} languages beside "
        f"the statistics, expected at most {ALLOWED_BYTES >> 30}; work in blocks of neurons",
    )
    require(
        seconds < ALLOWED_SECONDS * share,
        f"takes {seconds / share:.0f} s for {LARGE:,} neurons, expected at most {ALLOWED_SECONDS}",
    )


def _large_evidence(detector: Detector) -> tuple[Evidence, float]:
    """Return evidence of what it needs of as many neurons as fit, and which share of `LARGE` they are.

    Activation counts are there for everybody: what is used and not declared is another check's finding.
    """
    counts = Need("activation_count", "gate")
    small = make_evidence(replace(USUAL, widths=(64,)), tuple(dict.fromkeys((*detector.needs(), counts))))
    size = max(1, sum(tensor.nbytes for table in small.sites.values() for tensor in table.tensors.values()))
    times = max(1, min(LARGE // 64, LARGEST_EVIDENCE // size))
    sites = {
        site: replace(
            table,
            layer_widths=(64,) * times,
            tensors={
                name: tensor
                if name.split("/")[1] == "edges"
                else np.concatenate([tensor] * times, axis=_neurons(tensor))
                for name, tensor in table.tensors.items()
            },
        )
        for site, table in small.sites.items()
    }
    changes = {name: np.tile(values, times) for name, values in small.loss_changes.items()}
    return Evidence(sites, loss_changes=changes), 64 * times / LARGE


def _neurons(tensor: np.ndarray) -> int:
    return 1 if tensor.ndim == 2 and tensor.shape[1] == 64 else 0


def _same(first: Detection, second: Detection) -> bool:
    same = np.array_equal(first.membership, second.membership)
    return same and np.array_equal(first.score, second.score, equal_nan=True)


CHECKS = (
    Check("declared needs suffice", _needs),
    Check("two, three and seven languages", _languages),
    Check("layers of unequal width", _widths),
    Check("experts", _experts),
    Check("other components", _component),
    Check("dead and duplicate neurons", _dead),
    Check("NaN", _nan),
    Check("names of languages", _labels),
    Check("order of languages", _order),
    Check("deterministic", _deterministic),
    Check("leaves its evidence alone", _untouched),
    Check("leaves the process alone", _state),
    Check("pickles", _pickles),
    Check("options round trip", check_options),
    Check("refuses one language", _single),
    Check("survives its file", _file),
    Check("can be cut to a budget", _budget),
    Check("finite scores", _finite),
    Check("time and memory", _large),
)
