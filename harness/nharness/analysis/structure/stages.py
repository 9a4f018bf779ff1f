"""Four stages by depth (Zhang et al. 2026, arXiv 2505.21505), located by change points, or said not to be there.

Legend: `L` layers, `D` kinds of neurons whose share varies, `S` stages.

1. A layer's profile is the share of its neurons that is of each kind, as `arcsin(sqrt(share))` [L, D], so that counts
   scatter alike whatever the share; kinds with the same share in every layer say nothing and are left out.
2. S stages are the S runs of at least two layers, each with its own mean profile, whose squared residuals add up to the
   least: found exactly, by dynamic programming.
3. Each number of stages, and a straight line through the layers as the profile that has none, is scored by
   BIC = n ln(s2) + RSS / s2 + k ln(n), n = L D, with s2 = max(RSS / n, mean of 1 / (4 width)), the scatter of counts
   being the least there can be; k is S D + 3 (S - 1) + 1 for stages, 2 D + 1 for the line. A border counts as three
   parameters because it is searched for in all layers (compare Zhang and Siegmund 2007): so flat, two- and three-stage
   profiles are taken for more in at most one simulation of a hundred, and four stages are missed in none.
4. What explains the layers is the simplest of them (one stage, the line, two, three, four stages) whose BIC is within
   6 of the lowest, since a difference of more is strong evidence (Kass and Raftery 1995). Four stages are *found* where
   that is they; else there is no such structure.
5. A border's certainty is the share of 200 residual-bootstrap profiles (mean profile of the stages plus residuals drawn
   with replacement, scaled by sqrt(L / (L - S))) that put it within one layer; its interval holds 95 % of them.

A model of fewer than eight layers has no room for four stages and is not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STAGES = (
    "multilingual understanding",
    "shared semantic space reasoning",
    "output-space transformation",
    "vocabulary-space output",
)
LINE = "a straight line"
SHORTEST = 2
FEWEST_LAYERS = SHORTEST * len(STAGES)
MARGIN = 6.0
BORDER = 3
RESAMPLES = 200
Profile = NDArray[np.float64]


@dataclass(frozen=True)
class BorderFound:
    """First layer of the next stage, the layers that hold 95 % of the resampled borders, share within one layer."""

    layer: int
    interval: tuple[int, int]
    certainty: float


@dataclass(frozen=True)
class StagesFound:
    """Whether four stages explain the layers better than less does; `best` names the simplest that explains them."""

    found: bool
    borders: tuple[BorderFound, ...]
    best: str


def stages(counts: NDArray[np.int64], layer_widths: Sequence[int], *, seed: int) -> StagesFound | None:
    """Return the stages of a model with `counts` neurons of each kind in each layer [kinds, L]; None for few layers."""
    if len(layer_widths) < FEWEST_LAYERS:
        return None
    profile = profile_of(counts, layer_widths)
    scores = explained(profile, layer_widths)
    best = next(name for name, score in scores.items() if score <= min(scores.values()) + MARGIN)
    found = best == named(len(STAGES))
    return StagesFound(found=found, borders=tuple(_borders(profile, seed)) if found else (), best=best)


def named(number: int) -> str:
    """Return the name of a number of stages."""
    return f"{number} stage{'s' if number > 1 else ''}"


def profile_of(counts: NDArray[np.int64], layer_widths: Sequence[int]) -> Profile:
    """Return the layers' profiles [L, D] of the kinds whose share varies."""
    shares = np.clip(counts / np.asarray(layer_widths), 0, 1)
    turned: Profile = np.arcsin(np.sqrt(shares)).T
    varied: Profile = turned[:, np.ptp(turned, axis=0) > 0]
    return varied


def explained(profile: Profile, layer_widths: Sequence[int]) -> dict[str, float]:
    """Return the BIC of one to four stages and of a straight line, the simplest first; the lower, the better."""
    layers, kinds = profile.shape
    if not kinds:
        return {named(1): 0.0}
    costs = _costs(profile)
    floor = float(np.mean(1 / (4 * np.asarray(layer_widths))))
    scores = {}
    for number in range(1, len(STAGES) + 1):
        rss = _cost_of(costs, _split(costs, number), layers)
        scores[named(number)] = _bic(rss, profile.size, number * kinds + BORDER * (number - 1) + 1, floor)
        if number == 1:
            scores[LINE] = _bic(_beside_line(profile), profile.size, 2 * kinds + 1, floor)
    return scores


def split(profile: Profile, number: int) -> tuple[int, ...]:
    """Return the first layers of the stages after the first, of the best split into that many."""
    return _split(_costs(profile), number)


def _beside_line(profile: Profile) -> float:
    """Return the squared residuals about a straight line through the layers."""
    design = np.stack([np.ones(len(profile)), np.arange(len(profile))], axis=1)
    return float(((profile - design @ np.linalg.lstsq(design, profile, rcond=None)[0]) ** 2).sum())


def _bic(rss: float, size: int, parameters: int, floor: float) -> float:
    variance = max(rss / size, floor)
    return size * float(np.log(variance)) + rss / variance + parameters * float(np.log(size))


def _costs(profile: Profile) -> NDArray[np.float64]:
    """Return the squared residuals [L + 1, L + 1] of one stage from layer i up to layer j; infinite where too short."""
    layers = len(profile)
    sums = np.concatenate([np.zeros((1, profile.shape[1])), np.cumsum(profile, axis=0)])
    squares = np.concatenate([[0.0], np.cumsum((profile**2).sum(axis=1))])
    length = np.arange(layers + 1)[None, :] - np.arange(layers + 1)[:, None]
    total = ((sums[None, :, :] - sums[:, None, :]) ** 2).sum(axis=2)
    inner = squares[None, :] - squares[:, None] - total / np.maximum(length, 1)
    return np.where(length >= SHORTEST, np.maximum(inner, 0.0), np.inf)


def _split(costs: NDArray[np.float64], number: int) -> tuple[int, ...]:
    layers = len(costs) - 1
    best, came = costs[0], []
    for _ in range(number - 1):
        through = best[:, None] + costs
        came.append(through.argmin(axis=0))
        best = through.min(axis=0)
    borders, end = [], layers
    for place in reversed(came):
        end = int(place[end])
        borders.append(end)
    return tuple(reversed(borders))


def _cost_of(costs: NDArray[np.float64], borders: tuple[int, ...], layers: int) -> float:
    return float(sum(costs[start, end] for start, end in zip((0, *borders), (*borders, layers), strict=True)))


def _borders(profile: Profile, seed: int) -> list[BorderFound]:
    layers, number = len(profile), len(STAGES)
    borders = split(profile, number)
    means = np.concatenate([np.tile(part.mean(axis=0), (len(part), 1)) for part in np.split(profile, borders)])
    residuals = (profile - means) * np.sqrt(layers / (layers - number))
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [split(means + residuals[rng.integers(0, layers, layers)], number) for _ in range(RESAMPLES)]
    )  # [draws, S - 1]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0, method="nearest").astype(int)
    near = (np.abs(drawn - np.asarray(borders)) <= 1).mean(axis=0)
    return [
        BorderFound(border, (int(low[place]), int(high[place])), float(near[place]))
        for place, border in enumerate(borders)
    ]
