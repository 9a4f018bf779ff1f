"""Published comparisons of a series of models: files of format `nharness-comparison/1`, and what their differences say.

*Spontaneous alignment* is the change in languages that were not trained, of a model trained on aligned text minus its
control, trained on the same text with the translations shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from nharness.claims import Verdict
from nharness.errors import FileFormatError
from nharness.record.comparison import Comparison, Difference
from nharness_leaderboard.limits import MAX_RECORD

UNTRAINED = "untrained"
LONGEST_NAME = 60


@dataclass(frozen=True)
class Published:
    """A comparison, named as its file is."""

    name: str
    comparison: Comparison

    @property
    def title(self) -> str:
        """The models, earliest first."""
        return ", ".join(self.comparison.models)

    @property
    def spontaneous(self) -> list[tuple[Difference, Verdict]]:
        """Changes in the languages that were not trained, with whether they grew."""
        return [(each, grew(each)) for each in self.comparison.differences if each.over == UNTRAINED]


def grew(difference: Difference) -> Verdict:
    """Return whether a number grew from the first model to the last, by its interval."""
    low, high = difference.interval
    return "holds" if low > 0 else "fails" if high < 0 else "undecided"


def read_comparisons(folder: Path) -> list[Published]:
    """Return the comparisons in a folder, by name; none if the folder does not exist.

    Raises `FileFormatError` for a file that is not a comparison, is too large, or has a name that no page can have.
    """
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _read(path: Path) -> Published:
    if path.stat().st_size > MAX_RECORD:
        raise FileFormatError(f"{path} has {path.stat().st_size} bytes; at most {MAX_RECORD} are published")
    if not path.stem.replace("-", "").isalnum() or not path.stem.isascii() or len(path.stem) > LONGEST_NAME:
        raise FileFormatError(f"{path.name!r} is no name of a page; expected letters, digits and dashes, at most 60")
    try:
        return Published(path.stem, Comparison.model_validate_json(path.read_bytes()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise FileFormatError(f"{path} is no comparison: {place}: {first['msg']}") from error
