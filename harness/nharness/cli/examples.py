"""Two or three command lines for every command, as `--help` shows them; the tests parse each of them."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Sequence[str]] = {
    "run": (
        "nharness run --detector lape",
        "nharness run --detector lape,dln --model Qwen/Qwen2.5-0.5B --languages en,de,zh --tasks ppl,xnli",
        "nharness run --study study.toml --collect-only",
    ),
    "record": (
        "nharness record --out statistics.safetensors",
        "nharness record --detector plnd,probe --model ./model --languages en,de --out of-model.safetensors",
    ),
    "detect": (
        "nharness detect lape --statistics statistics.safetensors --out neurons.safetensors",
        "nharness detect ternary --statistics gate.safetensors --option top_rate=0.02 --out neurons.safetensors",
    ),
    "evaluate": (
        "nharness evaluate --neurons neurons.safetensors",
        "nharness evaluate --neurons neurons.safetensors --intervention mean --tasks ppl,belebele --limit 100",
    ),
    "export": (
        "nharness export --neurons neurons.safetensors --language zh --out without-chinese",
        "nharness export --neurons neurons.safetensors --language zh --intervention add --format steered --out a.pt",
    ),
    "analyze": (
        "nharness analyze neurons.safetensors",
        "nharness analyze before.safetensors --after after.safetensors --json",
    ),
    "compare": (
        "nharness compare lape.safetensors dln.safetensors",
        "nharness compare nharness-runs/lape-babel-1a2b3c4d nharness-runs/dln-babel-5e6f7a8b",
    ),
    "report": (
        "nharness report nharness-runs/lape-babel-1a2b3c4d --html report.html",
        "nharness report nharness-runs/lape-babel-1a2b3c4d --format latex --table cells",
        "nharness report nharness-runs/lape-babel-1a2b3c4d nharness-runs/dln-babel-5e6f7a8b --paper paper",
        "nharness report nharness-runs/lape-babel-1a2b3c4d --dataset my-records --push ORG/NAME",
    ),
    "claims": (
        "nharness claims nharness-runs/lape-babel-1a2b3c4d --claim 'selectivity >= 0.01'",
        "nharness claims nharness-runs/lape-babel-1a2b3c4d --claim own-language-most --strict-claims",
    ),
    "validate": (
        "nharness validate nharness-runs/lape-babel-1a2b3c4d --deep",
        "nharness validate record.json --format github",
    ),
    "migrate": ("nharness migrate old-run --in-place",),
    "leaderboard": (
        "nharness leaderboard add nharness-runs/lape-babel-1a2b3c4d --results leaderboard/results",
        "nharness leaderboard check --base origin/main",
        "nharness leaderboard build --out site",
    ),
    "inspect": ("nharness inspect --model Qwen/Qwen2.5-0.5B", "nharness inspect --model babel --names nnsight"),
    "merge": ("nharness merge part-1.safetensors part-2.safetensors --out statistics.safetensors",),
    "check": ("nharness check lape", "nharness check my_module:TopMean --json"),
    "import": (
        "nharness import masks masks.pth --languages en,de --layer-widths 1536x30 --out neurons.safetensors",
        "nharness import counts --count en=en.pth --count de=de.pth --out statistics.safetensors",
    ),
    "plan": (
        "nharness plan --detector lape --tasks ppl --shard 2/5",
        "nharness plan --study study.toml -q",
    ),
    "collect": ("nharness collect part-1 part-2 part-3 --out whole",),
    "prefetch": ("nharness prefetch --model Qwen/Qwen2.5-0.5B --tasks xcopa --languages zh,sw --out carried",),
    "cache": ("nharness cache show", "nharness cache prune --older-than 30 --kind cells"),
    "list": ("nharness list detectors", "nharness list detectors lape", "nharness list plugins --json"),
    "new": ("nharness new detector my-method", "nharness new study three-kinds --out studies"),
    "doctor": ("nharness doctor", "nharness doctor --json"),
    "completion": (
        "nharness completion bash > ~/.local/share/bash-completion/completions/nharness",
        "nharness completion fish > ~/.config/fish/completions/nharness.fish",
    ),
}


def shown(command: str) -> str:
    """Return a command's examples as the help shows them, to be copied from a terminal of any width."""
    width = shutil.get_terminal_size().columns - len(" \\")
    lines = EXAMPLES.get(command, (f"nharness {command} --help",))
    wrapped = [
        textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        for line in lines
    ]
    return "\n".join(["Examples:", *(" \\\n".join(parts) for parts in wrapped)])
