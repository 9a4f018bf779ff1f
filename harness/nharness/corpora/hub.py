"""Rows out of hub datasets, and of datasets saved with `save_to_disk`, through the `datasets` library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nharness.corpora.rows import rows_of
from nharness.corpora.tables import Table
from nharness.errors import CorpusError, UnreachableError, UsageError
from nharness.languages import parse_language


def is_saved_dataset(path: Path) -> bool:
    """Tell whether the folder was written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def saved_tables(path: Path) -> list[Table]:
    """Return one table per split of a folder written by `save_to_disk`; raises `CorpusError` when it cannot be read."""
    import datasets  # noqa: PLC0415 - heavy, and only who has such a corpus needs it

    return _tables(str(path), None, _attempt(str(path), lambda: datasets.load_from_disk(str(path))))


def hub_tables(
    name: str, *, config: str | None = None, languages: Sequence[str] = (), streaming: bool = False
) -> tuple[list[Table], str]:
    """Return one table per split of the dataset, and an identity: name, configuration and revision.

    config: may hold `{language}`, which is filled in with each of `languages` as they are written; every such
    configuration is of that language. Raises `CorpusError` when the dataset cannot be loaded, with the reason,
    `UnreachableError` where it is the hub that cannot be reached.
    """
    import datasets  # noqa: PLC0415 - heavy, and only who has such a corpus needs it

    if config is not None and "{language}" in config and not languages:
        raise UsageError(f"configuration {config!r} is per language; name the languages as well")
    tables, identity = list[Table](), [name]
    for written in languages if config is not None and "{language}" in config else [None]:
        filled = config.replace("{language}", written) if config is not None and written is not None else config
        loaded = _attempt(name, partial(datasets.load_dataset, name, filled, streaming=streaming))
        tables += _tables(name, parse_language(written) if written is not None else None, loaded)
        identity += [str(filled), *sorted(_revision(part) for part in loaded.values())]
    return tables, "\n".join(identity)


def _tables(where: str, language: str | None, loaded: Any) -> list[Table]:
    by_split = loaded if isinstance(loaded, Mapping) else {None: loaded}
    tables = []
    for split, part in by_split.items():
        place = where if split is None else f"{where} {split}"
        tables.append(Table(place, None if split is None else str(split), language, partial(rows_of, place, part)))
    return tables


def _revision(part: Any) -> str:
    checksums = getattr(part.info, "download_checksums", None) or {}
    return f"{part.split}:{part.info.version}:{':'.join(sorted(map(str, checksums)))}"


def _attempt(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (OSError, ValueError, RuntimeError, ImportError, LookupError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        kind = UnreachableError if "/" in name and isinstance(error, OSError) else CorpusError
        raise kind(
            f"corpus {name!r} is not a registered corpus, a local folder or a file, and the hub dataset of that name "
            f"cannot be loaded ({type(error).__name__}: {reason})"
        ) from error
