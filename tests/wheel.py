"""Build the wheel, install it in an environment of its own, and use it from outside the repository.

Run by `make check`: what is missing from the wheel, or found only because the repository is there, fails here.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).parent / "uv"


def call(*command, cwd=None):
    print("+", *(str(part) for part in command), flush=True)
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def main():
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        call(UV, "build", "--wheel", "--out-dir", place, ROOT)
        wheel = next(place.glob("*.whl"))
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        call(UV, "venv", place / "venv", "--python", sys.executable)
        python = place / "venv" / "bin" / "python"
        call(UV, "pip", "install", "--python", python, "-c", ROOT / "constraints.txt", wheel)
        nharness = python.with_name("nharness")
        listed = json.loads(call(nharness, "list", "detectors", "--json", cwd=place))
        assert "lape" in {row["name"] for row in listed}
        small = [
            "--languages",
            "en,de,zh",
            "--detect-tokens",
            "2000",
            "--eval-tokens",
            "600",
            "--control-tokens",
            "300",
        ]
        printed = json.loads(
            call(nharness, "run", "--detector", "lape", *small, "--out", place / "run", "--json", cwd=place)
        )
        call(nharness, "validate", "--deep", printed["records"][0]["path"], cwd=place)
        print(f"the wheel works outside the repository: {len(printed['cells'])} cells")


if __name__ == "__main__":
    main()
