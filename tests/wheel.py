"""Build the wheel, install it in an environment of its own, and use it from outside the repository.

Run by `make check`: what is missing from the wheel, or found only because the repository is there, fails here. With
names of parts, `tests/wheel.py claim study`, only those: `run`, `tutorial`, or a kind that `nharness new` begins.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).parent / "uv"
KINDS = ("detector", "intervention", "statistic", "task", "claim", "study")
PARTS = ("run", "tutorial", *KINDS)


def call(*command, cwd=None):
    print("+", *(str(part) for part in command), flush=True)
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def main(parts):
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        sys.exit(f"no part is called {unknown[0]!r}; expected {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        call(UV, "build", "--wheel", "--out-dir", place, ROOT)
        wheel = next(place.glob("*.whl"))
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        call(UV, "venv", place / "venv", "--python", sys.executable)
        python = place / "venv" / "bin" / "python"
        call(UV, "pip", "install", "--python", python, "-c", ROOT / "constraints.txt", wheel)
        nharness = python.with_name("nharness")
        if "run" in parts:
            run(place, nharness)
        if "tutorial" in parts:
            charts = f"nharness[charts] @ {wheel.as_uri()}"
            call(UV, "pip", "install", "--python", python, "-c", ROOT / "constraints.txt", charts)
            follow(ROOT / "docs" / "tutorial.md", place / "tutorial", nharness)
        kinds = [kind for kind in KINDS if kind in parts]
        if kinds:
            call(UV, "pip", "install", "--python", python, "-c", ROOT / "constraints.txt", "pytest", "mypy")
        for kind in kinds:
            begin(kind, place, python)


def run(place, nharness):
    """List what there is, run a detector, and validate what it left."""
    listed = json.loads(call(nharness, "list", "detectors", "--json", cwd=place))
    assert "lape" in {row["name"] for row in listed}
    small = "--languages en,de,zh --detect-tokens 2000 --eval-tokens 600 --control-tokens 300 --controls 2 --tasks ppl"
    done = call(nharness, "run", "--detector", "lape", *small.split(), "--out", place / "run", "--json", cwd=place)
    printed = json.loads(done)
    call(nharness, "validate", "--deep", printed["records"][0]["path"], cwd=place)
    print(f"the wheel works outside the repository: {len(printed['cells'])} cells", flush=True)


def follow(page, folder, nharness):
    """Do what a page says, to the letter: write the files it shows, type the commands it shows."""
    folder.mkdir()
    text = page.read_text(encoding="utf-8")
    for name, code in re.findall(r"^```python\n(?=# (\w+\.py)\n)(.*?)^```", text, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(code, encoding="utf-8")
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    assert lines[0] == "pip install 'nharness[charts]'"
    for line in lines[1:]:
        program, *words = shlex.split(line, comments=True)
        assert program == "nharness", line
        call(nharness, *words, cwd=folder)
    assert (folder / "site" / "index.html").is_file()
    print(f"{page.name}: {len(lines) - 1} commands, as they stand there", flush=True)


def begin(kind, place, python):
    """Follow what `nharness new` says, to the letter: install, test, type-check, run."""
    nharness = python.with_name("nharness")
    said = call(nharness, "new", kind, f"my-{kind}", cwd=place)
    folder = place / f"nharness-my-{kind}"
    call(UV, "pip", "install", "--python", python, "--no-deps", "--editable", folder)
    call(python, "-m", "pytest", "-q", "-W", "error", cwd=folder)
    call(python, "-m", "mypy", f"nharness_my_{kind}", cwd=folder)
    (folder / "nharness.toml").write_text(
        "languages = ['en', 'de']\ndetect-tokens = 2000\neval-tokens = 300\ncontrols = 0\n"
    )
    _, _, trying = said.strip().splitlines()[-1].rpartition("&& nharness ")
    call(nharness, *shlex.split(trying), cwd=folder)
    print(f"nharness new {kind}: installs, passes, type-checks and runs", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or PARTS)
