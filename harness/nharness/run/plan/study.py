"""Studies: one TOML file that names models, detectors, interventions, corpora, tasks, controls and claims.

    [study]
    name = "three kinds"
    models = ["babel"]                        # a name, or {name = "...", args = {...}}
    detectors = ["lape", {name = "ternary", options = {top_rate = 0.02}}]
    interventions = ["zero"]
    kinds = [["specific"], ["related"], ["general"]]     # each list is a run of its own
    languages = ["en", "de"]
    corpora = ["sample"]
    tasks = ["ppl"]
    controls = {draws = 5}
    claims = ["selectivity > 0"]              # of each run alone
    findings = ["own-language-most"]          # registered claims, held against the records of all runs at the end
    also = [{interventions = ["steer"], tasks = ["output_language"]}]    # further runs, which differ in these keys

Everything else that a run can be told (`seed`, `analysis`, `task_options`, ...) stands beside these under its name in
`RunSpec`. Runs are the product of models, corpora and kinds, once for the study and once for each table of `also`.
Errors say the line.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from nharness.errors import UsageError, nearest
from nharness.languages import parse_languages
from nharness.ranges import first_fault, unknown_key
from nharness.run.plan.toml_places import Where, place_in
from nharness.spec import RunSpec

LISTS = {"models": "model", "corpora": "corpus"}
NAMED = ("models", "corpora", "detectors", "interventions")
LONGEST = 200_000
WHOLE = ("name", "findings", "also")
"""Keys of a study as a whole, not of some of its runs."""
OWN = ("models", "corpora", "kinds", *WHOLE)
KEYS = tuple(sorted({*RunSpec.model_fields, *OWN} - set(LISTS.values())))
"""Every key of a study."""


@dataclass(frozen=True)
class StudyFile:
    """A study: its name, its text verbatim with the SHA-256 of it, the runs it expands to, claims on all of them."""

    name: str
    text: str
    digest: str
    runs: tuple[RunSpec, ...]
    findings: tuple[str, ...] = ()


def load_study(path: Path) -> StudyFile:
    """Read a study; raises `UsageError` naming file, line and key for the first fault."""
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > LONGEST:
            raise UsageError(
                f"{path}: {len(text):,} characters; every record keeps its study, so at most {LONGEST:,} are allowed"
            )
        document = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read study {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise UsageError(f"{path}{f':{line[1]}' if line else ''}: not TOML ({error})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text ({error.reason})") from error
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply to be read") from error
    return _Reader(path, text).read(document)


@dataclass(frozen=True)
class _Reader:
    """The way from a document to a study; every error says where.

    at: the table under `study` that is read, where it is not the study's own.
    """

    path: Path
    text: str
    at: Where = ()

    def read(self, document: Mapping[str, Any]) -> StudyFile:
        table = document.get("study")
        other = next((key for key in document if key != "study"), None)
        if not isinstance(table, dict) or other is not None:
            got = f", got {other!r}" if other else ""
            raise UsageError(f"{place_in(self.path, self.text, (other or 'study',))}: expected one table [study]{got}")
        self.require_keys(table, KEYS)
        name = table.get("name", self.path.stem)
        if not isinstance(name, str) or not name.strip():
            self._refuse(("name",), f"name is {name!r}; expected a text")
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        findings = self._list(table, "findings", "names of registered claims") if "findings" in table else ()
        for place, entry in enumerate(findings):
            if not isinstance(entry, str):
                self._refuse(("findings", place), f"{entry!r} in findings; expected the name of a registered claim")
        runs = [run for reader, part in self._parts(table) for run in reader.runs(part)]
        return StudyFile(name, self.text, digest, tuple(runs), tuple(findings))

    def require_keys(self, table: Mapping[str, Any], keys: Collection[str]) -> None:
        """Raise `UsageError` for a key of the table that is none of these."""
        for key in table:
            if key not in keys:
                self._refuse((key,), f"unknown key {key!r}{nearest(key, keys)}")

    def _parts(self, table: Mapping[str, Any]) -> Iterator[tuple[_Reader, Mapping[str, Any]]]:
        """Yield the study's own table, then it with the keys of each table of `also` instead of its own."""
        yield self, table
        for place, changes in enumerate(self._list(table, "also", "tables of keys") if "also" in table else ()):
            if not isinstance(changes, dict):
                self._refuse(("also", place), f"{changes!r} in also; expected a table of keys")
            reader = replace(self, at=("also", place))
            reader.require_keys(changes, [key for key in KEYS if key not in WHOLE])
            yield reader, {**table, **changes}

    def runs(self, table: Mapping[str, Any]) -> Sequence[RunSpec]:
        """Return the product of models, corpora and kinds of a table."""
        shared = {key: value for key, value in table.items() if key not in OWN}
        for key in ("detectors", "interventions"):
            if key in shared:
                shared[key] = self._entries(table, key)
        if "claims" in shared:
            entries = self._list(table, "claims", "statements such as 'selectivity > 0'")
            shared["claims"] = [{"statement": entry} if isinstance(entry, str) else entry for entry in entries]
        if "languages" in shared:
            shared["languages"] = self._languages(table)
        models, corpora = ([*enumerate(self._entries(table, key))] for key in ("models", "corpora"))
        kinds = self._kinds(table)
        return [
            self._spec(
                {**shared, "model": model, "corpus": corpus, "kinds": kind}, {"models": m, "corpora": c, "kinds": k}
            )
            for (m, model), (c, corpus), (k, kind) in itertools.product(models, corpora, enumerate(kinds))
        ]

    def _list(self, table: Mapping[str, Any], key: str, what: str) -> Sequence[Any]:
        """Return a list that is there, has an entry and none of them twice."""
        value = table[key]
        if not isinstance(value, list) or not value:
            self._refuse((key,), f"{key} is {value!r}; expected a list of {what}")
        twice = next((place for place, entry in enumerate(value) if entry in value[:place]), None)
        if twice is not None:
            self._refuse((key, twice), f"{value[twice]!r} occurs twice in {key}")
        return list(value)

    def _entries(self, table: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
        """Return the tables of a list of names and tables; of the default when there is no such list."""
        entries = []
        if key not in table:
            return [{}]
        for place, entry in enumerate(self._list(table, key, "names, or of tables with a name and more")):
            entries.append({"name": entry} if isinstance(entry, str) else entry)
            if not isinstance(entries[-1], dict) or not isinstance(entries[-1].get("name"), str):
                self._refuse((key, place), f"{entry!r} in {key}; expected a name, or a table with a name")
        return entries

    def _kinds(self, table: Mapping[str, Any]) -> Sequence[Any]:
        if "kinds" not in table:
            return [[]]
        found = self._list(table, "kinds", 'lists, each a run of its own, such as [["specific"], ["general"]]')
        for place, kind in enumerate(found):
            if not isinstance(kind, list):
                self._refuse(("kinds", place), f"{kind!r} in kinds; expected a list, such as [{kind!r}]")
        return found

    def _languages(self, table: Mapping[str, Any]) -> Sequence[str]:
        entries = self._list(table, "languages", "language tags")
        try:
            return parse_languages([str(entry) for entry in entries])
        except UsageError as error:
            self._refuse(("languages",), str(error))

    def _spec(self, document: Mapping[str, Any], places: Mapping[str, int]) -> RunSpec:
        """Return one run; places: which model, corpus and kinds it has."""
        try:
            return RunSpec.model_validate(document)
        except ValidationError as error:
            unknown = unknown_key(RunSpec, error)
            where, got, expected = first_fault(RunSpec, error)
            loc = unknown[0] if unknown else where
            top = next((several for several, single in LISTS.items() if single == loc[0]), str(loc[0]))
            keys = [top, *(str(part) for part in loc[1:] if not isinstance(part, int))]
            inside = (top, places[top], *loc[1:]) if top in places else loc
            if unknown:
                *above, key = keys
                self._refuse(inside, f"unknown key {key!r} in {'.'.join(above)}{nearest(key, unknown[1])}")
            self._refuse(inside, f"{'.'.join(keys)} is {got!r}; expected {expected}")

    def _refuse(self, where: Where, what: str) -> NoReturn:
        raise UsageError(f"{place_in(self.path, self.text, ('study', *self.at, *where))}: {what}")
