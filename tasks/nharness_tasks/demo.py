"""The demonstration: find SmolLM2's language neurons, switch them off, and see which language suffers.

`python -m nharness_tasks.demo` runs `nharness run` with the arguments below; more can be added behind them.
"""

from __future__ import annotations

import sys

from nharness.cli.main import main

ARGUMENTS = (
    "run", "--model", "smollm2", "--detector", "lape", "--languages", "en,de,fr,es,ru,vi,zh,ja",
    "--detect-tokens", "6000", "--eval-tokens", "1500", "--tasks", "ppl", "--controls", "5", "--control-tokens", "500",
    "--dtype", "bfloat16", "--out", "nharness-runs/demo",
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main([*ARGUMENTS, *sys.argv[1:]]))
