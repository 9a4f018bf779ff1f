"""docs/publish.py, as the workflow calls it: versions stand side by side on gh-pages, and a reader goes from one to another."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def git(*words, cwd):
    return subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True, text=True).stdout


def published(place):
    """Return a repository to which a checkout of the working tree pushed the documentation of a branch, then of a release."""
    checkout, remote = place / "checkout", place / "remote.git"
    for name in ("docs", "harness", "detectors", "tasks", "leaderboard/nharness_leaderboard", "leaderboard/schema"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", checkout)
    git("init", "--quiet", "--bare", str(remote), cwd=place)
    git("init", "--quiet", cwd=checkout)
    git("remote", "add", "origin", str(remote), cwd=checkout)
    for name in ("user.name", "user.email"):
        git("config", name, "a@example.org", cwd=checkout)
    git("commit", "--quiet", "--allow-empty", "--message", "Begin", cwd=checkout)
    for ref in ("main", "v9.8.7"):
        publish(ref, checkout)
        git("branch", "--quiet", "-D", "gh-pages", cwd=checkout)  # the next run of a workflow has what was pushed alone
    return remote


def publish(ref, checkout):
    path = os.pathsep.join(str(checkout / name) for name in ("harness", "detectors", "tasks", "leaderboard"))
    command = [sys.executable, "docs/publish.py", ref, "--push"]
    done = subprocess.run(
        command, cwd=checkout, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_versions_stand_side_by_side_and_a_reader_chooses(browser, tmp_path):
    """One test, since each version takes many seconds to build."""
    remote = published(tmp_path)
    the_branch_holds_every_version(remote)
    (tmp_path / "site").mkdir()
    a_reader_chooses_a_version(browser, remote, tmp_path / "site")


def the_branch_holds_every_version(remote):
    files = git("ls-tree", "--name-only", "gh-pages", cwd=remote).split()
    assert files == [".nojekyll", "9.8.7", "dev", "index.html", "latest", "versions.json"]
    known = json.loads(git("show", "gh-pages:versions.json", cwd=remote))
    assert [(each["version"], each["aliases"]) for each in known] == [("dev", []), ("9.8.7", ["latest"])]
    first = git("show", "gh-pages~2:index.html", cwd=remote)
    assert 'url=dev/"' in first  # before there is a release
    assert 'url=latest/"' in git("show", "gh-pages:index.html", cwd=remote)


def a_reader_chooses_a_version(browser, remote, place):
    archive = subprocess.run(["git", "archive", "gh-pages"], cwd=remote, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(place)], input=archive, check=True)
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(place)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_selector(".md-version__current")
        assert page.url.endswith("/latest/")
        assert page.inner_text(".md-version__current") == "9.8.7"
        links = page.locator(".md-version__link")
        assert links.all_text_contents() == ["dev", "9.8.7"]
        page.goto(links.first.evaluate("link => link.href"))
        page.wait_for_selector(".md-version__current")
        assert page.inner_text(".md-version__current") == "dev"
        page.close()
    finally:
        server.shutdown()
        server.server_close()
