"""The statistics value: what was counted at one site, per language; and its file.

Legend: `G` languages, `M` neurons of the model, `D` documents.
File: safetensors, format `nharness-statistics/1` (tensors `<statistic>/<tensor>/<language>`; metadata `site`,
`component` ("mlp" where it is not named), `layer_widths`, `languages: {<lang>: {"tokens": n, "documents": n}}`,
`statistics: {<statistic>: {"version": v, "merge": {<tensor>: rule}}}`, fingerprints of model, corpus and tokenizer).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nharness.errors import FileFormatError, PluginError, UnknownNameError, UsageError
from nharness.languages import parse_language
from nharness.neurons import Component, component_of
from nharness.statistics.catalogue import CATALOGUE, MergeRule, StatisticFormat
from nharness.tensorfile import field as metadata_field
from nharness.tensorfile import load as load_tensors
from nharness.tensorfile import save as save_tensors

FORMAT = "nharness-statistics/1"


@dataclass(frozen=True)
class LanguageTotals:
    """How much text of one language was recorded: counted tokens and documents."""

    tokens: int
    documents: int

    def __add__(self, other: LanguageTotals) -> LanguageTotals:
        return LanguageTotals(self.tokens + other.tokens, self.documents + other.documents)


@dataclass(frozen=True)
class Statistics:
    """What was counted at one site ("gate" or "hidden"), per language and neuron.

    tensors: by full name `<statistic>/<tensor>/<language>`; provenance: fingerprints of model, tokenizer and corpus,
    and the policies that can change a number (dtype, special tokens, tokens of interest). component: what kind of unit
    a neuron is. formats: the statistics' own declarations, by name; those of the catalogue need none.
    """

    site: str
    layer_widths: tuple[int, ...]
    totals: Mapping[str, LanguageTotals]
    tensors: Mapping[str, NDArray[Any]]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    component: Component = "mlp"
    formats: Mapping[str, StatisticFormat] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages in recording order."""
        return tuple(self.totals)

    @property
    def size(self) -> int:
        """Number of neurons of the model, M."""
        return sum(self.layer_widths)

    def format(self, statistic: str) -> StatisticFormat | None:
        """Return what a statistic declares of itself; None where neither the file nor the catalogue says."""
        return self.formats.get(statistic) or CATALOGUE.get(statistic)

    def rule(self, name: str) -> MergeRule:
        """Return the rule by which the tensor of a full name is merged; raises `UsageError` where none is declared."""
        statistic, tensor, _ = name.split("/", 2)
        declared = self.format(statistic)
        if declared is None or tensor not in declared.tensors:
            raise UsageError(f"{statistic}/{tensor} has no merge rule; a statistic must declare one for every tensor")
        return declared.tensors[tensor]

    def has(self, statistic: str) -> bool:
        """Tell whether the statistic was recorded for every language."""
        prefix = f"{statistic}/"
        return all(any(n.startswith(prefix) and n.endswith(f"/{tag}") for n in self.tensors) for tag in self.languages)

    def get(self, statistic: str, tensor: str, language: str) -> NDArray[Any]:
        """Return one tensor, not to be written to; raises `UnknownNameError` naming what was recorded instead."""
        name = f"{statistic}/{tensor}/{language}"
        if name not in self.tensors:
            raise UnknownNameError(f"statistic at site {self.site!r}", name, self.tensors)
        found = self.tensors[name].view()
        found.flags.writeable = False  # detectors share the evidence: none may change what the next one sees
        return found

    def tokens(self, language: str) -> NDArray[np.int64]:
        """Return tokens that reached each neuron, int64 [M]: all of the language's, or the routed ones of an expert."""
        for statistic in ("activation_count", "moments"):
            routed = self.tensors.get(f"{statistic}/routed/{language}")
            if routed is not None:
                return routed.astype(np.int64)
        return np.full(self.size, self.totals[language].tokens, dtype=np.int64)

    def activation_probability(self) -> NDArray[np.float64]:
        """Return p [G, M], the share of each language's tokens with a > 0; 0 where no token reached the neuron."""
        shares = np.zeros((len(self.languages), self.size))
        for row, tag in zip(shares, self.languages, strict=True):
            tokens = self.tokens(tag)
            np.divide(self.get("activation_count", "positive", tag), tokens, out=row, where=tokens > 0)
            np.maximum(row, 0.0, out=row)
        return shares

    def mean(self) -> NDArray[np.float64]:
        """Return the mean activation [G, M] over tokens; 0 where no token reached the neuron."""
        return self._moment("sum")

    def variance(self) -> NDArray[np.float64]:
        """Return the population variance of the activation [G, M], at least 0."""
        return np.maximum(self._moment("sumsq") - self._moment("sum") ** 2, 0.0)

    def _moment(self, tensor: str) -> NDArray[np.float64]:
        means = np.zeros((len(self.languages), self.size))
        for row, tag in zip(means, self.languages, strict=True):
            tokens = self.tokens(tag)
            np.divide(self.get("moments", tensor, tag), tokens, out=row, where=tokens > 0)
        return means

    def save(self, path: Path) -> None:
        """Write the file atomically; equal statistics are equal bytes."""
        save_tensors(
            path,
            self.tensors,
            {
                "format": FORMAT,
                "site": self.site,
                "component": self.component,
                "layer_widths": list(self.layer_widths),
                **self.provenance,
                "statistics": self._declared(),
                "languages": {tag: {"tokens": t.tokens, "documents": t.documents} for tag, t in self.totals.items()},
                "language_order": list(self.totals),
            },
        )

    def _declared(self) -> dict[str, Any]:
        names = dict.fromkeys(name.split("/", 1)[0] for name in self.tensors)
        found = {name: self.format(name) for name in names}
        return {n: {"version": f.version, "merge": dict(f.tensors)} for n, f in found.items() if f is not None}


def load(path: Path) -> Statistics:
    """Read a statistics file, this project's or anyone's in the format.

    Warns (`UserWarning`) of counts above their tokens. Raises `FileFormatError` naming file and tensor for damage,
    unknown sites, or shapes that contradict the widths.
    """
    tensors, metadata = load_tensors(path, FORMAT)
    described = metadata_field(path, metadata, "languages", dict)
    order = metadata.get("language_order")
    tags = order if isinstance(order, list) and sorted(order) == sorted(described) else sorted(described)
    known = {"format", "site", "component", "layer_widths", "statistics", "languages", "language_order"}
    statistics = Statistics(
        site=metadata_field(path, metadata, "site", str),
        layer_widths=tuple(metadata_field(path, metadata, "layer_widths", list)),
        totals={tag: _totals(path, tag, described[tag]) for tag in tags},
        tensors=tensors,
        provenance={name: value for name, value in metadata.items() if name not in known},
        component=component_of(path, metadata),
        formats=_formats(path, metadata.get("statistics", {})),
    )
    _check(path, statistics)
    return statistics


def _formats(path: Path, declared: Any) -> dict[str, StatisticFormat]:
    try:
        return {
            str(name): StatisticFormat(
                str(name), "", {str(k): v for k, v in each["merge"].items()}, str(each["version"])
            )
            for name, each in declared.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(
            f"{path}: 'statistics' should name a version and merge rules of each statistic"
        ) from error
    except PluginError as error:
        raise FileFormatError(f"{path}: {error}") from error


def _totals(path: Path, tag: str, described: Any) -> LanguageTotals:
    if parse_language(tag) != tag:
        raise FileFormatError(f"{path}: language {tag!r} should be written {parse_language(tag)!r}")
    try:
        totals = LanguageTotals(int(described["tokens"]), int(described.get("documents", 0)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FileFormatError(f"{path}: language {tag!r} needs whole numbers 'tokens' and 'documents'") from error
    if totals.tokens < 0 or totals.documents < 0:
        raise FileFormatError(f"{path}: language {tag!r} has a negative number of tokens or documents")
    return totals


def _check(path: Path, statistics: Statistics) -> None:
    widths = statistics.layer_widths
    if not widths or not all(type(width) is int and width > 0 for width in widths):
        raise FileFormatError(f"{path}: layer_widths {list(statistics.layer_widths)} are not positive whole numbers")
    for name, tensor in statistics.tensors.items():
        parts = name.split("/")
        if len(parts) != 3 or parts[2] not in statistics.totals:
            raise FileFormatError(f"{path}: tensor {name!r} is not <statistic>/<tensor>/<language> of its languages")
        _check_tensor(path, statistics, name, tensor)


def _check_tensor(path: Path, statistics: Statistics, name: str, tensor: NDArray[Any]) -> None:
    statistic, part, language = name.split("/")
    declared = statistics.format(statistic)
    rule = declared.tensors.get(part) if declared else None
    if rule == "same":
        return
    counted = tensor.shape[:1]
    if rule == "concatenate":
        documents = statistics.totals[language].documents
        if counted != (documents,):
            raise FileFormatError(f"{path}: tensor {name!r} is {tensor.shape}, expected {documents} documents")
        counted = tensor.shape[1:2] if statistic in CATALOGUE else (statistics.size,)
    if counted != (statistics.size,):
        raise FileFormatError(f"{path}: tensor {name!r} is {tensor.shape}, expected {statistics.size} neurons")
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all() and not _unreached(rule, tensor):
        raise FileFormatError(f"{path}: tensor {name!r} holds NaN or infinity")
    if statistic == "activation_count":
        _check_count(path, name, tensor, statistics.totals[language].tokens)


def _unreached(rule: MergeRule | None, tensor: NDArray[Any]) -> bool:
    """Tell whether what is not finite is the largest or smallest of nothing: of a neuron that no token reached."""
    nothing = {"max": -np.inf, "min": np.inf}.get(rule or "")
    return nothing is not None and bool((np.isfinite(tensor) | (tensor == nothing)).all())


def _check_count(path: Path, name: str, tensor: NDArray[Any], tokens: int) -> None:
    """Refuse what is no count; warn of counts above the tokens.

    Published counts of responses are those of the whole less those of the prompts, both clamped at 0: they may exceed
    their tokens by a little, and are taken as they are.
    """
    if tensor.ndim != 1 or tensor.dtype.kind not in "iu" or tensor.min() < 0:
        raise FileFormatError(f"{path}: tensor {name!r} does not count, per neuron, tokens of the language")
    above = int((tensor > tokens).sum())
    if above:
        warnings.warn(
            f"{path}: {above} of {tensor.size} counts in {name!r} exceed the language's {tokens} tokens, by "
            f"{int(tensor.max()) - tokens} at most, as counts over responses may; taken as they are",
            UserWarning,
            stacklevel=2,
        )
