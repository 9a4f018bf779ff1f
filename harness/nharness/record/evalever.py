"""A record in the every-eval-ever schema (version 0.3.0), the shared format of the EvalEval coalition.

That schema knows a model and its scores. Every cell becomes one result: the score is the edited model's, and what was
edited stands in the details, beside the baseline and the change; the intact model's scores come first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from nharness.information import BITS_PER_BYTE
from nharness.record.cells import Baseline, CellResult, Task
from nharness.record.model import Record
from nharness.record.specification import command

VERSION = "0.3.0"


def to_every_eval_ever(record: Record, *, organization: str = "nharness") -> dict[str, Any]:
    """Return the document; `organization` provides the data. Failed cells are left out: the schema has no place."""
    moment = datetime.fromisoformat(record.identity.created)
    return {
        "schema_version": VERSION,
        "evaluation_id": f"nharness/{record.model.name}/{record.identity.id[:16]}",
        "evaluation_timestamp": record.identity.created,
        "retrieved_timestamp": str(int(moment.timestamp())),
        "source_metadata": {
            "source_name": "nharness",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "third_party",
            "additional_details": {"badge": record.identity.badge, "record": record.identity.id},
        },
        "eval_library": {
            "name": "nharness",
            "version": record.identity.nharness,
            "additional_details": _texts({"command": command(record), "lm_eval": record.environment.lm_eval}),
        },
        "model_info": _model(record),
        "evaluation_results": list(_results(record)),
    }


def _model(record: Record) -> dict[str, Any]:
    return {
        "name": record.model.name,
        "id": record.model.name,
        "developer": record.model.name.partition("/")[0] if "/" in record.model.name else "unknown",
        "inference_engine": {"name": "transformers", "version": record.environment.transformers},
        "additional_details": _texts(
            {
                "revision": record.model.revision,
                "fingerprint": record.model.fingerprint,
                "dtype": record.model.dtype,
                "architecture": record.model.architecture,
                "parameters": record.model.parameters,
                "deployment_type": "self_deployed",
                "model_availability": "open_weights",
            }
        ),
    }


def _results(record: Record) -> Iterator[dict[str, Any]]:
    frames = {task.name: _frame(record, task) for task in record.tasks}
    common = _texts(
        {
            "detector": record.detector.name,
            "detector_options": record.detector.options,
            "intervention": record.intervention.name,
            "strength": record.intervention.strength,
            "kinds": list(record.selection.kinds),
            "budget": record.selection.budget,
        }
    )
    for entry in record.baseline:
        yield _baseline(frames[entry.task], entry)
    for cell in record.cells:
        if cell.status == "ok" and cell.edited is not None:
            yield _cell(frames[cell.task], common, cell, record.analysis.bootstrap_draws)


def _baseline(frame: dict[str, Any], entry: Baseline) -> dict[str, Any]:
    name = f"{entry.task}/{entry.language}"
    return {
        "evaluation_result_id": f"{name}/baseline",
        "evaluation_name": name,
        **frame,
        "score_details": {
            "score": entry.value,
            "details": _texts({"language": entry.language, "edited": "nothing"}),
            "uncertainty": {"num_samples": entry.items},
        },
    }


def _cell(frame: dict[str, Any], common: dict[str, str], cell: CellResult, draws: int) -> dict[str, Any]:
    name = f"{cell.task}/{cell.language}"
    details = {
        "language": cell.language,
        "target": cell.target,
        "baseline": cell.baseline,
        "change": cell.change,
        "change_interval": list(cell.interval) if cell.interval else None,
        "q": cell.q,
    }
    return {
        "evaluation_result_id": f"{name}/{cell.target}",
        "evaluation_name": name,
        **frame,
        "score_details": {
            "score": cell.edited,
            "details": common | _texts(details),
            "uncertainty": {"num_samples": cell.items, "num_bootstrap_samples": draws},
        },
    }


def _frame(record: Record, task: Task) -> dict[str, Any]:
    bounded = task.metric in {"acc", "acc_norm", "exact_match"} or task.family == "choice"
    return {
        "source_data": {"dataset_name": task.dataset or record.corpus.name, "source_type": "other"},
        "evaluation_timestamp": record.identity.created,
        "metric_config": {
            "metric_id": task.metric,
            "metric_name": task.metric.replace("_", " "),
            "metric_unit": task.unit,
            "lower_is_better": task.direction == "lower",
            "score_type": "continuous",
            "min_score": 0 if bounded or task.metric == BITS_PER_BYTE else "-Infinity",
            "max_score": 1 if bounded else "Infinity",
        },
    }


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else repr(value) if _is_plain(value) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }


def _is_plain(value: Any) -> bool:
    return type(value) in {int, float}
