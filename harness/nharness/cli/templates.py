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

$title, for [nharness](https://github.com/nharness/nharness). Where it is installed, `$name` is known by its name.

```sh
pip install --editable . mypy pytest
pytest
mypy $module
$try
```

What it may be and do: [plug-ins](https://nharness.github.io/nharness/).
"""
UNTYPED = """
[[tool.mypy.overrides]]
module = ["datasets.*"]
ignore_missing_imports = true
"""
DETECTOR = '''"""$title: the neurons whose mean activation for one language is furthest above the other languages'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nharness import Detection, Detector, DetectorOptions, Entry, Evidence, Need, hookimpl
from pydantic import Field


class ${Class}Options(DetectorOptions):
    """How many neurons are selected."""

    top_rate: float = Field(0.01, gt=0, le=1, description="share of (neuron, language) pairs that is selected")


class $Class(Detector[${Class}Options]):
    """Say here what the method is, with its formula and its paper."""

    name = "$name"

    def needs(self) -> tuple[Need, ...]:
        """Return the statistics that one recording pass gives to all detectors of a run."""
        return (Need("moments", "gate"),)

    def detect(self, evidence: Evidence) -> Detection:
        """Return membership and score, each [languages, neurons]."""
        mean = evidence.statistics("gate").mean()
        margin = mean - np.sort(mean, axis=0)[-2]
        bar = np.quantile(margin, 1 - self.options.top_rate / len(mean))
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

import numpy as np
from nharness import Change, Entry, Evidence, Intervention, InterventionOptions, Target, hookimpl
from pydantic import Field


class ${Class}Options(InterventionOptions):
    """By how much."""

    factor: float = Field(0.5, ge=0, allow_inf_nan=False, description="what the value is multiplied by")


class $Class(Intervention[${Class}Options]):
    """Say here what is done to the neurons, and after which paper."""

    name = "$name"
    strength_option = "factor"

    def changes(self, target: Target, evidence: Evidence) -> tuple[Change, ...]:
        """Return `scale * a + shift` for the neurons of the target at one site."""
        factor = self.options.factor
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
from nharness.testing import parametrize_with_checks

from $module import $Class

TARGET = Target("en", np.array([1, 5, 6]))


@parametrize_with_checks([$Class()])
def test_contract(thing, check):
    check(thing)


def test_the_value_is_scaled():
    (change,) = $Class(factor=0.25).changes(TARGET, Evidence({}))
    assert change.flat.tolist() == [1, 5, 6]
    assert (change.scale.tolist(), change.shift.tolist()) == ([0.25] * 3, [0.0] * 3)


def test_a_factor_that_cannot_be_is_refused():
    with pytest.raises(NharnessError, match="factor is -1; expected a number at least 0"):
        $Class(factor=-1)
'''
STATISTIC = '''"""$title: the largest activation of every neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from nharness import Accumulator, Activations, Entry, Shard, hookimpl
from numpy.typing import NDArray


class $Class(Accumulator):
    """largest: float32 [M], the largest activation of each neuron."""

    name = "$name"
    version = "1"  # another one whenever the tensors hold something else: statistics of two versions are not merged
    merge = {"largest": "max"}

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.most = torch.full((shard.size,), -torch.inf, device=shard.device)

    def add(self, activations: Activations) -> None:
        """Take activations [tokens, neurons] in; `columns` says of which neurons they are."""
        most = self.most[activations.columns]
        torch.maximum(most, activations.values.amax(0), out=most)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return what `merge` names."""
        return {"largest": self.most.cpu().numpy()}


@hookimpl
def nharness_register_statistics() -> Sequence[Entry]:
    """Register the statistic by its name."""
    return [Entry("$name", "$title", $Class)]
'''
STATISTIC_TEST = '''"""The statistic keeps its contract: shards merge to the same in any order and number."""

from nharness.testing import parametrize_with_checks

from $module import $Class


@parametrize_with_checks([$Class])
def test_contract(thing, check):
    check(thing)
'''
TASK = '''"""$title: which of two words goes on, in lm-eval's YAML and with its own items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nharness import CodedFamily, Entry, hookimpl

FAMILY = CodedFamily(
    "$name",
    "$title",
    task="${snake}_{code}",
    codes={"en": "en", "de": "de"},
    chance=0.5,
    include_path=str(Path(__file__).parent / "tasks"),
)


@hookimpl
def nharness_register_tasks() -> Sequence[Entry]:
    """Register the family by its name."""
    return [Entry("$name", FAMILY.summary, FAMILY)]
'''
ITEMS = '''"""What the YAML of this folder calls for its items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets


def rows(file: str, **_metadata: Any) -> dict[str, datasets.Dataset]:
    """Return the items of a JSON Lines file beside this one."""
    lines = (Path(__file__).parent / file).read_text(encoding="utf-8").splitlines()
    return {"test": datasets.Dataset.from_list([json.loads(line) for line in lines])}
'''
TASK_YAML = """task: ${snake}_en
custom_dataset: !function items.rows
dataset_kwargs: {file: en.jsonl}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: right
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0}
"""
GERMAN_YAML = """include: ${snake}_en.yaml
task: ${snake}_de
custom_dataset: !function items.rows
dataset_kwargs: {file: de.jsonl}
"""
ENGLISH_ITEMS = """{"question": "Click the", "choices": [" button", " of"], "right": 0}
{"question": "Open the", "choices": [" would", " file"], "right": 1}
{"question": "Select a", "choices": [" colour", " been"], "right": 0}
{"question": "You can change the", "choices": [" are", " settings"], "right": 1}
"""
GERMAN_ITEMS = """{"question": "Klicken Sie auf die", "choices": [" Schaltfläche", " wegen"], "right": 0}
{"question": "Öffnen Sie die", "choices": [" würde", " Datei"], "right": 1}
{"question": "Wählen Sie eine", "choices": [" Farbe", " gewesen"], "right": 0}
{"question": "Sie können die", "choices": [" sind", " Einstellungen"], "right": 1}
"""
TASK_TEST = '''"""The family keeps its contract."""

from nharness.testing import parametrize_with_checks

from $module import FAMILY


@parametrize_with_checks([FAMILY])
def test_contract(thing, check):
    check(thing)
'''
CLAIM = '''"""$title: a statement that records bear out or not."""

from __future__ import annotations

from collections.abc import Sequence

from nharness import Entry, Finding, NamedClaim, Record, hookimpl


class $Class(NamedClaim):
    """Say here who claims it, and why the rule of the test is a fair one."""

    name = "$name"
    statement = "A language's neurons matter more to it than to the others."
    paper = "say here which, and where in it"
    needs = "records of perplexity"

    def test(self, records: Sequence[Record]) -> Finding | None:
        """Return what the records say; None where they say nothing of it."""
        found = [each.selectivity for record in records for each in record.summary if each.task == "ppl"]
        ends = [each.interval for each in found if each is not None and each.interval is not None]
        if not ends:
            return None
        numbers, rule = {"lowest end": min(low for low, _ in ends)}, "every interval of selectivity lies above 0"
        if all(low > 0 for low, _ in ends):
            return Finding("holds", numbers, rule)
        return Finding("fails" if any(high < 0 for _, high in ends) else "undecided", numbers, rule)


@hookimpl
def nharness_register_claims() -> Sequence[Entry]:
    """Register the claim by its name."""
    return [Entry("$name", $Class.statement, $Class)]
'''
CLAIM_TEST = '''"""The claim holds where it must, and says nothing about what was not measured."""

import nharness
from $module import $Class


def test_it_holds_of_lape(tmp_path):
    small = {"languages": ["en", "de"], "detect_tokens": 4000, "eval_tokens": 900, "controls": 0, "tasks": "ppl"}
    result = nharness.run(detector="lape", claim="$name", out=tmp_path, plugins=["$module"], **small)
    assert [each.verdict for each in result.claims] == ["holds"]


def test_it_says_nothing_of_nothing():
    assert $Class().test([]) is None
'''
STUDY = """# nharness run --study $name --collect-only      what it amounts to
# nharness run --study $name
[study]
name = "$title"
models = ["babel"]
detectors = ["lape", "dln"]
interventions = ["zero"]
languages = ["en", "de", "zh"]
tasks = ["ppl"]
budget = 0.002
corpora = [{ name = "sample", detect_tokens = 4000, eval_tokens = 600 }]
controls = { draws = 5 }
claims = ["ppl.selectivity > 0"]
"""
STUDY_CODE = '''"""$title: an experiment that others run by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nharness import Entry, hookimpl


@hookimpl
def nharness_register_studies() -> Sequence[Entry]:
    """Register the study by its name."""
    return [Entry("$name", "$title", Path(__file__).parent / "$name.toml")]
'''
STUDY_TEST = '''"""The study can be read, and every run of it planned."""

import nharness


def test_it_can_be_planned():
    planned = nharness.command("run", "--study", "$name", "--collect-only", "-p", "$module")
    assert "lape" in planned.text
    assert planned.exit_code == 0
'''


def _project(code: str, test: str, trying: str, more: Mapping[str, str] | None = None) -> tuple[Mapping[str, str], str]:
    """Return a project's files, and what to do next; `trying` is the command that uses what it registers."""
    files = {
        "nharness-$name/pyproject.toml": PROJECT
        + (UNTYPED if any(path.endswith(".py") for path in more or {}) else ""),
        "nharness-$name/README.md": README.replace("$try", trying),
        "nharness-$name/$module/__init__.py": code,
        "nharness-$name/$module/py.typed": "",
        "nharness-$name/tests/test_$module.py": test,
        "nharness-$name/.github/workflows/tests.yml": WORKFLOW,
        **(more or {}),
    }
    return files, f"cd nharness-$name && pip install --editable . pytest && pytest && {trying}"


FILES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "detector": _project(DETECTOR, DETECTOR_TEST, "nharness run --detector $name"),
    "intervention": _project(INTERVENTION, INTERVENTION_TEST, "nharness run --detector lape --intervention $name"),
    "statistic": _project(
        STATISTIC, STATISTIC_TEST, "nharness record --statistics $name@hidden --languages en,de --out $name.safetensors"
    ),
    "task": _project(
        TASK,
        TASK_TEST,
        "nharness run --detector lape --tasks $name --languages en,de",
        {
            "nharness-$name/$module/tasks/${snake}_en.yaml": TASK_YAML,
            "nharness-$name/$module/tasks/${snake}_de.yaml": GERMAN_YAML,
            "nharness-$name/$module/tasks/items.py": ITEMS,
            "nharness-$name/$module/tasks/en.jsonl": ENGLISH_ITEMS,
            "nharness-$name/$module/tasks/de.jsonl": GERMAN_ITEMS,
        },
    ),
    "claim": _project(CLAIM, CLAIM_TEST, "nharness run --detector lape --claim $name --languages en,de"),
    "study": _project(
        STUDY_CODE, STUDY_TEST, "nharness run --study $name", {"nharness-$name/$module/$name.toml": STUDY}
    ),
}
