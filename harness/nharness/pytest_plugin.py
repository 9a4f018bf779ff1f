"""pytest's side of nharness: `pytest study.toml` collects cells and claims, the fixture `nharness` runs in tests.

This module is loaded by every pytest run of an environment that has nharness, and imports nothing of it until a study
is collected or the fixture is asked for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of studies."""
    group = parser.getgroup("nharness", "studies of language neurons")
    group.addoption("--nharness", action="store_true", help="collect studies (*.toml with [study]) in folders too")
    group.addoption("--nharness-out", metavar="DIR", help="run folders of studies (default in pytest's cache)")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a study that was named on the command line, or any with `--nharness`."""
    asked = parent.config.getoption("--nharness") or parent.session.isinitpath(file_path)
    if not asked or file_path.suffix != ".toml" or "[study]" not in file_path.read_text("utf-8", "replace"):
        return None
    collector: pytest.Collector = import_module("nharness.interactive.items").StudyModule.from_parent(
        parent, path=file_path
    )
    return collector


@pytest.fixture
def nharness(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`nharness.run(...)` in a folder of the test's own, and `nharness.hold(result, "ppl.selectivity.low > 0")`.

    What the tests of a session have in common, such as recorded statistics, is made once.
    """
    return import_module("nharness.interactive.items").Harness(tmp_path, tmp_path_factory.getbasetemp() / "nharness")
