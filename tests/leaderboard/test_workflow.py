"""The workflow for GitHub: safe with pull requests of strangers, and its steps work one after another in fresh clones."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from narrowing import present
from nharness_leaderboard.submission import add
from synthetic_runs import synthetic_run

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / "leaderboard" / "ci"
WORKFLOW = yaml.safe_load((CI / "leaderboard.yml").read_text())
JOBS = WORKFLOW["jobs"]


def test_strangers_get_no_secret_and_run_no_code():
    triggers = WORKFLOW[True]  # YAML 1.1 reads `on` as true
    assert set(triggers) == {"pull_request", "push", "workflow_dispatch"}
    assert WORKFLOW["permissions"] == JOBS["check"].get("permissions", WORKFLOW["permissions"]) == {"contents": "read"}
    text = (CI / "leaderboard.yml").read_text()
    assert "secrets." not in text
    checkouts = [step["with"] for job in JOBS.values() for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert checkouts
    assert all(found["persist-credentials"] is False for found in checkouts)
    for job in JOBS.values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "an expression inside a script could carry code of a stranger"
    installs = [step["run"] for step in JOBS["check"]["steps"] if "pip install" in step.get("run", "")]
    assert installs
    assert not any("head" in line for line in installs)
    assert next(s for s in JOBS["check"]["steps"] if s.get("with", {}).get("path") == "base")["with"]["ref"].endswith(
        "base.sha }}"
    )


def test_only_the_job_that_publishes_may_write():
    writers = {name for name, job in JOBS.items() if "write" in job.get("permissions", {}).values()}
    assert writers == {"publish"}
    assert not any("run" in step for step in JOBS["publish"]["steps"])
    assert JOBS["publish"]["needs"] == "build"


def test_what_it_installs_is_what_the_code_imports():
    wanted = {line for line in (CI / "requirements.txt").read_text().splitlines() if not line.startswith("#")}
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert {name.replace("_", "-") for name in wanted} <= {name.replace("_", "-") for name in pinned}
    code = (
        "import sys, nharness.cli.main, nharness_leaderboard.comment, nharness_leaderboard.site.build, vl_convert;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        present(re.match(r"[\w-]+", line))[0]
        for line in [*project["dependencies"], *project["optional-dependencies"]["charts"]]
    }
    owners = packages_distributions()
    needed = {owner for name in loaded for owner in owners.get(name, ()) if owner in declared}
    assert needed <= wanted


def git(folder, *arguments):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "protocol.file.allow=always",
    ]
    return subprocess.run(
        [*command, *arguments], check=True, capture_output=True, text=True, env=environment
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository whose main branch has one record, and a branch `submitted` that adds another."""
    root = tmp_path / "repository"
    results = root / "leaderboard" / "results"
    for number, branch in ((1, "main"), (2, "submitted")):
        run = tmp_path / branch
        synthetic_run(run, seed=number, detector=f"synthetic-{number}")
        add(run, results)
        if number == 1:
            git(root, "init", "-q", "-b", "main")
        else:
            git(root, "checkout", "-q", "-b", "submitted")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", branch)
    return root


def steps_of(job, folder, **variables):
    """Run the scripts of a job, those after a failure only if they say so; return exit codes by name."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
    environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
    done = {}
    for step in JOBS[job]["steps"]:
        if "run" not in step or step["name"] == "Install" or (any(done.values()) and step.get("if") != "always()"):
            continue
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done[step["name"]] = subprocess.run(
            shell, cwd=folder, env=environment, capture_output=True, check=False
        ).returncode
    return done


def pull_request(root, folder, **variables):
    """Check the branch `submitted` as the workflow does; return exit codes and the summary."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, ref in (("base", "main"), ("head", "submitted")):
        git(folder, "clone", "-q", str(root), name)
        git(folder / name, "checkout", "-q", "--detach", f"origin/{ref}")
    done = steps_of("check", folder, BASE=git(root, "rev-parse", "main"), REPRODUCED="", **variables)
    return done, (folder / "summary.md").read_text()


def test_a_submission_is_checked_in_fresh_clones(repository, tmp_path):
    done, summary = pull_request(repository, tmp_path / "work")
    assert done == {"Check": 0, "Summary": 0}
    assert summary.startswith("## Submission: ready")
    assert "1 new record(s)" in summary
    path = next(path for path in repository.glob("leaderboard/results/*/synthetic-2/*/items.jsonl"))
    path.write_text(path.read_text().replace('"bytes":1', '"bytes":2', 1))
    git(repository, "commit", "-q", "-a", "-m", "tampered")
    done, summary = pull_request(repository, tmp_path / "work")
    assert done == {"Check": 1, "Summary": 0}
    assert summary.startswith("## Submission: not ready")


def test_the_site_is_built_in_a_fresh_clone(repository, tmp_path):
    git(tmp_path, "clone", "-q", "-b", "main", str(repository), "clone")
    assert steps_of("build", tmp_path / "clone") == {"Build": 0}
    assert (tmp_path / "clone" / "site" / "index.html").is_file()
