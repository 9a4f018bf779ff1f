"""What `nharness new` writes, by kind: files and what to do next; `$name` and the like are filled in."""

from __future__ import annotations

from collections.abc import Mapping

PROJECT = """[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "nharness-$name"
version = "0.1.0"
description = "$title, for nharness"
requires-python = ">=3.11"
dependencies = ["nharness"]

[project.entry-points.nharness]
$module = "$module"

[dependency-groups]
dev = ["mypy", "pytest"]

[tool.hatch.build.targets.wheel]
packages = ["$module"]

[tool.mypy]
strict = true
"""
WORKFLOW = """name: tests
on: [push, pull_request]
permissions:
  contents: read
jobs:
  tests:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - run: pip install --editable . mypy pytest
      - run: pytest
      - run: mypy $module
"""
README = """# nharness-$name

```sh
pip install --editable .
nharness run --$kind $name
pytest
```
"""
DETECTOR = '''"""$title: the neurons whose mean activation for one language is furthest above the other languages'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from nharness import Detection, Detector, DetectorOptions, Entry, Evidence, Need, hookimpl
from pydantic import Field


class ${Class}Options(DetectorOptions):
    """How many neurons are selected."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of (neuron, language) pairs that is selected")


class $Class(Detector):
    """Say here what the method is, with its formula and its paper."""

    name = "$name"
    Options = ${Class}Options

    def needs(self) -> tuple[Need, ...]:
        """Return the statistics that one recording pass gives to all detectors of a run."""
        return (Need("moments", "gate"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return membership and score, each [languages, neurons]."""
        mean = evidence.statistics("gate").mean()
        margin = mean - np.sort(mean, axis=0)[-2]
        bar = np.quantile(margin, 1 - cast(${Class}Options, self.options).top_rate / len(mean))
        return self.detection(evidence, membership=margin > bar, score=margin)


@hookimpl
def nharness_register_detectors() -> Sequence[Entry]:
    """Register the detector by its name."""
    return [Entry("$name", "$title", $Class)]
'''
DETECTOR_TEST = '''"""The detector keeps its contract, and finds what it must find."""

from nharness.testing import parametrize_with_checks

from $module import $Class


@parametrize_with_checks([$Class()])
def test_contract(thing, check):
    check(thing)
'''
INTERVENTION = '''"""$title: the value of every neuron of the target times a factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from nharness import Change, Entry, Evidence, Intervention, InterventionOptions, Target, hookimpl
from pydantic import Field


class ${Class}Options(InterventionOptions):
    """By how much."""

    factor: float = Field(0.5, ge=0, allow_inf_nan=False, description="what the value is multiplied by")


class $Class(Intervention):
    """Say here what is done to the neurons, and after which paper."""

    name = "$name"
    Options = ${Class}Options
    strength_option = "factor"

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return `scale * a + shift` for the neurons of the target at one site."""
        factor = cast(${Class}Options, self.options).factor
        scale = np.full(len(target.flat), factor, dtype=np.float32)
        return (Change("hidden", target.flat, scale, np.zeros_like(scale)),)


@hookimpl
def nharness_register_interventions() -> Sequence[Entry]:
    """Register the intervention by its name."""
    return [Entry("$name", "$title", $Class)]
'''
INTERVENTION_TEST = '''"""The intervention does to the neurons what it says."""

import numpy as np
import pytest
from nharness import Evidence, NharnessError, Target

from $module import $Class

TARGET = Target("en", np.array([1, 5, 6]))


def test_the_value_is_scaled():
    (change,) = $Class(factor=0.25).changes(TARGET, Evidence({}))
    assert change.flat.tolist() == [1, 5, 6]
    assert (change.scale.tolist(), change.shift.tolist()) == ([0.25] * 3, [0.0] * 3)


def test_a_factor_that_cannot_be_is_refused():
    with pytest.raises(NharnessError, match="factor is -1; expected a number at least 0"):
        $Class(factor=-1)
'''
STUDY = """# nharness run --study $name.toml --collect-only      what it comes to
# nharness run --study $name.toml
[study]
name = "$title"
models = ["babel"]
detectors = ["lape", "dln"]
interventions = ["zero"]
languages = ["en", "de", "zh"]
tasks = ["ppl"]
budget = 0.002
controls = { draws = 10 }
claims = [$claims]
"""


def _project(kind: str, code: str, test: str) -> tuple[Mapping[str, str], str]:
    files = {
        "nharness-$name/pyproject.toml": PROJECT,
        "nharness-$name/README.md": README.replace("$kind", kind),
        "nharness-$name/$module/__init__.py": code,
        "nharness-$name/$module/py.typed": "",
        "nharness-$name/tests/test_$module.py": test,
        "nharness-$name/.github/workflows/tests.yml": WORKFLOW,
    }
    return files, f"cd nharness-$name && pip install --editable . pytest && pytest && nharness run --{kind} $name"


def _study(claims: str) -> tuple[Mapping[str, str], str]:
    return {"$name.toml": STUDY.replace("$claims", claims)}, "nharness run --study $name.toml --collect-only"


FILES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "detector": _project("detector", DETECTOR, DETECTOR_TEST),
    "intervention": _project("intervention", INTERVENTION, INTERVENTION_TEST),
    "study": _study('"ppl.selectivity > 0"'),
    "claim": _study('{ statement = "ppl.selectivity.low > 0", detector = "lape" }'),
}
