"""One edit of one model outside a run: neurons and an intervention, with statistics from files where it needs some.

Legend: `G` languages of the evidence, `M` neurons of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nharness.detector import Evidence
from nharness.errors import ModelError, UnknownNameError, UsageError
from nharness.intervention import AnyChange, Intervention, Target, ValueChange
from nharness.languages import parse_language
from nharness.models import SITES
from nharness.neurons import Detection, OfModel, same_model
from nharness.statistics import load as load_statistics
from nharness.targets import GENERAL


def target_of(detection: Detection, language: str, evidence: Evidence) -> Target:
    """Return one language's neurons, with the members [G, M] in the order of the evidence's languages."""
    tag = parse_language(language)
    members = np.zeros((len(evidence.languages), detection.size), dtype=bool)
    for row, each in zip(members, evidence.languages, strict=True):
        row[:] = each in detection.languages and detection.membership[detection.row(each)]
    return Target(tag, detection.flat(tag), members=members)


def read_evidence(files: Sequence[Path], model: OfModel, languages: Sequence[str]) -> Evidence:
    """Return the statistics of `files`, one a site; without files nothing is known of `languages` but their names.

    Raises `UsageError` for a file that is damaged or of another model, and for two files of one site.
    """
    tables = {str(path): load_statistics(path) for path in files}
    for name, table in tables.items():
        same_model(table, model, what=f"the statistics of {name}")
    if tables:
        return Evidence.together(tables)
    return Evidence.without_statistics(languages, model)


def changes_for(
    intervention: Intervention, target: Target, evidence: Evidence, site: str | None = None
) -> list[AnyChange]:
    """Return what `intervention` does to `target`, at `site` where that is given.

    Raises `UsageError` saying which statistics have to be given, for a language that they lack, for an intervention
    that draws its values from text, and for one that is unavailable at `site`.
    """
    if site is not None:
        intervention = _at(intervention, site)
    needs = intervention.needs()
    for need in needs:
        found = evidence.sites.get(need.site)
        if found is None or not found.has(need.statistic):
            raise UsageError(
                f"intervention {intervention.name} needs {need.statistic} at site {need.site}; give the file that "
                f"`nharness record --statistics {','.join(f'{each.statistic}@{each.site}' for each in needs)}` writes"
            )
        if target.language not in {GENERAL, *found.languages}:
            raise UnknownNameError("language of the statistics", target.language, found.languages)
    changes = intervention.changes(target, evidence)
    if any(not isinstance(change, ValueChange) and change.values_from for change in changes):
        raise UsageError(f"intervention {intervention.name} draws its values from text; use it with `nharness run`")
    return [change if site is None else _moved(intervention, change, site) for change in changes]


def _at(intervention: Intervention, site: str) -> Intervention:
    """Return the intervention with its option `site` set, where it has one."""
    if site not in SITES:
        raise ModelError(f"no site {site!r} to edit: known are {', '.join(SITES)}")
    options = intervention.options.model_dump()
    return type(intervention)(**{**options, "site": site}) if "site" in options else intervention


def _moved(intervention: Intervention, change: AnyChange, site: str) -> AnyChange:
    """Return the change at `site`; only setting to 0 is the same edit at both sites."""
    if change.site == site:
        return change
    if isinstance(change, ValueChange) or change.scale.any() or change.shift.any():
        raise UsageError(f"intervention {intervention.name} edits site {change.site}, not {site}")
    return replace(change, site="gate" if site == "gate" else "hidden")
