"""Synthetic runs on disk: items drawn from a known law, neurons drawn at random, the record computed from both.

Unlike `synthetic_records`, every number of the record follows from the files beside it, so that recomputing finds nothing.
"""

import gzip
import json

import numpy as np
from synthetic_records import LANGUAGES, digest, synthetic_record

from nharness.analysis.analyse import analyse
from nharness.analysis.measurements import from_items
from nharness.neurons import KINDS, Detection
from nharness.record import cells, detection, results
from nharness.record.items import Item, write_items
from nharness.record.store import describe

SETTINGS = results.AnalysisSettings(bootstrap_draws=199, seed=7, confidence=0.95)


def synthetic_run(folder, *, languages=LANGUAGES[:3], seed=0, strength=0.2, draws=4, documents=24, **changes):
    """Write record.json, items and neurons into the folder; return the record."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = synthetic_record(languages=languages, seed=seed, draws=0, curve=False, accuracy=False, **changes)
    detected = _detection(np.random.default_rng(seed), languages, plain.model.layer_widths)
    neurons_path = folder / "neurons.safetensors"
    detected.save(neurons_path)
    targets = tuple(
        target.model_copy(update={"neurons": int(detected.membership[row].sum())})
        for row, target in enumerate(plain.targets)
    )
    items = list(_items(seed, languages, strength, draws, documents))
    items_path = unpacked(write_items(folder, items))
    found = analyse(from_items(items), tasks=plain.tasks, targets=targets, settings=SETTINGS)
    sizes = {(t.name, draw): (t.neurons, digest(seed, t.name, draw)) for t in targets for draw in range(draws)}
    files = (describe(folder, items_path, "items"), describe(folder, neurons_path, "neurons"))
    record = plain.model_copy(
        update={
            "targets": targets,
            "baseline": found.baseline,
            "summary": found.summary,
            "analysis": SETTINGS,
            "files": files,
            "cells": tuple(cell.model_copy(update={"edited_activations": 100}) for cell in found.cells),
            "controls": cells.Controls(kind="layer", seed=seed, draws=found.draws(sizes)),
            "neurons": _neurons(detected, files[1]),
        }
    ).with_id()
    (folder / "record.json").write_text(json.dumps(record.document()))
    return record


def unpacked(path):
    """Return an items file as text that tests can alter, whatever its size."""
    if path.suffix != ".gz":
        return path
    plain = path.with_suffix("")
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return plain


def _detection(rng, languages, widths):
    size = sum(widths)
    score = rng.random((len(languages), size)).astype(np.float32)
    return Detection(
        detector="synthetic",
        languages=tuple(languages),
        layer_widths=tuple(widths),
        membership=score > 0.95,
        score=score,
        best="highest",
        candidates=score > 0.9,
    )


def _neurons(detected, entry):
    layer = np.repeat(np.arange(len(detected.layer_widths)), detected.layer_widths)

    def per_layer(mask):
        return tuple(np.bincount(layer[mask], minlength=len(detected.layer_widths)).tolist())

    selected, everything = detected.kinds(over="selected"), detected.kinds(over="all")
    held = detected.membership
    both = (held[:, None] & held[None]).sum(axis=2)
    either = (held[:, None] | held[None]).sum(axis=2)
    return detection.Neurons(
        file=entry.name,
        sha256=entry.sha256,
        total=detected.size,
        selected=int(held.any(axis=0).sum()),
        per_language={tag: int(held[row].sum()) for row, tag in enumerate(detected.languages)},
        kinds_selected=detection.KindCounts(**{name: int((selected == i).sum()) for i, name in enumerate(KINDS)}),
        kinds_all=detection.KindCounts(**{name: int((everything == i).sum()) for i, name in enumerate(KINDS)}),
        layers=detection.LayerProfile(
            languages={tag: per_layer(held[row]) for row, tag in enumerate(detected.languages)},
            kinds_selected={name: per_layer(selected == i) for i, name in enumerate(KINDS)},
            kinds_all={name: per_layer(everything == i) for i, name in enumerate(KINDS)},
        ),
        overlap=[
            [float(b / e) if e else None for b, e in zip(*rows, strict=True)] for rows in zip(both, either, strict=True)
        ],
    )


def _items(seed, languages, strength, draws, documents):
    """Items of the same documents for every seed: what differs is what the edit does to them."""
    text, rng = np.random.default_rng(99), np.random.default_rng(seed + 1000)
    intact = {tag: (text.uniform(40, 80, documents), text.integers(60, 140, documents)) for tag in languages}

    def lines(target, control, changes):
        for tag in languages:
            nll, size = intact[tag]
            for i in range(documents):
                values = {
                    "nll": float(nll[i] + changes(tag) * size[i] * np.log(2)),
                    "tokens": 20,
                    "bytes": int(size[i]),
                }
                yield Item("ppl", target, control, tag, f"{tag}-{i}", f"{tag}-{i // 2}", values)

    yield from lines(None, None, lambda tag: 0.0)
    for target in languages:
        yield from lines(
            target, None, lambda tag, t=target: rng.normal(strength if tag == t else strength / 20, strength / 4)
        )
        for draw in range(draws):
            level = {tag: rng.normal(0, 0.01) for tag in languages}
            yield from lines(target, draw, lambda tag, level=level: rng.normal(level[tag], 0.005))
