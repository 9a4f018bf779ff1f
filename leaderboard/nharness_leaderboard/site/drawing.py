"""Drawings of the front page as SVG that stands in the page: no script, no request, every text escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 400, 58, 46, 14
GUIDES = ((0.05, "5 % leaks"), (0.25, "25 %"), (1.0, "all of it"))
FLOOR = 1e-3
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Point:
    """One detector: harm to the own language and to the others, in bits per byte."""

    name: str
    own: float
    others: float
    random: bool


def scatter(points: Sequence[Point]) -> Markup:
    """Return own harm against harm to others, both on logarithmic scales, with lines of equal leakage.

    What is below 0.001 stands at the edge.
    """
    if not points:
        return Markup("")
    most = max(FLOOR * 100, *(max(p.own, p.others) for p in points)) * 1.6
    span = math.log10(most / FLOOR)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 90) * math.log10(max(value, FLOOR) / FLOOR) / span

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * math.log10(max(value, FLOOR) / FLOOR) / span

    parts = [*_grid(x, y, most), *_guides(x, y, most)]
    placed = [(x(p.own) - 5, y(p.others) - 5, x(p.own) + 5, y(p.others) + 5) for p in points]
    for point in sorted(points, key=lambda p: -p.own):
        at, up = x(point.own), y(point.others)
        left, down, box = _label_place(point.name, at, up, placed)
        placed.append(box)
        kind = "dot random" if point.random else "dot"
        parts.append(
            f'<g class="{kind}" data-own="{point.own:.12g}" data-others="{point.others:.12g}">'
            f'<circle cx="{at:.1f}" cy="{up:.1f}" r="4.5"/>'
            f'<text x="{left:.1f}" y="{down:.1f}">{escape(point.name)}</text></g>'
        )
    title = "Harm to the own language against harm to the others, one point a detector"
    return _svg(WIDTH, HEIGHT, title, parts)


Box = tuple[float, float, float, float]


def _label_place(name: str, at: float, up: float, placed: Sequence[Box]) -> tuple[float, float, Box]:
    """Return where a point's name starts, and its box: beside the point, or near it, where it covers nothing."""
    wide = 6.6 * len(name)
    tries = [
        (left, up + 4 + step)
        for step in (0, -11, 11, -20, 20, -30, 30, -42, 42)
        for left in (at + 8, at - 8 - wide)
        if left > LEFT
    ]
    for left, down in tries:
        box = left, down - 10, left + wide, down + 2
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in placed):
            return left, down, box
    return at + 8, up + 4, (at + 8, up - 6, at + 8 + wide, up + 6)


def _grid(x: Scale, y: Scale, most: float) -> Iterator[str]:
    power = FLOOR
    while power <= most:
        label = f"{power:g}"
        yield f'<text class="tick" x="{x(power):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{label}</text>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y(power) + 4:.1f}" text-anchor="end">{label}</text>'
        power *= 10
    yield f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - 90}"/>'
    yield (
        f'<text class="tick" x="{(LEFT + WIDTH - 90) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        "harm to the own language, bits per byte (log) \N{RIGHTWARDS ARROW} better to the right</text>"
    )
    yield (
        f'<text class="tick" transform="translate(13 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">'
        "harm to the others (log) \N{DOWNWARDS ARROW} better below</text>"
    )


def _guides(x: Scale, y: Scale, most: float) -> Iterator[str]:
    for leak, label in GUIDES:
        first, last = max(FLOOR, FLOOR / leak), min(most, most / leak)
        if last <= first:
            continue
        ends = x(first), y(first * leak), x(last), y(last * leak)
        yield '<line class="guide" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*ends)
        yield f'<text class="tick" x="{ends[2] + 4:.1f}" y="{ends[3] + 10:.1f}">{label}</text>'


def slopes(first: Sequence[str], second: Sequence[str], titles: tuple[str, str]) -> Markup:
    """Return the order of the same names on two models, a line a name; large moves stand out."""
    step, left, right = 22, 170, 330
    parts = [
        f'<text class="tick" x="{left}" y="16" text-anchor="end">{escape(titles[0])}</text>',
        f'<text class="tick" x="{right}" y="16">{escape(titles[1])}</text>',
    ]
    for place, name in enumerate(first):
        there = second.index(name)
        moved = "moved" if abs(place - there) * 4 > len(first) else "stays"
        parts.append(
            f'<g class="{moved}" data-first="{place + 1}" data-second="{there + 1}">'
            f'<line x1="{left + 6}" y1="{36 + place * step}" x2="{right - 6}" y2="{36 + there * step}"/>'
            f'<text x="{left}" y="{40 + place * step}" text-anchor="end">{place + 1} {escape(name)}</text>'
            f'<text x="{right}" y="{40 + there * step}">{there + 1} {escape(name)}</text></g>'
        )
    return _svg(500, 44 + step * len(first), f"The order on {titles[0]} and on {titles[1]}", parts)


def sparkline(values: Sequence[float]) -> Markup:
    """Return a bar a layer, first layer left, the tallest at full height."""
    most = max([*values, 1e-12])
    width = max(1.0, 96 / max(1, len(values)))
    parts = [
        f'<rect x="{i * width:.2f}" y="{22 - 22 * v / most:.2f}" width="{max(0.6, width - 0.6):.2f}" '
        f'height="{22 * v / most:.2f}"/>'
        for i, v in enumerate(values)
        if v > 0
    ]
    return _svg(96, 22, f"Neurons by layer, {len(values)} layers", parts, kind="spark")


def _svg(width: int, height: int, title: str, parts: Sequence[str], *, kind: str = "drawing") -> Markup:
    body = "".join(map(str, parts))
    label = escape(title)
    return Markup(  # noqa: S704 - numbers of ours, and texts that were escaped
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{label}">{body}</svg>'
    )
