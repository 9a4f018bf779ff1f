"""From the measurements of a ladder's rungs to what the headline is made of.

A rung's target is called `fr#64` (`nharness.targets`): the best 64 units of `fr`. Its draws are the same target with a
control's number. The intact model's measurements stand among the others, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nharness.analysis.headline import Climbed
from nharness.analysis.kept_share import Climb
from nharness.analysis.measurements import Key, Measurement, Paired, by_key, pair
from nharness.record.cells import Task
from nharness.targets import rung_of, whose


def climbed_of(measurements: Iterable[Measurement], task: Task, languages: Sequence[str]) -> Climbed:
    """Return the ladders that measurements of a task hold, of these languages in order.

    A language without a rung of its own is `empty`: nothing could be switched off for it. A rung that was not measured
    in the language itself is left out.
    """
    table = by_key([each for each in measurements if each.task == task.name])
    rungs: dict[str, dict[int, dict[str, Paired]]] = {tag: {} for tag in languages}
    chance: dict[str, dict[int, list[float]]] = {tag: {} for tag in languages}
    for (_, target, control, language), found in table.items():
        units, tag = None if target is None else rung_of(target), whose(target or "")[0]
        intact = table.get((task.name, None, None, language))
        if units is None or intact is None or tag not in rungs:
            continue
        paired = pair(intact, found, task.metric)
        if paired is None:
            continue
        if control is None:
            rungs[tag].setdefault(units, {})[language] = paired
        elif language == tag:
            chance[tag].setdefault(units, []).append(paired.change / paired.baseline)
    climbs = {tag: Climb.of(tag, whole) for tag, found in rungs.items() if (whole := _measured(tag, found))}
    return Climbed(climbs, [tag for tag in languages if tag not in climbs], chance=chance)


def _measured(tag: str, rungs: Mapping[int, Mapping[str, Paired]]) -> dict[int, Mapping[str, Paired]]:
    return {units: cells for units, cells in rungs.items() if tag in cells}


def is_of_a_ladder(key: Key) -> bool:
    """Tell whether a measurement is of a rung or of one of its draws."""
    target = key[1]
    return target is not None and rung_of(target) is not None
