"""Detector and model pages: what the records of one have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nharness.information import BITS_PER_BYTE
from nharness_leaderboard.site.about import About, about_detectors
from nharness_leaderboard.site.text import NONE, whole
from nharness_leaderboard.site.view import RecordView, TaskView


@dataclass(frozen=True)
class Subject:
    """One detector or model: its page, its records, what is known of it."""

    name: str
    page: str
    views: tuple[RecordView, ...]
    others: int
    note: str
    facts: tuple[tuple[str, str], ...]
    about: About | None = None

    @property
    def rows(self) -> list[tuple[RecordView, TaskView]]:
        """Its records, a row per task: those ranked together side by side, best first."""
        return sorted(((view, task) for view in self.views for task in view.tasks), key=_order)

    @property
    def places(self) -> list[RecordView]:
        """Its records with a headline, a row per model and detector, ranked ones first."""
        held = [view for view in self.views if view.record.headline is not None]
        return sorted(held, key=lambda view: (view.record.model.name, not _is_ranked(view), view.record.detector.name))

    @property
    def records(self) -> int:
        """Number of its records."""
        return len(self.views)


def detectors(views: Sequence[RecordView]) -> list[Subject]:
    """Return the detectors, by name."""
    known = about_detectors()
    return [
        Subject(
            name=name,
            page=found[0].detector_page,
            views=tuple(found),
            others=len({view.record.model.name for view in found}),
            note=_best_rank(found),
            facts=(
                ("Versions", _join(view.record.detector.version for view in found)),
                ("Plug-in", _join(view.record.detector.distribution or view.record.detector.plugin for view in found)),
                ("Models", _join(view.record.model.name for view in found)),
                ("Interventions", _join(view.record.intervention.name for view in found)),
            ),
            about=known.get(name),
        )
        for name, found in _groups([(view.record.detector.name, view) for view in views])
    ]


def models(views: Sequence[RecordView]) -> list[Subject]:
    """Return the models, by name."""
    return [
        Subject(
            name=name,
            page=found[0].model_page,
            views=tuple(found),
            others=len({view.record.detector.name for view in found}),
            note=whole(found[0].record.neurons.total),
            facts=(
                ("Checkpoint", _join(view.record.model.checkpoint or "not stated" for view in found)),
                ("Revision", _join(view.record.model.revision or "not stated" for view in found)),
                ("Fingerprint of the weights", _join(view.record.model.fingerprint for view in found)),
                ("Fingerprint of the tokenizer", _join(view.record.model.tokenizer_fingerprint for view in found)),
                ("Precision", _join(view.record.model.dtype for view in found)),
                ("Architecture", _join(view.record.model.architecture for view in found)),
                ("Parameters", _join(whole(view.record.model.parameters) for view in found)),
                ("Layers", _join(str(len(view.record.model.layer_widths)) for view in found)),
                ("Corpora", _join(view.record.corpus.name for view in found)),
                ("Detectors", _join(view.record.detector.name for view in found)),
            ),
        )
        for name, found in _groups([(view.record.model.name, view) for view in views])
    ]


def _order(row: tuple[RecordView, TaskView]) -> tuple[Any, ...]:
    view, task = row
    budget, standing = view.record.selection.budget, view.standing
    selectivity = task.summary.selectivity.value if task.summary and task.summary.selectivity else 0.0
    return (
        view.record.model.name,
        task.task.metric != BITS_PER_BYTE,
        task.task.name,
        budget is None,
        budget or 0,
        view.asked,
        standing.group if standing else "",
        -selectivity,
        view.slug,
    )


def _is_ranked(view: RecordView) -> bool:
    return view.standing is not None and view.standing.ranks is not None


def _groups(named: Sequence[tuple[str, RecordView]]) -> list[tuple[str, list[RecordView]]]:
    groups: dict[str, list[RecordView]] = {}
    for name, view in named:
        groups.setdefault(name, []).append(view)
    return sorted(groups.items())


def _join(values: Iterable[str]) -> str:
    unique = sorted(set(values))
    shown = ", ".join(unique[:30])
    return f"{shown} and {len(unique) - 30} more" if len(unique) > 30 else shown


def _best_rank(views: Sequence[RecordView]) -> str:
    ranked = [view.standing for view in views if view.standing and view.standing.ranks]
    return min(ranked, key=lambda standing: standing.ranks or (0, 0)).text if ranked else NONE
