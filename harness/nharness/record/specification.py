"""What a record asks for, as a specification and as a command line: both made from its fields, never its own words.

The command that was typed may say anything. What is shown under "Make it again", and what `leaderboard reproduce` runs,
follows from the record's parts. Nothing in it can run code: no folder of lm-eval tasks, no code of a checkpoint, no
plug-in by path; every value is quoted.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from nharness.errors import UsageError
from nharness.record.model import Record
from nharness.spec import ControlSpec, CorpusSpec, Flag, RunSpec

ALWAYS = ("detectors", "tasks")  # whose defaults on the command line depend on what else is given
EVERY_KIND = ("specific", "related", "general")
ROMANISED = " (romanised"  # what `nharness.corpora.romanised` puts behind the name of a corpus


def specification(record: Record) -> RunSpec:
    """Return the specification of the one measurement that a record is.

    What the record keeps of the run's specification fills in what no other field says (window, limits of tokens); its
    fields win. Raises `UsageError` for a record that asks for what no run does.
    """
    document = _kept(record).model_dump(mode="json")
    own = {
        "model": document["model"] | _model(record),
        "corpus": document["corpus"] | _corpus(record),
        "languages": list(record.languages),
        "detectors": [{"name": record.detector.name, "options": _given(record.detector.options)}],
        "interventions": [{"name": record.intervention.name, "options": _given(record.intervention.options)}],
        "strengths": [] if record.intervention.strength is None else [record.intervention.strength],
        "budget": record.selection.budget,
        "budget_curve": [],
        "progressive": [float(share) for share in record.shares],
        "task_options": document["task_options"] | _task_options(record),
        "controls": _controls(record),
        "analysis": document["analysis"]
        | {"bootstrap_draws": record.analysis.bootstrap_draws, "confidence": record.analysis.confidence},
        "scope": record.intervention.scope,
        "claims": [],
        "seed": record.analysis.seed if record.controls is None else record.controls.seed,
    }
    if record.identity.specification is None:
        own |= {
            "kinds": [] if record.selection.kinds == EVERY_KIND else list(record.selection.kinds),
            "tasks": [task.name for task in record.tasks],
            "ground_truth": bool(record.ground_truth),
        }
    try:
        return RunSpec.model_validate(document | own)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"the record asks for what no run can do: {place}: {first['msg']}") from error


def command(record: Record) -> str:
    """Return the command line that makes a record again, quoted; "" for a record that asks for what no run does."""
    try:
        return shlex.join(["nharness", "run", *arguments(specification(record))])
    except UsageError:
        return ""


def arguments(spec: RunSpec) -> list[str]:
    """Return the options that make a specification, but for those at their defaults."""
    found = list(_arguments(spec, RunSpec()))
    corpus = {name: getattr(spec.corpus, name) for name in CorpusSpec.model_fields if _flag(CorpusSpec, name) is None}
    plain = CorpusSpec()
    found += [
        word
        for name, value in corpus.items()
        if value != getattr(plain, name)
        for word in ("--corpus-args", f"{name}={_text(value)}")
    ]
    for flag, named in (("--option", spec.detectors), ("--intervention-option", spec.interventions)):
        pairs = [f"{key}={_text(value)}" for each in named for key, value in each.options.items()]
        found += [word for pair in pairs for word in (flag, pair)]
    return found


def _arguments(spec: BaseModel, plain: BaseModel) -> Iterator[str]:
    for name in type(spec).model_fields:
        flag = _flag(type(spec), name)
        value = getattr(spec, name)
        if flag is None or (value == getattr(plain, name) and name not in ALWAYS):
            continue
        if isinstance(value, BaseModel):
            yield from _arguments(value, getattr(plain, name))
            continue
        word = f"--{(flag.name or name).replace('_', '-')}"
        if isinstance(value, bool):
            yield word if value else f"--no-{word.removeprefix('--')}"
        elif isinstance(value, Mapping):
            yield from (part for key, each in value.items() for part in (word, f"{key}={_text(each)}"))
        elif isinstance(value, tuple):
            yield from (word, ",".join(_text(getattr(each, "name", each)) for each in value))
        else:
            yield from (word, _text(value))


def _flag(model: type[BaseModel], name: str) -> Flag | None:
    return next((each for each in model.model_fields[name].metadata if isinstance(each, Flag)), None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def _kept(record: Record) -> RunSpec:
    """Return the run's specification as the record keeps it, the default where it keeps none.

    Raises `UsageError` for one that this version does not know: parts of it would be left out unseen.
    """
    try:
        return RunSpec.model_validate(record.identity.specification or {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"the record's specification is none of this version's: {place}: {first['msg']}; it was made by nharness "
            f"{record.identity.nharness}"
        ) from error


def _model(record: Record) -> dict[str, Any]:
    args = {name: value for name, value in record.model.args.items() if name != "dtype"}
    if record.model.revision is not None:
        args["revision"] = record.model.revision
    dtype = record.model.dtype.removeprefix("torch.")
    recorded = (record.model.record_dtype or dtype).removeprefix("torch.")
    safe = {"device": "auto", "device_map": None, "trust_remote_code": False}
    types = {"dtype": dtype, "record_dtype": None if recorded == dtype else recorded}
    return {"name": record.model.name, "args": args, **types, **safe}


def _corpus(record: Record) -> dict[str, Any]:
    """Return the corpus by name, and its limits: documents are taken whole up to the tokens of the longest language."""
    if record.identity.specification is not None:
        romanised = _kept(record).corpus.romanised
        return {"name": record.corpus.name.rpartition(ROMANISED)[0] if romanised else record.corpus.name}
    limits = {
        f"{split}_tokens": max([1, *(each.tokens for each in record.corpus.splits if each.split == split)])
        for split in ("detect", "eval")
    }
    return {"name": record.corpus.name, **limits}


def _task_options(record: Record) -> dict[str, Any]:
    """Return no folder of tasks or data, whose YAML could run code; limits and shots where the record keeps none."""
    safe: dict[str, Any] = {"include_path": [], "dataset_dir": None}
    if record.identity.specification is not None:
        return safe
    limits = [task.limit for task in record.tasks if task.limit is not None]
    shots = [task.few_shot for task in record.tasks if task.few_shot]
    return {
        **safe,
        "limit": max(limits) if limits else None,
        "num_fewshot": max(shots) if shots else None,
        "chat_template": any(task.chat_template for task in record.tasks),
    }


def _controls(record: Record) -> dict[str, Any]:
    if record.controls is None:
        return {"draws": 0}
    options = {name: value for name, value in record.controls.options.items() if name in ControlSpec.model_fields}
    return options | {"match": record.controls.kind}


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by the names they are given by: `lambda_` is a field that is given as `lambda`."""
    return {name.rstrip("_"): value for name, value in options.items() if value is not None}
