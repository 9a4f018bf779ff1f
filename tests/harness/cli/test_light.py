"""`--help` and `list` answer at once and without a tensor library."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "lm_eval", "datasets", "ray")
PROBE = """
import sys
from nharness.cli.main import main
try:
    code = main({argv!r})
except SystemExit as stop:
    code = stop.code
sys.stderr.write(repr((code, [name for name in {heavy!r} if name in sys.modules])))
"""


def run_light(*argv):
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(argv=list(argv), heavy=HEAVY)], capture_output=True, text=True, timeout=60
    )
    return done.stdout, eval(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["--version"], ["run", "--help"], ["detect", "--help"], ["validate", "--help"], ["run", "--show-config"],
     *(["list", what, "--json"] for what in ("detectors", "interventions", "tasks", "corpora", "models", "plugins", "languages"))],
)  # fmt: skip
def test_no_heavy_import(argv):
    out, (code, heavy) = run_light(*argv)
    assert (code, heavy) == (0, [])
    assert out.strip()


def test_lists_are_json():
    out, _ = run_light("list", "detectors", "--json")
    rows = json.loads(out)
    assert {"name", "summary", "plugin"} == set(rows[0])
    assert "lape" in {row["name"] for row in rows}
