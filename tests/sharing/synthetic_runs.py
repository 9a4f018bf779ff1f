"""Synthetic runs on disk: items drawn from a known law, neurons drawn at random, the record computed from both.

Unlike `synthetic_records`, every number of the record follows from the files beside it, so that recomputing finds nothing.
"""

import gzip
import json
from dataclasses import replace

import numpy as np

from nharness.analysis.analyse import analyse
from nharness.analysis.headline import headline_of
from nharness.analysis.ladder_items import climbed_of
from nharness.analysis.measurements import from_items
from nharness.analysis.structure.section import with_structure
from nharness.detector import Evidence
from nharness.neurons import KINDS, Detection
from nharness.plugins import Plugins
from nharness.record import cells, detection, results
from nharness.record.items import RecordedItem, write_items
from nharness.record.store import describe
from nharness.run.stages.controls import ControlSampler
from nharness.run.stages.targets import choose_targets
from nharness.run.work.jobs import neurons_digest
from nharness.spec import ControlSpec
from nharness.statistics import LanguageTotals, Statistics
from nharness.targets import RungName
from synthetic_records import LANGUAGES, synthetic_record

SETTINGS = results.AnalysisSettings(bootstrap_draws=199, seed=7, confidence=0.95)


def synthetic_run(  # noqa: PLR0913
    folder,
    *,
    languages=LANGUAGES[:3],
    seed=0,
    strength=0.2,
    draws=4,
    documents=24,
    leak=None,
    detected=None,
    effects=None,
    **changes,
):
    """Write record.json, items and neurons into the folder; return the record.

    leak: climb ladders too, whose harm to the others is this share of that to the own language. detected: the neurons,
    with effects [G, M] of each one's loss on every language, in bits per byte, that add up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain = synthetic_record(languages=languages, seed=seed, draws=0, curve=False, accuracy=False, **changes)
    detected = detected or _detection(np.random.default_rng(seed), languages, plain)
    neurons_path = folder / "neurons.safetensors"
    detected.save(neurons_path)
    every = plain.selection.kinds == KINDS[:3]  # what a record says where nobody chose kinds
    chosen = choose_targets(detected, () if every else plain.selection.kinds, None)
    flats = [chosen.flat(tag) for tag in languages]
    targets = tuple(
        target.model_copy(update={"neurons": len(flat), "digest": neurons_digest(flat)})
        for target, flat in zip(plain.targets, flats, strict=True)
    )
    added = None if effects is None else chosen.membership.astype(float) @ effects.T  # [G, G], target by language
    items = list(_items(seed, languages, strength, draws, documents, harms=added))
    items_path = unpacked(write_items(folder, items))
    found = analyse(from_items(items), tasks=plain.tasks, targets=targets, settings=SETTINGS)
    drawn = [_draw(chosen, seed, draw) for draw in range(draws)]
    sizes = {
        (tag, draw): (len(found.flat(tag)), neurons_digest(found.flat(tag)))
        for draw, found in enumerate(drawn)
        for tag in languages
    }
    tokens = 20 * documents
    neurons = {target.name: target.neurons for target in targets}
    activations = [{"edited_activations": neurons[cell.target] * tokens} for cell in found.cells]
    files = (describe(folder, items_path, "items"), describe(folder, neurons_path, "neurons"))
    more = {} if leak is None else _headline(folder, items, plain.tasks[0], languages, leak)
    record = plain.model_copy(
        update={
            "targets": targets,
            "baseline": found.baseline,
            "summary": found.summary,
            "analysis": SETTINGS,
            "files": files,
            "cells": tuple(cell.model_copy(update=more) for cell, more in zip(found.cells, activations, strict=True)),
            "corpus": _corpus(plain.corpus, {each.language: each for each in found.baseline}),
            "controls": cells.Controls(
                kind="layer",
                seed=seed,
                draws=found.draws(sizes),
                options=ControlSpec(draws=draws).model_dump(mode="json"),
            ),
            "neurons": _neurons(detected, files[1]),
        }
    )
    record = with_structure(record, detected)
    if more:
        record = record.model_copy(update=more | {"files": (*record.files, *more["files"])}).with_id()
    (folder / "record.json").write_text(json.dumps(record.document()))
    return record


RUNGS = {1: 0.03, 2: 0.06, 4: 0.12, 8: 0.3}


def _headline(folder, items, task, languages, leak):
    """Climb ladders whose rungs harm the own language by RUNGS, a share of its intact value; return what follows."""
    intact = [item for item in items if item.target is None]
    rng, rungs = np.random.default_rng(round(1000 * leak)), []
    for target in languages:
        for units, own in RUNGS.items():
            for item in intact:
                harm = own if item.language == target else own * leak
                values = item.values | {"nll": item.values["nll"] * (1 + harm + rng.normal(0, 0.01))}
                rungs.append(replace(item, target=str(RungName(target, units)), values=values))
    path = unpacked(write_items(folder, rungs, stem="ladder"))
    climbed = climbed_of(from_items([*intact, *rungs]), task, languages)
    return {"headline": headline_of(climbed, SETTINGS, task.name), "files": (describe(folder, path, "ladder"),)}


def unpacked(path):
    """Return an items file as text that tests can alter, whatever its size."""
    if path.suffix != ".gz":
        return path
    plain = path.with_suffix("")
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return plain


def _draw(chosen, seed, number):
    nothing = LanguageTotals(tokens=0, documents=0)
    recorded = Statistics("gate", chosen.layer_widths, dict.fromkeys(chosen.languages, nothing), {})
    sampler = ControlSampler(ControlSpec(), seed, Plugins())
    return sampler.detector(number).detect(Evidence({"gate": recorded}, reference=chosen))


def _corpus(corpus, intact):
    splits = [
        split.model_copy(update={"documents": found.items, "tokens": found.tokens, "bytes": found.bytes})
        if split.split == "eval" and (found := intact[split.language])
        else split
        for split in corpus.splits
    ]
    return corpus.model_copy(update={"splits": tuple(splits)})


def _detection(rng, languages, plain):
    widths = plain.model.layer_widths
    size = sum(widths)
    score = rng.random((len(languages), size)).astype(np.float32)
    found = Detection(
        detector=plain.detector.name,
        options=plain.detector.options,
        languages=tuple(languages),
        layer_widths=tuple(widths),
        membership=score > 0.95,
        score=score,
        best="highest",
        candidates=score > 0.9,
    )
    return found if plain.selection.budget is None else found.cut(plain.selection.budget)


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


def _items(seed, languages, strength, draws, documents, *, harms=None):
    """Items of the same documents for every seed: what differs is what the edit does to them.

    harms: mean changes [G, G] of target by language; none: `strength` on the diagonal, a twentieth of it elsewhere.
    """
    apart = np.full((len(languages), len(languages)), strength / 20)
    np.fill_diagonal(apart, strength)
    rows = (apart if harms is None else harms).tolist()
    mean = {
        (one, other): v
        for one, row in zip(languages, rows, strict=True)
        for other, v in zip(languages, row, strict=True)
    }
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
                yield RecordedItem("ppl", target, control, tag, f"{tag}-{i}", f"{tag}-{i // 2}", values)

    yield from lines(None, None, lambda tag: 0.0)
    for target in languages:
        yield from lines(target, None, lambda tag, t=target: rng.normal(mean[t, tag], strength / 4))
        for draw in range(draws):
            level = {tag: rng.normal(0, 0.01) for tag in languages}
            yield from lines(target, draw, lambda tag, level=level: rng.normal(level[tag], 0.005))
