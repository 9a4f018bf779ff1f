"""Bring a model, the data of tasks and a corpus into one folder, for machines without a network.

OUT/models/NAME   a model folder, as `--model` takes it
OUT/datasets      what tasks' data is served from, as `--dataset-dir` takes it
OUT/corpora/NAME  a corpus folder, as `--corpus` takes it
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import huggingface_hub

from nharness.corpora import Corpus, Document
from nharness.errors import ModelError
from nharness.evaluation.local_files import kept_in
from nharness.evaluation.task_loading import TaskLoader
from nharness.models.source import Named, find_source, weight_files
from nharness.spec import ModelSpec
from nharness.task import TaskSpec

BESIDE_WEIGHTS = ("*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken", "*.py", "LICENSE*", "NOTICE*", "README*")
WEIGHTS = ("*.safetensors", "*.bin")


def fetch_model(spec: ModelSpec, named: Named, out: Path) -> tuple[Path, dict[str, object]]:
    """Return the folder below `out` that holds the model now, and the model arguments that load it from there.

    A local folder (or one GGUF file of it) is copied, a name on the hub is downloaded, safetensors before other
    weights. Raises `ModelError` in one sentence when there is no such model or it cannot be reached.
    """
    found = find_source(spec.name, dict(spec.args), named)
    local = found.folder is not None and spec.name not in named
    name = Path(spec.name).expanduser().resolve().stem if local else spec.name.replace("/", "--")
    folder, file = out / "models" / name, found.args.get("gguf_file")
    if found.folder is None:
        _download(found.name, found.args.get("revision"), folder)
        return folder, {key: value for key, value in found.args.items() if key != "revision"}
    if file is None:
        shutil.copytree(found.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(found.folder / str(file), folder / str(file))
    return folder, dict(found.args)


def _download(name: str, revision: object, folder: Path) -> None:
    chosen = None if revision is None else str(revision)
    try:
        for weights in WEIGHTS:
            patterns = [*BESIDE_WEIGHTS, weights]
            huggingface_hub.snapshot_download(name, revision=chosen, local_dir=folder, allow_patterns=patterns)
            if weight_files(folder):
                return
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"model {name!r} cannot be had from the hub ({type(error).__name__}: {reason})") from error
    raise ModelError(f"model {name!r} has no weights on the hub; expected {' or '.join(WEIGHTS)}")


def fetch_tasks(tasks: Sequence[TaskSpec], include_path: Sequence[str], out: Path) -> list[Path]:
    """Return the files that now hold the data of lm-eval's tasks; tasks that bring their own text need none.

    Raises `CellError` for the first task that cannot be loaded.
    """
    loader = TaskLoader(include_path=include_path)
    with kept_in(out / "datasets") as files:
        for task in tasks:
            if task.kind == "lm-eval":
                loader.load(task)
    return list(dict.fromkeys(files))


def fetch_corpus(corpus: Corpus, languages: Sequence[str], out: Path, *, documents: int | None = None) -> Path:
    """Return the folder below `out` that holds the corpus now: `<split>/<language>.jsonl.gz` and `corpus.json`.

    documents: at most so many of each split and language. The copy of a whole corpus has the original's fingerprint.
    """
    folder = out / "corpora" / Path(corpus.name).name
    for split, by_language in corpus.readers.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for tag in languages:
            if tag in by_language:
                _write(folder / split / f"{tag}.jsonl.gz", islice(corpus.documents(tag, split), documents))
    manifest = {"name": corpus.name, "languages": list(languages), "licence": corpus.notes.get("licence")}
    (folder / "corpus.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    return folder


def _write(path: Path, documents: Iterable[Document]) -> None:
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as file:
        for document in documents:
            row = {"id": document.id, "text": document.text, "source": document.source, "prompt": document.prompt}
            line = json.dumps({key: value for key, value in row.items() if value or key == "text"}, ensure_ascii=False)
            file.write(line.encode() + b"\n")
