"""The hooks of docs/bridges.md for Weights & Biases and MLflow, as they stand there, with the real libraries offline."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "bridges.md").read_text(encoding="utf-8")
HOOKS = dict(re.findall(r"^```python\n# (to_\w+)\.py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def run_with(hook, tiny_run, folder, **environment):
    """Run in a process of its own: these libraries start services and patch what they like."""
    (folder / f"{hook}.py").write_text(HOOKS[hook])
    environment |= {name: value for name, value in os.environ.items() if name not in environment}
    command = [
        sys.executable,
        "-m",
        "nharness",
        *tiny_run,
        "-p",
        hook,
        "--out",
        str(folder / "out"),
        "--strict-plugins",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(next(folder.glob("out/records/*/record.json")).read_text())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_has_the_record(tiny_run, tmp_path):
    record = run_with(
        "to_wandb", tiny_run, tmp_path, WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(tmp_path)
    )
    folder = next((tmp_path / "wandb").glob("offline-run-*"))
    assert json.loads((folder / "files" / "record.json").read_text())["identity"]["id"] == record["identity"]["id"]
    log = next(folder.glob("*.wandb")).read_bytes()
    assert b"ppl/selectivity" in log
    assert record["detector"]["name"].encode() in log


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed")
def test_mlflow_has_the_record(tiny_run, tmp_path):
    place = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    record = run_with("to_mlflow", tiny_run, tmp_path, **place)
    probe = (
        "import json, mlflow; run = mlflow.search_runs(experiment_ids=['0'], output_format='list')[0];"
        "print(json.dumps([run.data.metrics, run.data.params, run.info.artifact_uri]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, **place},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    metrics, params, artifacts = json.loads(done.stdout.splitlines()[-1])
    kept = json.loads((Path(artifacts.removeprefix("file://")) / "record.json").read_text())
    assert kept["identity"]["id"] == record["identity"]["id"]
    assert metrics["ppl/selectivity"] == pytest.approx(record["summary"][0]["selectivity"]["value"])
    assert params["detector"] == "lape"
