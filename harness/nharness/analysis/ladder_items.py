"""From the measurements of a ladder's rungs to what the headline is made of.

A rung's target is called `fr#64` (`nharness.targets`): the best 64 units of `fr`; `fr/2#64` in repeat 2 of the
detection; `fr#64-1528` without unit 1528. Its draws are the same target with a control's number. The intact model's
measurements stand among the others, as everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nharness.analysis.headline import Climbed, Without, headline_of
from nharness.analysis.kept_share import Climb
from nharness.analysis.measurements import Key, Measurement, Paired, by_key, pair
from nharness.record.cautions import unranked_languages
from nharness.record.cells import Task
from nharness.record.headline import Headline
from nharness.record.model import Record
from nharness.targets import RungName, rung_of

Rungs = dict[int, dict[str, Paired]]


def climbed_of(
    measurements: Iterable[Measurement], task: Task, languages: Sequence[str], hardly_known: Collection[str] = ()
) -> Climbed:
    """Return the ladders that measurements of a task hold, of these languages in order.

    Only rungs at which every language was measured that was measured at any are kept: at the others nothing is read.
    A language without one is `empty`: nothing could be switched off for it. hardly_known: languages whose text the
    tokenizer hardly knows; they are left out, as targets and among the others.
    """
    counted = [tag for tag in languages if tag not in hardly_known]
    found = _Sorted({tag: {} for tag in counted}, {tag: {} for tag in counted})
    table = by_key([each for each in measurements if each.task == task.name and each.language in counted])
    for (_, target, control, language), measured in table.items():
        name, intact = rung_of(target or ""), table.get((task.name, None, None, language))
        paired = None if name is None or intact is None else pair(intact, measured, task.metric)
        if name is not None and paired is not None and name.language in found.whole:
            found.add(name, control, language, paired)
    climbs = _climbs(found.whole)
    return Climbed(
        climbs,
        empty=[tag for tag in counted if tag not in climbs],
        left_out=[tag for tag in languages if tag in hardly_known],
        repeats=[_climbs(found.repeats[number]) for number in sorted(found.repeats)],
        chance=found.chance,
        without=found.without,
    )


@dataclass
class _Sorted:
    """Rungs of the detection and of its repeats, by language; draws, and rungs without a unit, in the own language."""

    whole: dict[str, Rungs]
    chance: dict[str, dict[int, list[float]]]
    repeats: dict[int, dict[str, Rungs]] = field(default_factory=dict)
    without: dict[str, Without] = field(default_factory=dict)

    def add(self, name: RungName, control: int | None, language: str, paired: Paired) -> None:
        """Put a measurement where it belongs."""
        if control is None and name.without is None:
            ladders = self.whole if name.repeat is None else self.repeats.setdefault(name.repeat, {})
            ladders.setdefault(name.language, {}).setdefault(name.units, {})[language] = paired
        elif language == name.language and name.repeat is None:
            harm = paired.change / paired.baseline
            if name.without is None:
                self.chance[language].setdefault(name.units, []).append(harm)
            else:
                self.without[language] = Without(name.units, name.without, harm)


def _climbs(rungs: Mapping[str, Rungs]) -> dict[str, Climb]:
    return {tag: Climb.of(tag, whole) for tag, found in rungs.items() if (whole := _complete(tag, found))}


def _complete(tag: str, rungs: Rungs) -> dict[int, Mapping[str, Paired]]:
    """Return the rungs at which most languages were measured, the own one among them and not alone."""
    most = max((len(cells) for cells in rungs.values() if tag in cells), default=0)
    return {units: cells for units, cells in rungs.items() if tag in cells and len(cells) == most > 1}


def headline_again(record: Record, headline: Headline, task: Task, measurements: Iterable[Measurement]) -> Headline:
    """Return a record's headline as this version computes it from the intact model's measurements and the rungs'.

    What no item tells, in how many repeats a unit is, stays as the headline has it.
    """
    climbed = climbed_of(measurements, task, record.languages, unranked_languages(record.corpus))
    return headline_of(climbed, record.analysis, task.name, headline.held)


def is_of_a_ladder(key: Key) -> bool:
    """Tell whether a measurement is of a rung or of one of its draws."""
    return key[1] is not None and rung_of(key[1]) is not None
