"""Neurons: a detection's result, addressed by (layer, unit), and its file.

Legend: `G` languages, `M` neurons of the model (the sum of the layer widths), `n` neurons of one language.

A neuron has a flat index in (layer, unit) order, so that layers of unequal width and mixture-of-experts models fit one
format. File: safetensors with one JSON document under the metadata key `nharness`, format `nharness-neurons/1`, which
names the component ("mlp" where it does not):
`neurons/<lang>` int64 [n, 2] of (layer, unit), sorted; `score` float32 [M] or `score/<lang>` float32 [M];
`candidate/<lang>` uint8 [M] where a detector says which neurons it *could* have given to a language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from nharness.errors import FileFormatError, OptionError, UnknownNameError, UsageError
from nharness.languages import parse_language
from nharness.tensorfile import field as metadata_field
from nharness.tensorfile import load as load_tensors
from nharness.tensorfile import save as save_tensors

FORMAT = "nharness-neurons/1"
Kind = Literal["specific", "related", "general", "unassigned"]
MOST_NEURONS = 1 << 31  # a file that claims a larger model is damaged; its masks would fill the memory
KINDS: tuple[Kind, ...] = ("specific", "related", "general", "unassigned")
Best = Literal["lowest", "highest"]
Component = Literal["mlp", "attention", "head", "residual", "dictionary", "expert"]
COMPONENTS: tuple[Component, ...] = get_args(Component)


class OfModel(Protocol):
    """What is of a model's units: neurons, statistics, a map of a model, what is known of one."""

    @property
    def layer_widths(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def component(self) -> Component: ...  # noqa: D102


@dataclass(frozen=True)
class Units:
    """The units of a model: how many each layer has, and of which component they are."""

    layer_widths: tuple[int, ...]
    component: Component = "mlp"


@dataclass(frozen=True)
class Detection:
    """Which neurons belong to which language, and how strongly.

    membership: bool [G, M]; a neuron may belong to several languages.
    score: float32 [M], or [G, M] where the detector scores every language apart; `best` says which end is strong.
    candidates: bool [G, M] or None; neurons that the detector would give to a language were its cut looser. Kinds over
        *all* neurons and budgets are read from it; None means every neuron may be given to every language.
    component: what kind of unit the neurons are.
    """

    detector: str
    languages: tuple[str, ...]
    layer_widths: tuple[int, ...]
    membership: NDArray[np.bool_]
    score: NDArray[np.float32]
    best: Best
    candidates: NDArray[np.bool_] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    component: Component = "mlp"

    def __post_init__(self) -> None:
        size = (len(self.languages), sum(self.layer_widths))
        if self.membership.shape != size:
            raise FileFormatError(f"membership of {self.detector} is {self.membership.shape}, expected {size}")
        if self.score.shape not in {size, size[1:]}:
            raise FileFormatError(f"score of {self.detector} is {self.score.shape}, expected {size[1:]} or {size}")
        if self.candidates is not None and self.candidates.shape != size:
            raise FileFormatError(f"candidates of {self.detector} are {self.candidates.shape}, expected {size}")

    @property
    def size(self) -> int:
        """Number of neurons of the model, M."""
        return sum(self.layer_widths)

    def row(self, language: str) -> int:
        """Return the language's row; raises `UnknownNameError` for one the detection lacks."""
        if language not in self.languages:
            raise UnknownNameError(f"language of this {self.detector} detection", language, self.languages)
        return self.languages.index(language)

    def _repr_html_(self) -> str:
        """Return the number of every language's neurons, for a notebook, and in which layers they are."""
        starts = np.cumsum((0, *self.layer_widths[:-1]))
        head = "".join(f"<th>layer {layer}</th>" for layer in range(len(self.layer_widths)))
        body = ""
        for tag, members in zip(self.languages, self.membership, strict=True):
            counts = np.add.reduceat(members.astype(np.int64), starts).tolist()
            body += f"<tr><th>{tag}</th>{''.join(f'<td>{count}</td>' for count in (sum(counts), *counts))}</tr>"
        title = f"{escape(self.detector)}: neurons of {self.size}"
        return f"<table><caption>{title}</caption><tr><th></th><th>all</th>{head}</tr>{body}</table>"

    def flat(self, language: str) -> NDArray[np.int64]:
        """Return the language's neurons as ascending flat indices [n]."""
        return np.flatnonzero(self.membership[self.row(language)]).astype(np.int64)

    def neurons(self, language: str) -> NDArray[np.int64]:
        """Return the language's neurons as sorted (layer, unit) pairs [n, 2]."""
        return to_pairs(self.flat(language), self.layer_widths)

    def kinds(self, *, over: Literal["selected", "all"] = "selected") -> NDArray[np.int8]:
        """Return each neuron's kind [M] as an index into `KINDS`, from the number N of its languages.

        specific N = 1, related 1 < N < K, general N = K, unassigned N = 0; with K = 2 there is no related neuron.
        `over="all"` counts the candidates instead of the selected neurons.
        """
        held = self.membership if over == "selected" or self.candidates is None else self.candidates
        count = held.sum(axis=0)
        kinds = np.full(self.size, KINDS.index("unassigned"), dtype=np.int8)
        kinds[(count > 1) & (count < len(self.languages))] = KINDS.index("related")
        kinds[count == len(self.languages)] = KINDS.index("general")
        kinds[count == 1] = KINDS.index("specific")
        return kinds

    def strength(self) -> NDArray[np.float32]:
        """Return the score as [G, M] with higher = more the language's own; -inf where it is no candidate."""
        signed = -self.score if self.best == "lowest" else self.score
        rows = np.broadcast_to(signed, self.membership.shape).astype(np.float32)
        rows[np.isnan(rows)] = -np.inf
        if self.candidates is not None:
            rows[~self.candidates] = -np.inf
        return rows

    def cut(self, budget: float) -> Detection:
        """Return the detection with the best `round(budget * M)` (at least 1) neurons per language, by its own scores.

        Ties at the cut are broken by flat order. A language with fewer scored candidates keeps fewer; its row stays.
        Raises `OptionError` unless 0 < budget <= 1.
        """
        if not 0 < budget <= 1:
            raise OptionError(f"budget is a share of all neurons, above 0 and at most 1; got {budget}")
        cut = self.strongest(budget_count(budget, self.size))
        return replace(cut, options={**self.options, "budget": budget})

    def strongest(self, units: int) -> Detection:
        """Return the detection with the best `units` neurons per language; ties and short rows as in `cut`."""
        membership = np.zeros_like(self.membership)
        for row, flat in enumerate(self.ranked()):
            membership[row, flat[:units]] = True
        return replace(self, membership=membership)

    def ranked(self) -> list[NDArray[np.int64]]:
        """Return each language's scored candidates as flat indices, the best first, ties in flat order."""
        found = []
        for strength in self.strength():
            order = np.argsort(-strength, kind="stable")
            found.append(order[np.isfinite(strength[order])].astype(np.int64))
        return found

    @property
    def short(self) -> dict[str, tuple[int, int]]:
        """Neurons (asked for, got) of every language that has fewer than the budget it was cut to asks for.

        A detector that scores few neurons, or gives few to a language, cannot fill every budget.
        """
        budget = self.options.get("budget")
        if not isinstance(budget, int | float):
            return {}
        asked = budget_count(budget, self.size)
        got = self.membership.sum(axis=1).tolist()
        return {tag: (asked, found) for tag, found in zip(self.languages, got, strict=True) if found < asked}

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        tensors: dict[str, NDArray[Any]] = {f"neurons/{tag}": self.neurons(tag) for tag in self.languages}
        if self.score.ndim == 1:
            tensors["score"] = self.score.astype(np.float32)
        else:
            tensors |= {f"score/{tag}": self.score[row].astype(np.float32) for row, tag in enumerate(self.languages)}
        if self.candidates is not None:
            tensors |= {f"candidate/{tag}": self.candidates[i].astype(np.uint8) for i, tag in enumerate(self.languages)}
        save_tensors(path, tensors, self._metadata())

    def _metadata(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "detector": self.detector,
            "options": dict(self.options),
            "score_best": self.best,
            "languages": list(self.languages),
            "layer_widths": list(self.layer_widths),
            "component": self.component,
            "notes": dict(self.notes),
            "provenance": dict(self.provenance),
        }


def load(path: Path) -> Detection:
    """Read a neurons file, this project's or anyone's in the format.

    Scores are optional in foreign files: without them every selected neuron scores 1, every other 0.
    Raises `FileFormatError` naming the file for a damaged one, a language that is no canonical tag, or neurons outside
    the layer widths.
    """
    tensors, metadata = load_tensors(path, FORMAT)
    languages = _languages(path, metadata_field(path, metadata, "languages", list))
    widths = tuple(metadata_field(path, metadata, "layer_widths", list))
    if not widths or not all(type(width) is int and 0 < width <= MOST_NEURONS // len(widths) for width in widths):
        raise FileFormatError(f"{path}: layer_widths {list(widths)[:8]} are not the widths of a model")
    if len(languages) * sum(widths) > MOST_NEURONS:
        raise FileFormatError(
            f"{path}: {len(languages)} languages of {sum(widths)} neurons, more than any model could have"
        )
    membership = np.zeros((len(languages), sum(widths)), dtype=bool)
    for row, tag in enumerate(languages):
        pairs = tensors.get(f"neurons/{tag}")
        if pairs is None:
            raise FileFormatError(f"{path}: no tensor 'neurons/{tag}' for the language it lists")
        membership[row, to_flat(pairs, widths, where=f"{path}: neurons/{tag}")] = True
    return Detection(
        detector=str(metadata.get("detector", path.stem)),
        languages=languages,
        layer_widths=widths,
        membership=membership,
        score=_scores(path, tensors, languages, membership),
        best="lowest" if metadata.get("score_best") == "lowest" else "highest",
        candidates=_candidates(path, tensors, languages, membership.shape[1]),
        component=component_of(path, metadata),
        **{
            name: metadata_field(path, {name: metadata.get(name) or {}}, name, dict)
            for name in ("options", "notes", "provenance")
        },
    )


def _languages(path: Path, listed: Sequence[Any]) -> tuple[str, ...]:
    languages = tuple(map(str, listed))
    if not languages or len(set(languages)) < len(languages):
        raise FileFormatError(f"{path}: languages {list(languages)} are empty or repeated")
    for tag in languages:
        try:
            canonical = parse_language(tag)
        except UsageError as error:
            raise FileFormatError(f"{path}: {error}") from error
        if canonical != tag:
            raise FileFormatError(f"{path}: language {tag!r} should be written {canonical!r}")
    return languages


def budget_count(budget: float, size: int) -> int:
    """Return how many neurons a language has at a budget: its share of all `size` neurons, at least 1."""
    return max(1, round(budget * size))


def to_pairs(flat: NDArray[np.int64], layer_widths: Sequence[int]) -> NDArray[np.int64]:
    """Return flat indices [n] as (layer, unit) pairs [n, 2]."""
    ends = np.cumsum(np.asarray(layer_widths, dtype=np.int64))
    layers = np.searchsorted(ends, flat, side="right")
    starts = ends - np.asarray(layer_widths, dtype=np.int64)
    units = flat - starts[layers] if flat.size else flat
    return np.stack([layers, units], axis=1).astype(np.int64).reshape(-1, 2)


def to_flat(pairs: NDArray[Any], layer_widths: Sequence[int], *, where: str = "neurons") -> NDArray[np.int64]:
    """Return (layer, unit) pairs [n, 2] as flat indices [n]; raises `FileFormatError` for a pair outside the model."""
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise FileFormatError(
            f"{where}: expected whole numbers [n, 2] of (layer, unit), got {pairs.dtype}{pairs.shape}"
        )
    widths = np.asarray(layer_widths, dtype=np.int64)
    layers, units = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    inside = (layers >= 0) & (layers < len(widths)) & (units >= 0)
    inside[inside] &= units[inside] < widths[layers[inside]]
    if not inside.all():
        bad = pairs[int(np.argmin(inside))].tolist()
        raise FileFormatError(f"{where}: neuron {tuple(bad)} lies outside layer widths {list(layer_widths)[:8]}")
    starts = np.cumsum(widths) - widths
    return starts[layers] + units if layers.size else layers


def same_model(a: OfModel, b: OfModel, *, what: str) -> None:
    """Raise `UsageError` unless both are of units of one component and equal layer widths."""
    if a.component != b.component:
        raise UsageError(f"{what} belong to component {a.component!r}, not {b.component!r}")
    if a.layer_widths != b.layer_widths:
        layers, widest = len(b.layer_widths), max(b.layer_widths, default=0)
        raise UsageError(
            f"{what} belong to a model of {len(a.layer_widths)} layers x {max(a.layer_widths, default=0)} neurons, "
            f"not {layers} x {widest}"
        )


def component_of(path: Path, metadata: Mapping[str, Any]) -> Component:
    """Return the component a file names, "mlp" where it names none; raises `FileFormatError` for an unknown one."""
    named = metadata.get("component", "mlp")
    found = next((each for each in COMPONENTS if each == named), None)
    if found is None:
        raise FileFormatError(f"{path}: component {named!r}; expected one of {', '.join(COMPONENTS)}")
    return found


def _scores(
    path: Path, tensors: Mapping[str, NDArray[Any]], languages: Sequence[str], membership: NDArray[np.bool_]
) -> NDArray[np.float32]:
    size = membership.shape[1]
    if "score" in tensors:
        _expect_shape(f"{path}: score", tensors["score"], (size,), membership.shape)
        return tensors["score"].astype(np.float32)
    if not all(f"score/{tag}" in tensors for tag in languages):
        return membership.astype(np.float32)
    for tag in languages:
        _expect_shape(f"{path}: score/{tag}", tensors[f"score/{tag}"], (size,))
    return np.stack([tensors[f"score/{tag}"] for tag in languages]).astype(np.float32)


def _candidates(
    path: Path, tensors: Mapping[str, NDArray[Any]], languages: Sequence[str], size: int
) -> NDArray[np.bool_] | None:
    if not all(f"candidate/{tag}" in tensors for tag in languages):
        return None
    found = [tensors[f"candidate/{tag}"] for tag in languages]
    for tag, tensor in zip(languages, found, strict=True):
        _expect_shape(f"{path}: candidate/{tag}", tensor, (size,))
    return np.stack(found).astype(bool)


def _expect_shape(what: str, tensor: NDArray[Any], *shapes: tuple[int, ...]) -> None:
    if tensor.shape not in shapes:
        raise FileFormatError(f"{what} is {tensor.shape}, expected {' or '.join(map(str, shapes))}")
