"""Bring a model, the data of tasks and a corpus into one folder, for machines without a network.

OUT/models/NAME   a model folder, as `--model` takes it
OUT/datasets      what tasks' data is served from, as `--dataset-dir` takes it
OUT/corpora/NAME  a corpus folder, as `--corpus` takes it
OUT/tasks/NAME    a folder of lm-eval's YAML, as `--include-path` takes it

What another model, corpus or folder of one name left there is never mixed with: that is an error.
"""

from __future__ import annotations

import filecmp
import gzip
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import huggingface_hub

from nharness.atomic import make_folder
from nharness.corpora import Corpus, Document
from nharness.errors import ModelError, OutputError, UsageError
from nharness.evaluation.include_paths import yaml_files
from nharness.evaluation.local_files import KeptFiles, kept_in
from nharness.models.source import Named, find_source, weight_files
from nharness.plugins import Plugins
from nharness.run.plan.resolve import task_runner
from nharness.spec import ModelSpec, TaskOptions
from nharness.task import TaskSpec

BESIDE_WEIGHTS = ("*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken", "*.py", "LICENSE*", "NOTICE*", "README*")
WEIGHTS = ("*.safetensors", "*.bin")


def fetch_model(spec: ModelSpec, named: Named, out: Path) -> tuple[Path, dict[str, object]]:
    """Return the folder below `out` that holds the model now, and the model arguments that load it from there.

    A local folder (or one GGUF file of it) is copied, a name on the hub is downloaded, safetensors before other
    weights. Raises `ModelError` in one sentence when there is no such model or it cannot be reached, `UsageError` when
    `out` is inside the model's folder, `OutputError` when another model of that name is there.
    """
    found = find_source(spec.name, dict(spec.args), named)
    file = found.args.get("gguf_file")
    if found.folder is None or spec.name in named:
        name = spec.name.replace("/", "--")
    else:
        name = found.folder.resolve().name if file is None else Path(str(file)).stem
    folder = out / "models" / name
    if found.folder is None:
        _download(found.name, found.args.get("revision"), folder)
        return folder, {key: value for key, value in found.args.items() if key != "revision"}
    _copy(found.folder, folder, [found.folder / str(file)] if file is not None else None)
    return folder, dict(found.args)


def fetch_folder(source: Path, out: Path, renamed: Mapping[str, str]) -> Path:
    """Return the copy below `out` of a folder of lm-eval's YAML; raises `OutputError` as `fetch_model` does.

    renamed: what the YAML calls its data, and what it is called where it lies now; nothing of this machine's folders is
    left in the copy.
    """
    folder = out / "tasks" / source.resolve().name
    rewritten = {path.relative_to(source): _renamed(path, renamed) for path in yaml_files(source)}
    _copy(source, folder, rewritten={name: text for name, text in rewritten.items() if text is not None})
    return folder


def _renamed(path: Path, renamed: Mapping[str, str]) -> bytes | None:
    """Return a YAML file with its data's new names; None where nothing changes."""
    before = text = path.read_text(encoding="utf-8")
    for old in sorted(renamed, key=len, reverse=True):
        whole = rf"(?<![^\s'\"\[{{,:]){re.escape(old)}(?![^\s'\"\]}},])"
        text = re.sub(whole, lambda _, new=renamed[old]: new, text)  # type: ignore[misc]
    return None if text == before else text.encode()


def _copy(
    source: Path,
    folder: Path,
    chosen: Sequence[Path] | None = None,
    *,
    rewritten: Mapping[Path, bytes] = MappingProxyType({}),
) -> None:
    """Copy a folder's files, those that are hidden left out, or only some; `rewritten` are by name what they become."""
    if folder.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"--out lies inside {source}, which is to be copied; choose a folder outside it")
    found = chosen if chosen is not None else [path for path in source.rglob("*") if path.is_file()]
    names = [path.relative_to(source) for path in found]
    kept = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    _require_same(folder, {name: rewritten.get(name, source / name) for name in kept})
    for name in kept:
        make_folder((folder / name).parent)
        partial = folder / name.with_name(f".{name.name}.part")
        shutil.copy2(source / name, partial)
        if name in rewritten:
            partial.write_bytes(rewritten[name])
        partial.replace(folder / name)


def _require_same(folder: Path, files: Mapping[Path, Path | bytes | None]) -> None:
    """Raise `OutputError` where the folder holds a file that is not among `files`, or differs from what it is there."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in name.parts):
            continue
        source = files.get(name)
        same = source is None or (
            path.read_bytes() == source if isinstance(source, bytes) else filecmp.cmp(source, path)
        )
        if name not in files or not same:
            raise OutputError(f"{path} already exists and holds something else; choose another --out")


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
        raise ModelError(f"model {name!r} cannot be fetched from the hub ({type(error).__name__}: {reason})") from error
    raise ModelError(f"model {name!r} has no weights on the hub; expected {' or '.join(WEIGHTS)}")


def fetch_tasks(tasks: Sequence[TaskSpec], options: TaskOptions, plugins: Plugins, out: Path) -> KeptFiles:
    """Return the files that now hold the data of tasks that bring some, and what they are called now.

    Raises `CellError` for the first task that cannot be loaded.
    """
    with kept_in(out / "datasets") as kept:
        for task in tasks:
            runner = task_runner(task, plugins)
            runner.fetch(runner.settled(task, options), options)
    return kept


def fetch_corpus(corpus: Corpus, languages: Sequence[str], out: Path, *, documents: int | None = None) -> Path:
    """Return the folder below `out` that holds the corpus now: `<split>/<language>.jsonl.gz` and `corpus.json`.

    documents: at most this many of each split and language. The copy of a whole corpus has the original's fingerprint.
    """
    folder = out / "corpora" / (Path(corpus.name).resolve().name or "corpus")
    wanted = [
        (Path(split, f"{tag}.jsonl.gz"), tag)
        for split, by_language in corpus.readers.items()
        for tag in languages
        if tag in by_language
    ]
    _require_same(folder, {Path("corpus.json"): None, **{name: None for name, _ in wanted}})
    for name, tag in wanted:
        make_folder((folder / name).parent)
        _write(folder / name, islice(corpus.documents(tag, name.parts[0]), documents))
    manifest = {"name": corpus.name, "languages": list(languages), "licence": corpus.notes.get("licence")}
    (folder / "corpus.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    return folder


def _write(path: Path, documents: Iterable[Document]) -> None:
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as file:
        for document in documents:
            row = {"id": document.id, "text": document.text, "source": document.source, "prompt": document.prompt}
            line = json.dumps({key: value for key, value in row.items() if value or key == "text"}, ensure_ascii=False)
            file.write(line.encode() + b"\n")
