"""What must agree between the parts of a record that fits the schema: counts, names, sums, signs, digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nharness.record.consistency.cells import cell_problems
from nharness.record.consistency.controls import control_problems
from nharness.record.consistency.neurons import neuron_problems
from nharness.record.consistency.results import result_problems
from nharness.record.consistency.sources import source_problems
from nharness.record.model import Record
from nharness.record.problems import Problem


def inconsistencies(record: Record, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield every disagreement inside the record; `document` is the JSON document it was read from."""
    yield from source_problems(record, document)
    yield from neuron_problems(record)
    yield from cell_problems(record)
    yield from control_problems(record)
    yield from result_problems(record)
