"""Budget, targets and random draws, recomputed from the neurons file and the seed.

A record states which kinds and share of the detection it switches off and how random neurons were drawn; the neurons
file gives the rest. Draws that are matched by activation frequency need statistics, which are not published: their
digests are taken on trust.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nharness.detector import Evidence
from nharness.neurons import Detection
from nharness.neurons import load as load_neurons
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness.record.problems import Problem, shown
from nharness.record.store import find, inside
from nharness.run.stages.controls import ControlSampler
from nharness.run.stages.targets import best_share, choose_targets
from nharness.spec import ControlSpec
from nharness.statistics import LanguageTotals, Statistics
from nharness.targets import whose
from nharness_leaderboard.deep.neurons import fits

EVERY_KIND = ("specific", "related", "general")


def target_differences(record: Record, folder: Path) -> Iterator[Problem]:
    """Yield a budget, target or draw that does not follow from the neurons file."""
    entry = find(record.files, "neurons")
    if entry is None:
        return
    path = inside(folder, entry.name)
    if not fits(record, path):
        return
    detection = load_neurons(path)
    yield from _budget(record, detection)
    tables = _tables(record, detection)
    chosen = next((t for t in tables if not list(_targets(record, detection, t))), tables[0])
    yield from _targets(record, detection, chosen)
    yield from _draws(record, detection, chosen)


def digest_of(flat: NDArray[np.int64]) -> str:
    """Return the SHA-256 of neurons' ascending flat indices, as in records."""
    return hashlib.sha256(np.sort(flat).astype("<i8").tobytes()).hexdigest()


def _budget(record: Record, detection: Detection) -> Iterator[Problem]:
    """Yield a detection that was cut to another budget, or is not the best of its own scores at the record's."""
    budget, written = record.selection.budget, detection.options.get("budget")
    cut_before = budget is None and record.detector.name.startswith("file:")
    if budget != written and not cut_before:
        yield Problem("/selection/budget", f"it is {shown(budget)}, the neurons file was cut to {shown(written)}")
    if budget is None or not 0 < budget <= 1:
        return
    asked = max(1, round(budget * detection.size))
    expected = detection.cut(budget).membership
    for row, tag in enumerate(detection.languages):
        got = int(detection.membership[row].sum())
        if got > asked:
            yield Problem("/selection/budget", f"{got} neurons of {tag}, this budget allows {asked}")
        elif not np.array_equal(detection.membership[row], expected[row]):
            yield Problem(
                "/selection/budget", f"the neurons of {tag} are not its {asked} best by the detector's scores"
            )


def _tables(record: Record, detection: Detection) -> list[Detection]:
    """Return the possible targets of the kinds: all of a language's neurons, or those of each kind."""
    kinds = record.selection.kinds
    if set(kinds) - set(EVERY_KIND):
        return [detection]
    asked = [(), kinds] if kinds == EVERY_KIND else [kinds]
    return [choose_targets(detection, each, None) for each in asked]


def _share(table: Detection, detection: Detection, target: str) -> tuple[str, Detection]:
    name, share = whose(target)
    return name, table if share == 1 or name not in detection.languages else best_share(table, detection, share)


def _targets(record: Record, detection: Detection, table: Detection) -> Iterator[Problem]:
    asked = None if record.selection.budget is None else max(1, round(record.selection.budget * detection.size))
    for index, target in enumerate(record.targets):
        if target.kinds != record.selection.kinds:
            yield Problem(f"/targets/{index}/kinds", "the kinds of a target are those of the selection")
        name, rows = _share(table, detection, target.name)
        if name not in rows.languages:
            yield Problem(f"/targets/{index}/name", "the neurons file has no such target")
            continue
        flat = rows.flat(name)
        if target.neurons != len(flat):
            yield Problem(f"/targets/{index}/neurons", f"{target.neurons} neurons, the neurons file gives {len(flat)}")
        elif target.digest is not None and target.digest != digest_of(flat):
            yield Problem(f"/targets/{index}/digest", "these are other neurons than those of the neurons file")
        elif target.digest is None and record.identity.source is not None:  # not one of an older format
            yield Problem(f"/targets/{index}/digest", "it is left out, though the neurons file gives it")
        if target.short is not None and (target.short.asked, target.short.got) != (asked, len(flat)):
            yield Problem(f"/targets/{index}/short", f"asked for {asked}, got {len(flat)}")


def _draws(record: Record, detection: Detection, table: Detection) -> Iterator[Problem]:
    controls = record.controls
    if controls is None:
        return
    if controls.options.get("match", controls.kind) != controls.kind:
        yield Problem("/controls/kind", f"it is {controls.kind!r}, the options say {controls.options['match']!r}")
    if controls.kind not in {"layer", "uniform"}:
        return
    plugins = Plugins()
    drawing = plugins.entries("detectors").get(str(controls.options.get("detector", "random")))
    if drawing is None or drawing.plugin != "detectors" or controls.seed > 1 << 40:
        return  # somebody else's draws
    spec = ControlSpec(detector="random", match=controls.kind)
    sampler = ControlSampler(spec, controls.seed, plugins)
    nothing = LanguageTotals(tokens=0, documents=0)
    recorded = Statistics("gate", detection.layer_widths, dict.fromkeys(detection.languages, nothing), {})
    drawn: dict[tuple[float, int], Detection] = {}
    for index, draw in enumerate(controls.draws):
        name, share = whose(draw.target)
        key = share, draw.draw
        if key not in drawn:
            rows = _share(table, detection, draw.target)[1]
            drawn[key] = sampler.detector(draw.draw).detect(Evidence({"gate": recorded}, reference=rows))
        if name in drawn[key].languages and draw.digest != digest_of(drawn[key].flat(name)):
            where = f"/controls/draws/{index}/digest"
            yield Problem(where, f"seed {controls.seed} draws other neurons than these")
