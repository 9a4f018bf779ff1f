"""The demonstration: find SmolLM2's language neurons, switch them off, and see which language suffers.

`python -m nharness_tasks.demo` runs `nharness run` with the arguments below; options given after it replace them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nharness.cli.main import main

ARGUMENTS = (
    "run",
    "--model",
    "smollm2",
    "--detector",
    "lape",
    "--languages",
    "en,de,fr,es,ru,vi,zh,ja",
    "--detect-tokens",
    "6000",
    "--eval-tokens",
    "1500",
    "--tasks",
    "ppl",
    "--controls",
    "5",
    "--control-tokens",
    "500",
    "--dtype",
    "bfloat16",
    "--out",
    "nharness-runs/demo",
)


def arguments(added: Sequence[str]) -> list[str]:
    """Return the demonstration's arguments without those that `added` names, followed by `added`."""
    named = {word.partition("=")[0] for word in added}
    pairs = zip(ARGUMENTS[1::2], ARGUMENTS[2::2], strict=True)
    return [ARGUMENTS[0], *(word for pair in pairs if pair[0] not in named for word in pair), *added]


if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:])))
