"""Drawings of the front page as inline SVG: no script, no request, all text escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 480, 400, 56, 46, 14, 66
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
    """Return harm to the own language against harm to others, on logarithmic scales with lines of equal leakage.

    Values below 0.001 are drawn at the edge.
    """
    if not points:
        return Markup("")
    most = max(FLOOR * 100, *(max(p.own, p.others) for p in points)) * 1.6
    span = math.log10(most / FLOOR)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(max(value, FLOOR) / FLOOR) / span

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * math.log10(max(value, FLOOR) / FLOOR) / span

    guides = list(_guides(x, y, most))
    parts = [*_grid(x, y, most), *(drawn for drawn, _ in guides)]
    placed = [(x(p.own) - 5, y(p.others) - 5, x(p.own) + 5, y(p.others) + 5) for p in points]
    placed += [box for _, box in guides]
    for point in sorted(points, key=lambda p: -p.own):
        at, up = x(point.own), y(point.others)
        left, down, box = _label_place(point.name, at, up, placed)
        placed.append(box)
        kind = "dot random" if point.random else "dot"
        parts.append(
            f'<g class="{kind}" data-own="{point.own:.12g}" data-others="{point.others:.12g}">'
            f'{_lead(at, up, box)}<circle cx="{at:.1f}" cy="{up:.1f}" r="4.5"/>'
            f'<text x="{left:.1f}" y="{down:.1f}">{escape(point.name)}</text></g>'
        )
    title = "Harm to the own language against harm to the others, one point per detector"
    return _svg(WIDTH, HEIGHT, title, parts)


Box = tuple[float, float, float, float]


def _label_place(name: str, at: float, up: float, placed: Sequence[Box]) -> tuple[float, float, Box]:
    """Return where a point's name starts, and its box: beside the point or near it, so that it covers nothing."""
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


def _lead(at: float, up: float, box: Box) -> str:
    """Return a line from a point to its name, where another name or point is nearer to it; else nothing."""
    if box[1] - 2 <= up <= box[3] + 2:
        return ""
    end = box[0] - 2 if box[0] > at else box[2] + 2
    return f'<line class="lead" x1="{at:.1f}" y1="{up:.1f}" x2="{end:.1f}" y2="{(box[1] + box[3]) / 2:.1f}"/>'


def _grid(x: Scale, y: Scale, most: float) -> Iterator[str]:
    power = FLOOR
    while power <= most:
        label = f"{power:g}"
        yield f'<text class="tick" x="{x(power):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{label}</text>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y(power) + 4:.1f}" text-anchor="end">{label}</text>'
        power *= 10
    yield f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    yield (
        f'<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        "harm to the own language, bits per byte (log) \N{RIGHTWARDS ARROW} better to the right</text>"
    )
    yield (
        f'<text class="tick" transform="translate(13 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">'
        "harm to the others (log) \N{DOWNWARDS ARROW} better below</text>"
    )


def _guides(x: Scale, y: Scale, most: float) -> Iterator[tuple[str, Box]]:
    """Yield every line of equal leakage with its name, and the box that the name fills."""
    for leak, label in GUIDES:
        first, last = max(FLOOR, FLOOR / leak), min(most, most / leak)
        if last <= first:
            continue
        ends = x(first), y(first * leak), x(last), y(last * leak)
        line = '<line class="guide" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*ends)
        name = f'<text class="tick" x="{ends[2] + 4:.1f}" y="{ends[3] + 10:.1f}">{label}</text>'
        yield line + name, (ends[2] + 4, ends[3], ends[2] + 4 + 6 * len(label), ends[3] + 12)


def slopes(orders: Sequence[tuple[str, Sequence[str]]]) -> Markup:
    """Return the order of the same names on several models: a column per model, a line per name, large moves marked."""
    step, first, apart = 22, 132, 178
    names = orders[0][1]
    width = first + apart * (len(orders) - 1) + 136
    parts = []
    for column, (title, _) in enumerate(orders):
        at, anchor = _column(column, first, apart, last=column == len(orders) - 1)
        parts.append(f'<text class="tick head" x="{at}" y="16" text-anchor="{anchor}">{escape(_short(title))}</text>')
    for name in names:
        places = [order.index(name) for _, order in orders]
        kind = "moved" if (max(places) - min(places)) * 4 > len(names) else "stays"
        lines = [
            f'<line x1="{first + apart * at + (6 if at == 0 else 16)}" y1="{36 + here * step}" '
            f'x2="{first + apart * (at + 1) - (6 if at + 2 == len(orders) else 16)}" y2="{36 + there * step}"/>'
            for at, (here, there) in enumerate(pairwise(places))
        ]
        texts = []
        for column, place in enumerate(places):
            at, anchor = _column(column, first, apart, last=column == len(orders) - 1)
            inner = 0 < column < len(orders) - 1
            label = str(place + 1) if inner else f"{place + 1} {escape(name)}"
            texts.append(f'<text x="{at}" y="{40 + place * step}" text-anchor="{anchor}">{label}</text>')
        drawn, marks = ",".join(str(place + 1) for place in places), "".join([*lines, *texts])
        grey = " random" if name == "random" else ""
        parts.append(f'<g class="{kind}{grey}" data-places="{drawn}">{marks}</g>')
    label = "The order of detectors on " + ", ".join(title for title, _ in orders)
    return _svg(width, 44 + step * len(names), label, parts)


def _column(number: int, first: int, apart: int, *, last: bool) -> tuple[int, str]:
    """Return where a column's texts stand and how they are anchored: outside the lines, or between them."""
    at = first + apart * number
    if number == 0:
        return at, "end"
    return (at, "start") if last else (at, "middle")


def _short(title: str, most: int = 24) -> str:
    return title if len(title) <= most else title[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def share_lines(rows: Sequence[tuple[str, Sequence[float]]]) -> Markup:
    """Return kept shares at 5 %, 10 % and 25 % harm: a line per detector, named at the right where there is room."""
    if not rows:
        return Markup("")
    wide, high, left, right, top, bottom = 430, 400, 44, 130, 14, 46
    xs = [left + at * (wide - left - right) / 2 for at in range(3)]

    def y(value: float) -> float:
        return high - bottom - (high - bottom - top) * value

    parts = [f'<path class="axis" d="M{left} {top}V{high - bottom}H{wide - right}"/>']
    for at, level in zip(xs, ("5 %", "10 %", "25 %"), strict=True):
        parts.append(f'<text class="tick" x="{at:.1f}" y="{high - bottom + 16}" text-anchor="middle">{level}</text>')
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<line class="guide" x1="{left}" y1="{y(value):.1f}" x2="{wide - right}" y2="{y(value):.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts.append(
        f'<text class="tick" x="{(left + wide - right) / 2:.0f}" y="{high - 8}" text-anchor="middle">'
        "harm to the own language at which it is read</text>"
    )
    labels = _spread([y(shares[-1]) + 4 for _, shares in rows], 13, top + 4, high - bottom + 6)
    for (name, shares), label in zip(rows, labels, strict=True):
        points = " ".join(f"{x:.1f},{y(value):.1f}" for x, value in zip(xs, shares, strict=True))
        kind = "line random" if name == "random" else "line"
        values, end = ",".join(f"{value:.12g}" for value in shares), xs[-1]
        parts.append(
            f'<g class="{kind}" data-shares="{values}"><polyline points="{points}"/>'
            f'<line class="lead" x1="{end + 3:.1f}" y1="{y(shares[-1]):.1f}" x2="{end + 14:.1f}" y2="{label - 4:.1f}"/>'
            f'<text x="{end + 17:.1f}" y="{label:.1f}">{escape(name)}</text></g>'
        )
    return _svg(wide, high, "Kept share at 5, 10 and 25 % harm, a line per detector", parts)


def _spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Return positions near the wanted ones, in their order, at least `apart`, between `low` and `high` if they fit."""
    order = sorted(range(len(wanted)), key=lambda at: wanted[at])
    found = dict.fromkeys(order, 0.0)
    below = low - apart
    for at in order:
        below = found[at] = max(wanted[at], below + apart)
    above = high + apart
    for at in reversed(order):
        above = found[at] = min(found[at], above - apart)
    return [found[at] for at in range(len(wanted))]


def sparkline(values: Sequence[float]) -> Markup:
    """Return a bar per layer, the first at the left, the tallest at full height."""
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
