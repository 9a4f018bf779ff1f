"""The parts of a record that describe what went in: model, text, detector, neurons, software.

Legend: `G` languages, `L` layers, `M` neurons of the model.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nharness.neurons import KINDS, Detection, Kind
from nharness.record.detection import KindCounts, LayerProfile, Neurons
from nharness.record.sources import Environment


def installed(distribution: str) -> str:
    """Return the installed version of a distribution, "none" when it is absent."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"


def describe_environment(device: torch.device, *, lm_eval: bool) -> Environment:
    """Return the software and the machine that numbers came from; lm-eval is named only where a task needed it."""
    return Environment(
        python=platform.python_version(), nharness=installed("nharness"), torch=torch.__version__,
        transformers=installed("transformers"), lm_eval=installed("lm_eval") if lm_eval else None,
        platform=f"{platform.system()} {platform.machine()}", cpu=_processor(),
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None, threads=torch.get_num_threads(),
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )  # fmt: skip


def describe_neurons(detection: Detection, *, file: str | None, sha256: str | None) -> Neurons:
    """Return how many neurons there are, of which kind, where, and how languages share them."""
    counts = {tag: int(row.sum()) for tag, row in zip(detection.languages, detection.membership, strict=True)}
    kinds_all = None if detection.candidates is None else detection.kinds(over="all")
    return Neurons(
        file=file, sha256=sha256, total=detection.size, selected=int(detection.membership.any(axis=0).sum()),
        per_language=counts, kinds_selected=_kind_counts(detection.kinds()),
        kinds_all=None if kinds_all is None else _kind_counts(kinds_all),
        layers=LayerProfile(
            languages={
                tag: _per_layer(row, detection.layer_widths)
                for tag, row in zip(detection.languages, detection.membership, strict=True)
            },
            kinds_selected=_kind_layers(detection.kinds(), detection.layer_widths),
            kinds_all=None if kinds_all is None else _kind_layers(kinds_all, detection.layer_widths),
        ),
        overlap=_jaccard(detection.membership),
    )  # fmt: skip


def _processor() -> str | None:
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        with listed.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip() or None
    return platform.processor() or None


def _kind_counts(kinds: NDArray[np.int8]) -> KindCounts:
    counts = np.bincount(kinds, minlength=len(KINDS))
    return KindCounts(**{kind: int(counts[place]) for place, kind in enumerate(KINDS)})


def _kind_layers(
    kinds: NDArray[np.int8], widths: Sequence[int]
) -> dict[Kind, tuple[int, ...]]:
    return {kind: _per_layer(kinds == place, widths) for place, kind in enumerate(KINDS)}


def _per_layer(marked: NDArray[np.bool_], widths: Sequence[int]) -> tuple[int, ...]:
    starts = np.cumsum([0, *widths[:-1]])
    return tuple(int(count) for count in np.add.reduceat(marked.astype(np.int64), starts))


def _jaccard(membership: NDArray[np.bool_]) -> tuple[tuple[float | None, ...], ...]:
    """Return shared / united neurons [G, G] of every two languages; None where both have none."""
    numbers = membership.astype(np.int64)
    shared = numbers @ numbers.T
    own = np.diag(shared)
    united = own[:, None] + own[None, :] - shared
    return tuple(
        tuple(float(s) / float(u) if u else None for s, u in zip(row, union, strict=True))
        for row, union in zip(shared, united, strict=True)
    )
