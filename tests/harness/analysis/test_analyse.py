"""A whole record's numbers from items: against brute force, through the record's own validation, and with cells missing."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from matrix_measurements import CHOICE, LANGUAGES, PPL, SETTINGS, matrix, targets
from nharness.analysis.analyse import Known, analyse, reanalyse
from nharness.analysis.effects import Aim
from nharness.analysis.measurements import Failure, Measurement, from_items
from nharness.analysis.selectivity import langspec_f1
from nharness.errors import UsageError
from nharness.record.cells import Controls, Task
from nharness.record.items import RecordedItem, parse_item
from nharness.record.validate import validate_bytes
from synthetic_records import synthetic_record

TASKS = (PPL, CHOICE)


def run(measurements=None, *, known=None, rows=None, tasks=TASKS):
    return analyse(measurements or matrix(), tasks=tasks, targets=rows or targets(), settings=SETTINGS, known=known)


def cell(analysis, task, target, language):
    return next(c for c in analysis.cells if (c.task, c.target, c.language) == (task, target, language))


def by_key(measurements):
    return {m.key: m for m in measurements}


def test_cells_baselines_and_order():
    found, table = run(), by_key(matrix())
    expected = [(t.name, r.name, tag) for t in TASKS for r in targets() for tag in t.languages]
    assert [(c.task, c.target, c.language) for c in found.cells] == expected
    base, edited = table["ppl", None, None, "zh"].values, table["ppl", "zh", None, "zh"].values
    bits, size = base["nll"].sum() / math.log(2), base["bytes"].sum()
    got = cell(found, "ppl", "zh", "zh")
    assert got.baseline == pytest.approx(bits / size, rel=1e-11)
    assert got.change == pytest.approx((edited["nll"].sum() - base["nll"].sum()) / math.log(2) / size, rel=1e-9)
    ratio = math.exp(edited["nll"].sum() / base["tokens"].sum()) / math.exp(base["nll"].sum() / base["tokens"].sum())
    assert got.perplexity_ratio == pytest.approx(ratio, rel=1e-9)
    assert (got.items, got.items_available, got.edited_activations) == (40, 50, 7)
    intact = next(b for b in found.baseline if (b.task, b.language) == ("ppl", "zh"))
    assert intact.perplexity == pytest.approx(math.exp(base["nll"].sum() / base["tokens"].sum()), rel=1e-11)
    assert (intact.tokens, intact.bytes) == (int(base["tokens"].sum()), int(size))


def test_harms_that_cancel_leave_nothing_behind():
    lines = Task(
        name="lines", family="output", metric="share", unit="share of lines", direction="higher", languages=("en", "fr")
    )
    shares = {
        (None, "en"): (1, 2 / 3, 1),
        (None, "fr"): (1, 2 / 3, 1),
        ("en", "en"): (1, 1 / 3, 1),
        ("en", "fr"): (1, 1, 1),
        ("zh", "en"): (1, 1 / 3, 1),
        ("zh", "fr"): (1, 1, 1),
        ("fr", "en"): (1, 1 / 3, 1),
        ("fr", "fr"): (1, 1, 1),
    }
    measured = [
        Measurement("lines", target, None, tag, tuple("abcdef"), tuple("abcdef"), {"share": np.array(2 * values)})
        for (target, tag), values in shares.items()
    ]
    (summary,) = run(measured, rows=targets(general=False), tasks=(lines,)).summary
    assert [row.selectivity and round(9 * row.selectivity.value, 6) for row in summary.rows] == [2, None, -2]
    for found in (summary.on_target, summary.off_target, summary.selectivity, summary.rows[1].off_target):
        assert (found.value, found.interval) == (0, (0, 0))


def test_significance_flags_and_mcnemar():
    found = run(known=Known(noise_floors={("ppl", "fr"): 0.5}, overlapping={("ppl", "en")}, unknown={("ppl", "zh")}))
    assert all(cell(found, "ppl", tag, tag).q < 0.05 for tag in LANGUAGES)
    assert "below_noise_floor" in cell(found, "ppl", "fr", "fr").flags
    assert "overlap" in cell(found, "ppl", "zh", "en").flags
    assert "overlap" not in cell(found, "choice", "zh", "en").flags
    assert [tag for tag in LANGUAGES if "unknown_tokens" in cell(found, "ppl", "en", tag).flags] == ["zh"]
    assert "unknown_tokens" not in cell(found, "choice", "en", "zh").flags
    choice = cell(found, "choice", "en", "en")
    table = by_key(matrix())
    before, after = (table["choice", t, None, "en"].values["acc"] for t in (None, "en"))
    lost = int(((before == 1) & (after == 0)).sum())
    assert choice.mcnemar_p == pytest.approx(2 * 0.5**lost)
    assert choice.change < 0
    assert cell(found, "ppl", "en", "en").mcnemar_p is None


def test_controls_compare_on_the_sample_of_items():
    found, table = run(), by_key(matrix())
    got = cell(found, "ppl", "fr", "fr").control
    base = table["ppl", None, None, "fr"].values

    def change(key):
        edited = table[key].values
        return (edited["nll"][:20] - base["nll"][:20]).sum() / math.log(2) / base["bytes"][:20].sum()

    drawn = [change(("ppl", "fr", draw, "fr")) for draw in range(6)]
    assert (got.draws, got.items, got.worse) == (6, 20, 0)
    assert got.change == pytest.approx(change(("ppl", "fr", None, "fr")), rel=1e-9)
    assert got.mean == pytest.approx(np.mean(drawn), rel=1e-9)
    assert got.sd == pytest.approx(np.std(drawn, ddof=1), rel=1e-9)
    assert got.effect == pytest.approx((got.change - got.mean) / got.sd, rel=1e-9)
    assert got.p <= got.q < 0.05
    assert found.control_changes["fr", 2]["ppl"]["fr"] == pytest.approx(drawn[2], rel=1e-9)
    assert cell(found, "choice", "en", "en").control is None


def test_summary_is_what_the_cells_say():
    found = run()
    ppl, choice = found.summary
    harm = {(t, tag): cell(found, "ppl", t, tag).change for t in LANGUAGES for tag in LANGUAGES}
    on = np.mean([harm[tag, tag] for tag in LANGUAGES])
    off = np.mean([value for (target, tag), value in harm.items() if target != tag])
    assert ppl.on_target.value == pytest.approx(on, rel=1e-9)
    assert ppl.off_target.value == pytest.approx(off, rel=1e-9)
    assert ppl.selectivity.value == pytest.approx(on - off, rel=1e-9)
    assert ppl.selectivity.interval[0] < 0.18 < ppl.selectivity.interval[1]
    assert (ppl.diagonal_share, ppl.langspec_f1) == (1.0, None)
    damage = [harm[tag, tag] / n for tag, n in zip(LANGUAGES, (10, 20, 30), strict=True)]
    assert ppl.per_neuron_damage == pytest.approx(np.mean(damage), rel=1e-9)
    assert ppl.control_selectivity.draws == 6
    assert ppl.control_selectivity.effect > 5
    # the task without French: its row has nulls, accuracy lost is harm, and F1 is defined
    assert [row.target for row in choice.rows] == list(LANGUAGES)
    assert choice.rows[2].on_target is None
    assert choice.on_target.value > 0.2
    assert choice.rows[0].langspec_f1 == pytest.approx(
        langspec_f1(
            -cell(found, "choice", "en", "en").change,
            [-cell(found, "choice", "en", "zh").change],
            cell(found, "choice", "en", "en").baseline,
        ),
        rel=1e-9,
    )


def test_langspec_f1_by_hand():
    # precision .3 / (.3 + .1) = .75, recall .3 / .6 = .5
    assert langspec_f1(0.3, [0.2, -0.5, 0.1], 0.6) == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert langspec_f1(-0.1, [0.1], 0.6) == 0.0
    assert langspec_f1(0.1, [], 0.6) is None


def test_order_of_measurements_does_not_matter_and_the_seed_does():
    shuffled = matrix()
    random.Random(1).shuffle(shuffled)
    assert run(shuffled) == run()
    other = analyse(matrix(), tasks=TASKS, targets=targets(), settings=SETTINGS.model_copy(update={"seed": 4}))
    assert other.cells != run().cells


def test_failed_cells_stay_with_their_reason_and_leave_the_rest():
    measurements = [m for m in matrix() if m.key not in {("ppl", "en", None, "fr"), ("ppl", "zh", 1, "zh")}]
    known = Known(
        failures=[Failure("ppl", "en", None, "fr", "NaN logits"), Failure("ppl", "zh", 1, "zh", "out of memory")]
    )
    found = run(measurements, known=known)
    failed = cell(found, "ppl", "en", "fr")
    assert (failed.status, failed.reason, failed.change) == ("failed", "NaN logits", None)
    assert found.control_changes["zh", 1]["ppl"]["zh"] is None
    assert cell(found, "ppl", "zh", "zh").control.draws == 5
    assert found.summary[0].control_selectivity.draws == 5  # over the cells that the selectivity is made of
    row = found.summary[0].rows[0]
    assert row.off_target.value == pytest.approx(cell(found, "ppl", "en", "zh").change, rel=1e-9)


def test_nothing_measured_in_a_language_or_at_all():
    measurements = [m for m in matrix() if m.language != "zh"]
    found = run(measurements, known=Known(failures=[Failure("ppl", None, None, "zh", "text is empty")]))
    assert cell(found, "ppl", "en", "zh").reason == "no baseline: text is empty"
    assert found.summary[0].rows[1].on_target is None
    nothing = analyse([], tasks=TASKS, targets=targets(), settings=SETTINGS)
    assert {c.status for c in nothing.cells} == {"failed"}
    assert nothing.summary[0].selectivity is None
    assert nothing.baseline == ()


def test_a_target_without_neurons_changes_nothing_and_counts():
    rows = targets(neurons=(0, 20, 30))
    measurements = [m for m in matrix() if m.target != "en"]
    found = run(measurements, rows=rows)
    empty = cell(found, "ppl", "en", "zh")
    assert (empty.change, empty.interval, empty.flags, empty.p) == (0.0, (0.0, 0.0), ("empty_target",), None)
    assert found.summary[0].rows[0].diagonal is False
    assert found.summary[0].diagonal_share == pytest.approx(2 / 3)
    assert found.summary[0].on_target.value == pytest.approx(
        sum(cell(found, "ppl", t, t).change for t in ("zh", "fr")) / 3, rel=1e-9
    )


def test_targets_that_are_no_language_have_cells_but_no_rows():
    rows = [target for target in targets() if target.name == "general"]
    found = run(rows=rows)
    assert len(found.cells) == 5
    assert found.summary[0].rows == ()
    assert found.summary[0].selectivity is None
    assert cell(found, "ppl", "general", "en").control.draws == 6


def test_one_language_has_an_on_target_and_no_selectivity():
    one = PPL.model_copy(update={"languages": ("en",)})
    found = run([m for m in matrix() if m.language == "en"], tasks=(one,), rows=targets(general=False))
    row = found.summary[0].rows[0]
    assert row.on_target is not None
    assert row.selectivity is None
    assert row.diagonal is None


def test_cells_that_stopped_at_different_places_are_paired_on_what_they_saw():
    measurements = [first(m, 25) if m.key == ("ppl", "en", None, "en") else m for m in matrix()]
    table = by_key(matrix())
    got = cell(run(measurements), "ppl", "en", "en")
    base, edited = (table["ppl", t, None, "en"].values for t in (None, "en"))
    assert got.items == 25
    assert got.baseline == pytest.approx(base["nll"][:25].sum() / math.log(2) / base["bytes"][:25].sum(), rel=1e-9)
    assert got.change == pytest.approx(
        (edited["nll"][:25] - base["nll"][:25]).sum() / math.log(2) / base["bytes"][:25].sum(), rel=1e-9
    )


def first(m, count):
    values = {name: column[:count] for name, column in m.values.items()}
    return Measurement(
        m.task, m.target, m.control, m.language, m.ids[:count], m.clusters[:count], values, m.available, 7
    )


def test_one_document_gives_numbers_without_intervals():
    found = run([first(m, 1) for m in matrix() if m.task == "ppl"], tasks=(PPL,))
    got = cell(found, "ppl", "en", "en")
    assert got.change is not None
    assert (got.interval, got.p, got.q, got.clusters) == (None, None, None, 1)
    assert got.withheld == "1 cluster of items; an interval needs at least 5"
    assert "few_clusters" in got.flags
    assert found.summary[0].selectivity.interval is None


def test_below_five_clusters_there_is_no_interval_p_or_star_and_the_reason_is_told():
    found = run([first(m, 4) for m in matrix() if m.task == "ppl"], tasks=(PPL,))
    got = cell(found, "ppl", "en", "en")
    assert (got.interval, got.p, got.q, got.minimum_detectable_effect) == (None, None, None, None)
    assert got.withheld == "4 clusters of items; an interval needs at least 5"
    assert found.summary[0].selectivity.withheld == got.withheld
    enough = run([first(m, 5) for m in matrix() if m.task == "ppl"], tasks=(PPL,))
    got = cell(enough, "ppl", "en", "en")
    assert got.interval is not None
    assert got.withheld is None
    assert "few_clusters" in got.flags
    choice = run([few(m) for m in matrix() if m.task == "choice"], tasks=(CHOICE,))
    assert cell(choice, "choice", "en", "en").mcnemar_p is None


def few(m):
    """The same items from three pages."""
    return Measurement(m.task, m.target, m.control, m.language, m.ids, tuple(f"p{i % 3}" for i in range(120)), m.values)


def test_what_is_told_of_random_draws_never_goes_below_what_they_can_tell():
    found = run()  # 6 draws of each of 4 targets: 24 different ones
    for each in found.cells:
        if each.control is not None:
            assert each.control.p >= 1 / 25
            assert each.control.q >= each.control.p
    assert cell(found, "ppl", "fr", "fr").control.p == pytest.approx(1 / 25)
    assert found.summary[0].control_selectivity.p == pytest.approx(1 / 7)


def test_steering_counts_gains_and_leaves_out_the_language_it_leads_away_from():
    gained = [
        Measurement(m.task, m.target, m.control, m.language, m.ids, m.clusters, {"acc": 1 - m.values["acc"]})
        for m in matrix()
        if m.task == "choice"
    ]
    table = by_key(gained)
    rows = targets(general=False)
    (harm,) = run(gained, tasks=(CHOICE,), rows=rows).summary
    (steer,) = run(gained, tasks=(CHOICE,), rows=rows, known=Known(aim=Aim("steer", "zh"))).summary
    own = (
        table["choice", "en", None, "en"].values["acc"].mean() - table["choice", None, None, "en"].values["acc"].mean()
    )
    assert own > 0.2
    assert harm.rows[0].on_target.value == pytest.approx(-own)
    assert steer.rows[0].on_target.value == pytest.approx(own)
    assert steer.rows[0].diagonal is True
    assert harm.rows[0].diagonal is False
    assert steer.rows[1].on_target is None  # away from Chinese: nothing there can move
    assert steer.on_target.value == pytest.approx(own)
    assert steer.selectivity.value > 0 > harm.selectivity.value
    assert steer.langspec_f1 is None


def as_record(found):
    """Put an analysis into a synthetic record of the same languages."""
    record = synthetic_record(languages=LANGUAGES, curve=False)
    sizes = record.neurons.per_language
    rows = targets(neurons=tuple(max(1, sizes[tag]) for tag in LANGUAGES), general=False)
    draws = found.draws({(r.name, d): (r.neurons, "0" * 64) for r in rows for d in range(6)})
    per_language = {tag: row.neurons for tag, row in zip(LANGUAGES, rows, strict=True)}
    return record.model_copy(
        update={
            "tasks": TASKS,
            "targets": tuple(rows),
            "baseline": found.baseline,
            "cells": found.cells,
            "summary": found.summary,
            "analysis": SETTINGS,
            "controls": Controls(kind="layer", seed=0, draws=draws),
            "neurons": record.neurons.model_copy(update={"per_language": per_language}),
        }
    )


def test_the_record_is_consistent_in_its_own_validation():
    sizes = synthetic_record(languages=LANGUAGES, curve=False).neurons.per_language
    rows = targets(neurons=tuple(max(1, sizes[tag]) for tag in LANGUAGES), general=False)
    record = as_record(run([m for m in matrix() if m.target != "general"], rows=rows))
    _, problems = validate_bytes(json.dumps(record.document(), allow_nan=False).encode())
    mine = [str(p) for p in problems if not str(p.pointer).startswith(("/neurons", "/identity"))]
    assert mine == []


def test_a_record_is_recomputed_equal_from_its_items():
    sizes = synthetic_record(languages=LANGUAGES, curve=False).neurons.per_language
    rows = targets(neurons=tuple(max(1, sizes[tag]) for tag in LANGUAGES), general=False)
    measurements = [m for m in matrix() if m.target != "general"]
    record = as_record(run(measurements, rows=rows))
    lines = [
        RecordedItem(
            m.task, m.target, m.control, m.language, name, m.clusters[i], {k: float(v[i]) for k, v in m.values.items()}
        ).line()
        for m in measurements
        for i, name in enumerate(m.ids)
    ]
    again = reanalyse(record, from_items(parse_item(line.encode(), where="line") for line in lines))
    assert again.summary == record.summary
    assert again.baseline == record.baseline
    assert [
        c.model_copy(update={"edited_activations": 7, "items_available": 50}) for c in again.cells if c.task == "ppl"
    ] == [c for c in record.cells if c.task == "ppl"]


def test_damaged_measurements_are_refused_with_a_sentence():
    with pytest.raises(UsageError, match="measured twice"):
        run(matrix() + matrix()[:1])
    with pytest.raises(UsageError, match="occurs twice"):
        Measurement("ppl", None, None, "en", ("a", "a"), ("a", "a"), {})
    with pytest.raises(UsageError, match="no 'acc'"):
        run(
            [
                Measurement(m.task, m.target, m.control, m.language, m.ids, m.clusters, {"f1": np.ones(len(m.ids))})
                if m.task == "choice"
                else m
                for m in matrix()
            ]
        )
    other = [m for m in matrix() if m.key != ("ppl", "en", None, "en")]
    wrong = by_key(matrix())["ppl", "en", None, "en"]
    wrong.values["bytes"][:] += 1
    with pytest.raises(UsageError, match="differs in its bytes"):
        run([*other, wrong])


def choice_draws(count=4):
    """Draws of the choice task that lose a few items in the own language only, so that their selectivity is above 0."""
    base, found = by_key(matrix()), []
    rng = np.random.default_rng(9)
    for target in LANGUAGES:
        for language in CHOICE.languages:
            m = base["choice", None, None, language]
            for draw in range(count):
                lost = rng.random(120) < (0.1 if target == language else 0.0)
                acc = np.where(lost, 0.0, m.values["acc"])
                found.append(Measurement("choice", target, draw, language, m.ids, m.clusters, {"acc": acc}))
    return found


def test_selectivity_of_random_neurons_where_higher_is_better():
    choice = run(matrix() + choice_draws()).summary[1].control_selectivity
    assert choice.draws == 4
    assert choice.mean == pytest.approx(0.08, abs=0.03)
    assert choice.effect > 2


def test_selectivity_of_random_neurons_beside_a_target_without_any():
    measurements = [m for m in matrix() if m.target != "en"]
    found = run(measurements, rows=targets(neurons=(0, 20, 30))).summary[0]
    assert found.control_selectivity.draws == 6
    assert found.control_selectivity.effect > 2


def test_right_or_wrong_cells_that_never_turn_have_a_width_and_others_none():
    table = by_key(matrix())
    same = table["choice", None, None, "en"]
    still = Measurement("choice", "zh", None, "en", same.ids, same.clusters, same.values)
    got = cell(run([still if m.key == still.key else m for m in matrix()]), "choice", "zh", "en")
    assert got.change == 0
    assert 0.005 < got.interval[1] < 0.05
    assert got.interval[0] == -got.interval[1]


def test_cut_prompts_are_counted_and_hits_hardly_recognised_flagged():
    def marked(measured):
        cut = np.where(np.arange(len(measured.ids)) < 3, 1.0, np.nan)
        unsure = np.where(np.arange(len(measured.ids)) < (60 if measured.target == "zh" else 2), 1.0, np.nan)
        return replace(measured, values={**measured.values, "truncated": cut, "low_confidence": unsure})

    found = run(
        [marked(each) if each.task == "choice" and each.target in (None, "zh", "en") else each for each in matrix()]
    )
    assert [cell(found, "choice", name, "en").truncated for name in ("zh", "en", "fr")] == [3, 3, None]
    assert {"truncated", "low_confidence"} <= set(cell(found, "choice", "zh", "en").flags)
    assert "low_confidence" not in cell(found, "choice", "en", "en").flags
    assert "truncated" not in cell(found, "choice", "fr", "en").flags
