"""Do the papers' findings hold? Published records of each study, tested against the claims that the study names.

1. Records that keep a study which names findings are grouped by the study's name and text; of several texts of one
   name the one with the newest record counts.
2. They are put in the study's order (models, then kinds, then detectors and budgets) and tested against each finding,
   all together and by model.

Nothing is stored: verdicts are derived from the records whenever they are needed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nharness.claims import Finding, Held, finite, hold
from nharness.claims import Verdict as Word
from nharness.errors import FileFormatError
from nharness.plugins import Plugins
from nharness.record.model import Record
from nharness_leaderboard.marks import put_between
from nharness_leaderboard.results import Entry, read_results, slug

FORMAT = "nharness-verdicts/1"
BEGIN = "<!-- verdicts: made by nharness leaderboard verdicts --write README.md -->"
END = "<!-- end of the verdicts -->"
WORDS: tuple[Word, ...] = ("holds", "undecided", "fails")


@dataclass(frozen=True)
class Told:
    """A verdict and the main number behind it: name, value and interval, or None."""

    verdict: Word
    name: str
    value: float | None
    interval: tuple[float, float] | None
    rule: str

    @classmethod
    def of(cls, found: Finding) -> Told:
        """Return what a finding says."""
        name, value = next(iter(found.numbers.items()), ("", None))
        return cls(found.verdict, name, value, finite(found.interval), found.rule)

    @property
    def text(self) -> str:
        """The number in words, with its interval."""
        if self.value is None:
            return ""
        ends = f" ({self.interval[0]:.3g} to {self.interval[1]:.3g})" if self.interval else ""
        return f"{self.name} {self.value:.3g}{ends}"


@dataclass(frozen=True)
class ClaimVerdict:
    """One claim of a study: statement and paper, the verdict over all records, and that on each model.

    over_all is None if the study's records are not about the claim; needs says what it takes.
    """

    claim: str
    statement: str
    paper: str
    printed: str
    needs: str
    over_all: Told | None
    by_model: Mapping[str, Told]

    @classmethod
    def of(cls, held: Held) -> ClaimVerdict:
        """Return a tested claim."""
        claim = held.claim
        return cls(
            claim=claim.name,
            statement=claim.statement,
            paper=f"{claim.paper}, {claim.place}" if claim.place else claim.paper,
            printed=claim.printed,
            needs=claim.needs,
            over_all=None if held.finding is None else Told.of(held.finding),
            by_model={model: Told.of(found) for model, found in held.by_model.items()},
        )

    def models(self, word: Word) -> list[str]:
        """Return the models on which the claim has this verdict; models judged together count as one."""
        if self.by_model or self.over_all is None:
            return [model for model, told in self.by_model.items() if told.verdict == word]
        return ["all together"] if self.over_all.verdict == word else []


@dataclass(frozen=True)
class StudyVerdicts:
    """One study: its name, page, summary, the command that makes it again, models, languages, records, verdicts."""

    name: str
    page: str
    summary: str
    command: str
    models: tuple[str, ...]
    languages: tuple[str, ...]
    records: tuple[str, ...]
    text: str
    verdicts: tuple[ClaimVerdict, ...]

    def count(self, word: Word) -> int:
        """Return how many of its claims have this verdict over all records."""
        return sum(each.over_all is not None and each.over_all.verdict == word for each in self.verdicts)


def of_a_study(record: Record) -> bool:
    """Tell whether a record belongs to a study with findings, and so to that study's page instead of the board."""
    return bool(_findings(_document(record)))


def study_verdicts(entries: Sequence[Entry], plugins: Plugins | None = None) -> list[StudyVerdicts]:
    """Return the studies with findings among published records, by name; claims that are not installed are left out."""
    known = plugins or Plugins()
    texts: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        study = entry.record.identity.study
        if study is not None and of_a_study(entry.record):
            texts.setdefault(study.name, {}).setdefault(study.digest, []).append(entry)
    newest = {name: max(found.values(), key=_newest) for name, found in texts.items()}
    return [_study(name, newest[name], known) for name in sorted(newest)]


def document(found: Sequence[StudyVerdicts]) -> dict[str, Any]:
    """Return the verdicts as a JSON document."""
    return {"format": FORMAT, "studies": [asdict(each) for each in found]}


def verdict_table(found: Sequence[StudyVerdicts]) -> str:
    """Return the verdicts in Markdown, a row per claim: on which models it holds, is undecided, fails."""
    lines = ["| study | what is claimed | holds on | undecided on | fails on |", "|---|---|---|---|---|"]
    for study in found:
        for each in study.verdicts:
            if each.over_all is not None:
                parts = [_plain(study.name), _plain(each.statement), *(_models(each, word) for word in WORDS)]
                lines.append(f"| {' | '.join(parts)} |")
    return "\n".join(lines) + "\n"


def verdicts_of(results: Path) -> list[StudyVerdicts]:
    """Return the verdicts of a results folder; raises `FileFormatError` for one with records that are not valid."""
    found = read_results(results, files=True)
    if found.problems:
        path, problems = next(iter(found.problems.items()))
        raise FileFormatError(f"{path} is not valid: {problems[0]}")
    return study_verdicts(found.entries)


def write_verdicts(results: Path, path: Path) -> None:
    """Put the table between its marks in a Markdown file; raises `FileFormatError` for a file without them."""
    put_between(path, BEGIN, END, verdict_table(verdicts_of(results)))


def _models(each: ClaimVerdict, word: Word) -> str:
    return ", ".join(map(_plain, each.models(word))) or "\N{EN DASH}"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "/").removesuffix(".")


def _newest(entries: Sequence[Entry]) -> str:
    return max(entry.record.identity.created for entry in entries)


def _document(record: Record) -> Mapping[str, Any]:
    """Return the table `study` of the file that a record keeps; empty if there is none to read."""
    study = record.identity.study
    if study is None:
        return {}
    try:
        found = tomllib.loads(study.text).get("study")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _findings(written: Mapping[str, Any]) -> list[str]:
    return [each for each in _list(written, "findings") if isinstance(each, str)]


def _list(written: Mapping[str, Any], key: str) -> list[Any]:
    found = written.get(key)
    return found if isinstance(found, list) else []


def _study(name: str, entries: Sequence[Entry], plugins: Plugins) -> StudyVerdicts:
    written = _document(entries[0].record)
    ordered = sorted(entries, key=lambda entry: _place(entry.record, written))
    records = [entry.record for entry in ordered]
    claims = [each for each in _findings(written) if each in plugins.entries("claims")]
    short, _, variant = name.rpartition(" ")
    registered = plugins.entries("studies").get(short)
    return StudyVerdicts(
        name=name,
        page=slug(name.replace(" ", "-")),
        summary=registered.entry.summary if registered else "",
        command=f"nharness run --study {short} --variant {variant}" if registered else "nharness run --study FILE.toml",
        models=tuple(dict.fromkeys(record.model.name for record in records)),
        languages=tuple(dict.fromkeys(tag for record in records for tag in record.languages)),
        records=tuple(entry.slug for entry in ordered),
        text=records[0].identity.study.text if records[0].identity.study else "",
        verdicts=tuple(map(ClaimVerdict.of, hold(claims, records, plugins.makers("claims")))),
    )


def _place(record: Record, written: Mapping[str, Any]) -> tuple[Any, ...]:
    models = [each.get("name") if isinstance(each, dict) else each for each in _list(written, "models")]
    kinds = [list(each) for each in _list(written, "kinds") if isinstance(each, list)]
    own = list(record.selection.kinds)
    return (
        models.index(record.model.name) if record.model.name in models else len(models),
        kinds.index(own) if own in kinds else len(kinds),
        record.detector.name,
        record.selection.budget or 0.0,
        record.identity.id,
    )
