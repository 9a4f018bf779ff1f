"""What a record can be checked against besides its own files: the detectors that ship, and other records.

A detector's name in nharness stands for that detector and its options. The intact model gives the same items on the
same text, whoever measures it, and a detector with the same options scores the same against a known model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from nharness.detector import make_options
from nharness.errors import NharnessError
from nharness.plugins import Plugins
from nharness.record.items import RecordedItem, read_items
from nharness.record.model import Record
from nharness.record.problems import Problem, shown
from nharness.record.store import find, inside
from nharness_leaderboard.deep.items import MAX_ITEMS
from nharness_leaderboard.results import Entry

OWN, MODULE = "nharness ", "nharness_detectors.plugin"
SAME_TEXT = 0.02  # by how much an item's NLL may differ between number formats' kernels and machines, relative
Intact = dict[tuple[Any, ...], RecordedItem]


def detector_problems(record: Record) -> Iterator[Problem]:
    """Yield a foreign detector under a name of nharness, and options that the detector does not have."""
    plugins, detector = Plugins(), record.detector
    registered = plugins.entries("detectors").get(detector.name)
    ours = registered is not None and registered.plugin == "detectors"
    claimed = detector.plugin == MODULE or (detector.distribution or "").startswith(OWN)
    if claimed and not ours and not detector.name.startswith("file:"):
        yield Problem("/detector/name", f"nharness has no detector {shown(detector.name)}")
    if not ours:
        return
    if detector.plugin != MODULE or not (detector.distribution or "").startswith(OWN):
        yield Problem(
            "/detector/plugin", f"{detector.name} is the name of nharness' own detector; this one is another's"
        )
        return
    kind = plugins.resolve("detectors", detector.name)
    if detector.version != kind.version:
        return  # an older algorithm, whose options are unknown here
    given = {name.rstrip("_"): value for name, value in detector.options.items()}
    try:
        expected = make_options(f"detector {detector.name}", kind.Options, given).model_dump(mode="json", by_alias=True)
    except NharnessError as error:
        yield Problem("/detector/options", shown(str(error), limit=300)[1:-1])
        return
    missing = [name for name in expected if name not in given]
    if missing:
        yield Problem("/detector/options", f"option {missing[0]} of {detector.name} is not given")


def disagreements(entries: Sequence[Entry], new: Sequence[Entry]) -> Iterator[tuple[Entry, Problem]]:
    """Yield records whose intact model, or whose score on a known model, contradicts that of a like record."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_key(entry.record), []).append(entry)
    for members in groups.values():
        if len(members) > 1 and any(entry in new for entry in members):
            yield from _apart(members)
    scores: dict[str, tuple[Entry, float | None]] = {}
    for entry in entries:
        for scored in entry.record.ground_truth or ():
            if scored.truth == "exhaustive":
                continue  # recomputed from the file
            detector = entry.record.detector
            key = json.dumps([scored.truth, detector.name, detector.version, detector.options], sort_keys=True)
            first, value = scores.setdefault(key, (entry, scored.auroc))
            if value != scored.auroc and entry in new:
                yield entry, Problem("/ground_truth", f"{first.slug} has another score against {scored.truth}")


def _key(record: Record) -> str:
    model = record.model
    return json.dumps([model.fingerprint, model.tokenizer_fingerprint, model.dtype, record.corpus.fingerprint])


def _apart(members: Sequence[Entry]) -> Iterator[tuple[Entry, Problem]]:
    seen: dict[tuple[Any, ...], tuple[Entry, RecordedItem]] = {}
    for entry in members:
        for place, item in _intact(entry).items():
            first, other = seen.setdefault(place, (entry, item))
            one, two = item.values.get("nll"), other.values.get("nll")
            if one is not None and two is not None and abs(one - two) > SAME_TEXT * max(abs(one), abs(two)):
                what = f"item {shown(item.id)} of the intact model on {item.language} has NLL {one:.6g}"
                yield entry, Problem("/files", f"{what}, in {first.slug} the same text has {two:.6g}")
                break


def _intact(entry: Entry) -> Intact:
    """Return the intact model's items by task, language, id and size of text; none from a damaged file."""
    file = find(entry.record.files, "items")
    if file is None:
        return {}
    own = {task.name for task in entry.record.tasks if task.lm_eval is None}
    try:
        items = list(read_items(inside(entry.folder, file.name), max_bytes=MAX_ITEMS))
    except NharnessError:
        return {}  # which deep validation says
    return {
        (item.task, item.language, item.id, item.values.get("tokens"), item.values.get("bytes")): item
        for item in items
        if item.target is None and item.task in own
    }
