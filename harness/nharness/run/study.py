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
    claims = ["selectivity > 0"]

Everything else that a run can be told (`seed`, `analysis`, `task_options`, ...) stands beside these under its name in
`RunSpec`. Runs are the product of models, corpora and kinds. Errors say the line.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nharness.errors import UsageError, nearest
from nharness.languages import parse_languages
from nharness.spec import RunSpec

LISTS = {"models": "model", "corpora": "corpus"}
OWN = ("name", "models", "corpora", "kinds")


@dataclass(frozen=True)
class StudyFile:
    """A study: its name, its text verbatim with the SHA-256 of it, and the runs it comes to."""

    name: str
    text: str
    digest: str
    runs: tuple[RunSpec, ...]


def load_study(path: Path) -> StudyFile:
    """Read a study; raises `UsageError` naming file, line and key for the first fault."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read study {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no TOML ({error})") from error
    table = document.get("study")
    if not isinstance(table, dict) or set(document) != {"study"}:
        other = next((key for key in document if key != "study"), None)
        raise UsageError(
            f"{_place(path, text, other)}: expected one table [study]" + (f", got {other!r}" if other else "")
        )
    runs = tuple(_runs(path, text, table))
    return StudyFile(str(table.get("name", path.stem)), text, hashlib.sha256(text.encode()).hexdigest(), runs)


def _runs(path: Path, text: str, table: Mapping[str, Any]) -> Sequence[RunSpec]:
    known = {*RunSpec.model_fields, *OWN} - set(LISTS.values())
    for key in table:
        if key not in known:
            raise UsageError(f"{_place(path, text, key)}: unknown key {key!r}{nearest(key, known)}")
    shared = {key: value for key, value in table.items() if key not in OWN}
    for key in ("detectors", "interventions"):
        if key in shared:
            shared[key] = [_named(entry) for entry in shared[key]]
    if "claims" in shared:
        shared["claims"] = [{"statement": entry} if isinstance(entry, str) else entry for entry in shared["claims"]]
    if "languages" in shared:
        shared["languages"] = parse_languages(shared["languages"])
    models = [_named(entry) for entry in table.get("models", ["babel"])]
    corpora = [_named(entry) for entry in table.get("corpora", ["sample"])]
    kinds = table.get("kinds", [[]])
    return [
        _spec(path, text, {**shared, "model": model, "corpus": corpus, "kinds": kind})
        for model, corpus, kind in itertools.product(models, corpora, kinds)
    ]


def _named(entry: Any) -> Any:
    return {"name": entry} if isinstance(entry, str) else entry


def _spec(path: Path, text: str, document: Mapping[str, Any]) -> RunSpec:
    try:
        return RunSpec.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(part) for part in first["loc"] if not isinstance(part, int)]
        plural = {single: several for several, single in LISTS.items()}
        named = [plural.get(keys[0], keys[0]), *keys[1:]]
        raise UsageError(
            f"{_place(path, text, *reversed(named))}: {'.'.join(named)}: {first['msg'].lower()}"
        ) from error


def _place(path: Path, text: str, *keys: str | None) -> str:
    """Return `file:line` of the first of `keys` that stands in the text, innermost first; else the file alone."""
    for key in keys:
        if key is None:
            continue
        found = re.search(rf"(?m)(^\s*|[{{,]\s*)(\[?)\"?{re.escape(key)}\"?\s*(=|\])", text)
        if found:
            return f"{path}:{text.count(chr(10), 0, found.end()) + 1}"
    return str(path)
