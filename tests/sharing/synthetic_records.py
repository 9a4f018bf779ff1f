"""Records that no model ever produced: consistent inside, shaped like real ones, for tests only.

Nothing made here may be published; every name says `synthetic`.
"""

from __future__ import annotations

import hashlib
import math
from itertools import product

import numpy as np

from narrowing import present
from nharness.record import cells, detection, model, results, sources
from nharness.record.types import Estimate

LANGUAGES = ("en", "zh", "fr", "es", "vi", "id", "ja", "de", "ru", "ko", "el", "tr")


def digest(*parts):
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def synthetic_record(  # noqa: PLR0913
    *,
    languages=LANGUAGES[:4],
    layers=4,
    width=64,
    seed=0,
    detector="synthetic-lape",
    strength=0.1,
    draws=3,
    accuracy=True,
    model_name="synthetic/model",
    intervention="zero",
    budget=None,
    curve=True,
    badge="self-reported",
    notes=None,
    kinds=("specific", "related"),
):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, size=(len(languages), layers)) + np.arange(layers)
    counts[0] = 0 if seed % 3 == 0 else counts[0]
    sizes = dict(zip(languages, counts.sum(axis=1).tolist(), strict=True))
    tasks = [_task("ppl", languages)] + ([_task("choice", languages[: max(2, len(languages) - 1)])] if accuracy else [])
    targets = [
        cells.Target(name=tag, language=tag, kinds=kinds, neurons=sizes[tag], digest=digest(seed, tag))
        for tag in languages
    ]
    if kinds == ("general",):
        targets = [cells.Target(name="general", kinds=kinds, neurons=5, digest=digest(seed, "general"))]
    drawn = _draws(rng, tasks, targets, draws)
    matrix = [
        _cell(rng, task, target, tag, strength, drawn) for task in tasks for target in targets for tag in task.languages
    ]
    record = model.Record(
        identity=sources.Identity(
            id="0" * 64,
            created="2026-11-20T04:00:00Z",
            nharness="0.1.0",
            badge=badge,
            command=f"nharness run --detector {detector} --model {model_name} --seed {seed}",
        ),
        model=sources.Model(
            name=model_name,
            fingerprint=digest(model_name)[:16],
            tokenizer_fingerprint=digest("tok", model_name)[:16],
            architecture="SyntheticForCausalLM",
            parameters=1_000_000 + layers,
            layer_widths=(width,) * layers,
            dtype="float32",
            device="cpu",
            args={"dtype": "float32"},
        ),
        corpus=_corpus(languages),
        detector=sources.Detector(
            name=detector,
            version="1",
            plugin="synthetic",
            distribution="synthetic 0",
            seconds=0.5,
            tokens=40_000,
            options={"top_rate": 0.01, "notes": notes or "none"},
        ),
        intervention=sources.Intervention(name=intervention, site="gate", backend="hooks", strength=None),
        selection=sources.Selection(kinds=kinds, budget=budget),
        languages=languages,
        neurons=_neurons(rng, languages, counts, width),
        tasks=tuple(tasks),
        targets=tuple(targets),
        baseline=tuple(_baselines(tasks)),
        cells=tuple(matrix),
        controls=cells.Controls(kind="layer", seed=seed, draws=tuple(drawn)) if draws else None,
        summary=tuple(_summary(task, targets, matrix, draws) for task in tasks),
        curve=tuple(_curve(strength)) if curve else (),
        ground_truth=(
            results.GroundTruth(truth="exhaustive", auroc=0.5 + strength / 2, precision_at_k=0.4, rank_correlation=0.2),
        )
        if seed % 2
        else None,
        stability=(results.Stability(kind="split_half", repeats=2, jaccard=0.6, rank_correlation=0.8),),
        cost=results.Cost(
            forward_tokens={"record": 40_000, "cells": 200_000},
            seconds={"record": 4.0, "cells": 21.5},
            cells_computed=len(matrix),
            cells_reused=2,
            tokens_saved=1000,
        ),
        environment=sources.Environment(
            python="3.11.2",
            nharness="0.1.0",
            torch="2.13.0",
            transformers="5.23.0",
            lm_eval="0.4.13",
            platform="Linux x86_64",
            cpu="synthetic",
            threads=1,
        ),
        analysis=results.AnalysisSettings(bootstrap_draws=1000, seed=seed, confidence=0.95),
    )
    return record.with_id()


def _task(name, languages):
    if name == "ppl":
        return cells.Task(
            name="ppl",
            family="perplexity",
            metric="bits_per_byte",
            unit="bits per byte",
            direction="lower",
            languages=languages,
            dataset="synthetic text, eval",
            scorer="nharness",
        )
    return cells.Task(
        name="choice",
        family="choice",
        metric="acc",
        unit="share of items",
        direction="higher",
        languages=languages,
        chance=0.5,
        scorer="lm-eval",
        lm_eval="0.4.13",
    )


def _corpus(languages):
    splits = [
        sources.CorpusSplit(language=tag, split=split, documents=40, tokens=5000, bytes=20_000)
        for tag, split in product(languages, ("detect", "eval"))
    ]
    overlap = (sources.TextOverlap(language=languages[0], documents=1, share=0.025, examples=("doc-1",)),)
    return sources.Corpus(
        name="synthetic", fingerprint=digest("corpus")[:16], licence="CC0-1.0", splits=splits, overlap=overlap
    )


def _neurons(rng, languages, counts, width):
    total = width * counts.shape[1]
    layers = counts.shape[1]
    specific = counts.sum(axis=0)
    zeros = (0,) * layers
    everything = tuple(int(v) for v in rng.integers(1, 9, size=layers))
    unassigned = tuple(int(width - s) for s in np.minimum(specific, width))
    kinds = {
        "specific": tuple(map(int, np.minimum(specific, width))),
        "related": zeros,
        "general": zeros,
        "unassigned": unassigned,
    }
    all_kinds = {
        "specific": everything,
        "related": everything,
        "general": everything,
        "unassigned": tuple(width - 3 * v for v in everything),
    }
    size = len(languages)
    held = counts.sum(axis=1)
    overlap = [
        [None if not held[i] and not held[j] else (1.0 if i == j else 0.0) for j in range(size)] for i in range(size)
    ]
    for i in range(size):
        overlap[i][i] = 1.0 if held[i] else None
    return detection.Neurons(
        total=total,
        selected=sum(kinds["specific"]),
        per_language=dict(zip(languages, map(int, held), strict=True)),
        kinds_selected=detection.KindCounts(**{name: sum(values) for name, values in kinds.items()}),
        kinds_all=detection.KindCounts(**{name: sum(values) for name, values in all_kinds.items()}),
        layers=detection.LayerProfile(
            languages={tag: tuple(map(int, row)) for tag, row in zip(languages, counts, strict=True)},
            kinds_selected=kinds,
            kinds_all=all_kinds,
        ),
        overlap=overlap,
    )


def _baseline_value(task, tag):
    step = int(digest(task.name, tag)[:4], 16) / 65536
    return 1.2 + step if task.direction == "lower" else 0.6 + 0.3 * step


def _baselines(tasks):
    for task, tag in [(task, tag) for task in tasks for tag in task.languages]:  # noqa: B020
        ppl = task.name == "ppl"
        yield cells.Baseline(
            task=task.name,
            language=tag,
            value=_baseline_value(task, tag),
            items=30,
            noise_floor=1e-6,
            tokens=5000 if ppl else None,
            bytes=20_000 if ppl else None,
            perplexity=21.5 if ppl else None,
        )


def _draws(rng, tasks, targets, draws):
    return [
        cells.ControlDraw(
            target=target.name,
            draw=draw,
            neurons=target.neurons,
            digest=digest("draw", target.name, draw),
            changes={task.name: {tag: float(rng.normal(0, 0.004)) for tag in task.languages} for task in tasks},
        )
        for target in targets
        for draw in range(draws)
    ]


def _cell(rng, task, target, tag, strength, drawn):  # noqa: PLR0917
    sign = 1 if task.direction == "lower" else -1
    own = target.name == tag
    change = float(
        sign * (abs(rng.normal(strength, strength / 3)) if own else rng.normal(strength / 20, strength / 10))
    )
    baseline = _baseline_value(task, tag)
    half = 0.4 * abs(change) + 0.002
    p = float(min(1.0, math.exp(-abs(change) / 0.01)))
    changes = [draw.changes[task.name][tag] for draw in drawn if draw.target == target.name]
    control = None
    if changes:
        mean, sd = float(np.mean(changes)), float(np.std(changes, ddof=1)) if len(changes) > 1 else None
        worse = sum(sign * value >= sign * change for value in changes)
        control = cells.CellControl(
            draws=len(changes),
            items=20,
            change=change,
            mean=mean,
            sd=sd,
            effect=(change - mean) / sd if sd else None,
            worse=worse,
            p=p,
            q=min(1.0, 2 * p),
        )
    return cells.CellResult(
        task=task.name,
        target=target.name,
        language=tag,
        status="ok",
        baseline=baseline,
        edited=baseline + change,
        change=baseline + change - baseline,
        interval=(change - half, change + half),
        p=p,
        q=min(1.0, p * 1.5),
        mcnemar_p=0.5 if task.name == "choice" else None,
        items=30,
        items_available=30,
        edited_activations=5000,
        perplexity_ratio=math.exp(change) if task.name == "ppl" else None,
        minimum_detectable_effect=0.01,
        control=control,
        flags=("near_chance",) if task.name == "choice" and own else (),
    )


def _summary(task, targets, matrix, draws):
    sign = 1 if task.direction == "lower" else -1
    rows = []
    if all(target.language is None for target in targets):
        return results.TaskSummary(task=task.name, rows=())
    for target in targets:
        harm = {c.language: sign * c.change for c in matrix if c.task == task.name and c.target == target.name}
        if target.language not in harm:
            rows.append(results.RowSummary(target=target.name, language=target.language))
            continue
        on = harm[target.language]
        off = float(np.mean([value for tag, value in harm.items() if tag != target.language]))
        largest = max(harm, key=harm.__getitem__)
        rows.append(
            results.RowSummary(
                target=target.name,
                language=target.language,
                on_target=_estimate(on),
                off_target=_estimate(off),
                selectivity=_estimate(on - off),
                diagonal=largest == target.language,
                largest=largest,
                per_neuron_damage=on / target.neurons if target.neurons else None,
                langspec_f1=0.5 if task.direction == "higher" else None,
            )
        )
    known = [row for row in rows if row.on_target is not None]
    on = float(np.mean([present(row.on_target).value for row in known]))
    off = float(np.mean([present(row.off_target).value for row in known]))
    control = results.ControlSelectivity(
        draws=draws, mean=0.001, sd=0.004, effect=(on - off - 0.001) / 0.004, p=1 / (1 + draws)
    )
    return results.TaskSummary(
        task=task.name,
        on_target=_estimate(on),
        off_target=_estimate(off),
        selectivity=_estimate(on - off),
        diagonal_share=float(np.mean([row.diagonal for row in known])),
        per_neuron_damage=0.001,
        langspec_f1=0.5 if task.direction == "higher" else None,
        control_selectivity=control if draws else None,
        area_under_budget=0.05,
        rows=tuple(rows),
    )


def _estimate(value):
    half = 0.2 * abs(value) + 0.001
    return Estimate(value=float(value), interval=(float(value - half), float(value + half)))


def _curve(strength):
    for share in (0.0001, 0.001, 0.01, 0.1):
        dose = strength * (1 + math.log10(share / 0.0001))
        yield results.CurvePoint(
            task="ppl",
            axis="budget",
            value=share,
            neurons=round(share * 1000),
            on_target=_estimate(dose),
            off_target=_estimate(dose / 10),
            selectivity=_estimate(dose - dose / 10),
            controls=results.CurveBand(draws=5, mean=0.001, low=-0.004, high=0.006),
        )
