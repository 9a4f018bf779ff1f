"""Building the site: from a results folder to a folder of pages that opens from the disk and needs no network.

Equal results give equal bytes: pages bear no build time.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nharness import atomic
from nharness.errors import FileFormatError, OutputError
from nharness.record.evalever import to_every_eval_ever
from nharness.record.problems import Problem
from nharness.record.reading import copy_plain
from nharness.record.reproduction import REPRODUCTION_NAME, Reproduction
from nharness.record.schema import schema_text
from nharness.record.store import RECORD_NAME, inside
from nharness.record.tables import cell_rows, summary_rows, to_csv, to_latex
from nharness_leaderboard.comparisons import Published, read_comparisons
from nharness_leaderboard.limits import MAX_FILE, MAX_RECORD
from nharness_leaderboard.paired import Difference, differences, sides
from nharness_leaderboard.ranks import Standings, resampled_headlines, standings
from nharness_leaderboard.reproduction import earned, read_reproduction
from nharness_leaderboard.results import Entry, read_results
from nharness_leaderboard.site.about import repository
from nharness_leaderboard.site.board import board_data, language_data
from nharness_leaderboard.site.comparison import comparison_script
from nharness_leaderboard.site.fields import fields
from nharness_leaderboard.site.front import Front, changes, fronts, leak_text, older, ratio_text
from nharness_leaderboard.site.render import asset, environment
from nharness_leaderboard.site.subjects import detectors, models
from nharness_leaderboard.site.text import intervention_text, selection_text
from nharness_leaderboard.site.vega import LICENCE, vega_script
from nharness_leaderboard.site.view import RecordView, record_view
from nharness_leaderboard.verdicts import WORDS, document, study_verdicts

ASSETS = ("site.css", "theme.js", "shared.js", "front.js", "board.js", "record.js", "compare.js")
MARKER = ".nharness-site"


@dataclass(frozen=True)
class Built:
    """What was built: pages and records, refused files with reasons, and the seconds it took."""

    pages: int
    records: int
    refused: Mapping[Path, Sequence[Problem]]
    seconds: float


@dataclass
class _Site:
    """A site being written: where it goes, its title, how many pages it has."""

    out: Path
    title: str
    pages: int = 0

    def page(self, path: str, template: str, /, **values: Any) -> None:
        root = "../" * path.count("/")
        made = environment().get_template(template).render(root=root, site_title=self.title, **values)
        self.file(path, made)
        self.pages += 1

    def file(self, name: str, content: str) -> None:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", errors="backslashreplace")


def build_site(results: Path, out: Path, *, title: str = "Language neurons leaderboard") -> Built:
    """Build the site of a results folder in `out`; invalid records are refused and named.

    Comparisons of models are read from the folder `comparisons` beside it, if there is one.

    `out` is replaced if it is empty or an earlier site. Raises `OutputError` if it holds anything else,
    `FileFormatError` without a results folder or for an invalid comparison, `UsageError` if the chart library is not
    installed.
    """
    started = time.perf_counter()
    vega = vega_script()
    found = read_results(results, files=True)
    site = _Site(_prepare(out), title)
    again = {entry.slug: _reproduction(entry) for entry in found.entries}
    entries = [_badged(entry, again[entry.slug]) for entry in found.entries]
    known = {entry.slug: sides(entry.record, entry.folder) for entry in entries}
    placed = standings(entries, resampled_headlines(entries, results))
    views = [record_view(entry, placed, again[entry.slug]) for entry in entries]
    apart = {
        task: differences({slug: held[task] for slug, held in known.items() if task in held})
        for task in sorted({task for held in known.values() for task in held})
    }
    for entry, view in zip(entries, views, strict=True):
        _record(site, entry, view, apart, placed)
    _overview(site, entries, placed)
    _subjects(site, views)
    _findings(site, entries, views, read_comparisons(results.parent / "comparisons"))
    for name in ASSETS:
        site.file(f"assets/{name}", asset(name))
    site.file("assets/vega.js", vega)
    site.file("assets/LICENCES.txt", LICENCE)
    return Built(site.pages, len(entries), found.problems, time.perf_counter() - started)


def _reproduction(entry: Entry) -> Reproduction | None:
    """Return the reproduction beside a record if it can be read and is of this record."""
    try:
        found = read_reproduction(entry.folder)
    except FileFormatError:
        return None
    return found if found is not None and found.record == entry.record.identity.id else None


def _badged(entry: Entry, reproduction: Reproduction | None) -> Entry:
    """Return the entry with the badge that its reproduction earns, whatever the record claims."""
    badge = "reproduced" if earned(entry.record, reproduction) else "self-reported"
    identity = entry.record.identity.model_copy(update={"badge": badge})
    return replace(entry, record=entry.record.model_copy(update={"identity": identity}))


def _prepare(out: Path) -> Path:
    if out.exists():
        if not out.is_dir() or (any(out.iterdir()) and not (out / MARKER).is_file()):
            raise OutputError(f"{out} exists and was not built by this command; choose an empty folder with --out")
        shutil.rmtree(out)
    atomic.make_folder(out)
    atomic.write_bytes(out / MARKER, b"built by nharness leaderboard build\n")
    return out


def _record(
    site: _Site,
    entry: Entry,
    view: RecordView,
    apart: Mapping[str, Mapping[tuple[str, str], Difference]],
    placed: Standings,
) -> None:
    folder = f"data/{view.slug}"
    site.file(f"data/{view.slug}.js", comparison_script(view, apart, placed))
    site.file(f"{folder}/cells.csv", to_csv(cell_rows(entry.record)))
    site.file(f"{folder}/every-eval-ever.json", json.dumps(to_every_eval_ever(entry.record), ensure_ascii=False))
    copy_plain(entry.folder / RECORD_NAME, site.out / folder / RECORD_NAME, max_bytes=MAX_RECORD)
    downloads = [
        ("record.json", f"../{folder}/record.json", ""),
        ("cells.csv", f"../{folder}/cells.csv", ""),
        ("every-eval-ever.json", f"../{folder}/every-eval-ever.json", ""),
    ]
    for file in entry.record.files:
        name = f"{folder}/files/{file.name}"
        copy_plain(inside(entry.folder, file.name), site.out / name, max_bytes=MAX_FILE)
        downloads.append((file.name, f"../{name}", _size(file.bytes)))
    if view.again:
        copy_plain(entry.folder / REPRODUCTION_NAME, site.out / folder / REPRODUCTION_NAME, max_bytes=MAX_RECORD)
        downloads.append((REPRODUCTION_NAME, f"../{folder}/{REPRODUCTION_NAME}", ""))
    site.page(f"records/{view.slug}.html", "record.html.j2", page="Record", view=view, downloads=downloads)


def _overview(site: _Site, entries: Sequence[Entry], placed: Standings) -> None:
    data = board_data(entries, placed)
    found = fronts(entries, placed)
    others, in_all = older(entries)
    shown: Sequence[Front | None] = found or [None]
    for front in shown:
        site.page(
            front.page if front else "index.html",
            "front.html.j2",
            page="Board",
            front=front,
            fronts=found,
            older=others,
            older_in_all=in_all,
            changes=changes(entries),
            repository=repository(),
            ratio_text=ratio_text,
            leak_text=leak_text,
        )
    site.page("records.html", "board.html.j2", page="Records", data=data, by_language=language_data(entries))
    site.file("data/board.json", json.dumps(data, ensure_ascii=False, allow_nan=False))
    rows = summary_rows([entry.record for entry in entries])
    site.file("data/board.csv", to_csv(rows))
    site.file("data/board.tex", to_latex(rows))
    labels = {entry.slug: _label(entry) for entry in entries}
    site.page("compare.html", "compare.html.j2", page="Compare", data=labels)
    site.file("data/record-2.schema.json", schema_text())
    site.page("methods.html", "methods.html.j2", page="Methods", parts=fields())


def _subjects(site: _Site, views: Sequence[RecordView]) -> None:
    for folder, heading, other, note, found in (
        ("detectors", "Detectors", "Models", "Best rank", detectors(views)),
        ("models", "Models", "Detectors", "Neurons", models(views)),
    ):
        site.page(
            f"{folder}/index.html",
            "listing.html.j2",
            page=heading,
            heading=heading,
            other=other,
            note=note,
            items=found,
        )
        for item in found:
            site.page(
                f"{folder}/{item.page}.html",
                "subject.html.j2",
                page=heading,
                name=item.name,
                facts=item.facts,
                about=item.about,
                places=item.places,
                repository=repository(),
                rows=item.rows,
                filter=folder.removesuffix("s"),
            )


def _findings(
    site: _Site, entries: Sequence[Entry], views: Sequence[RecordView], compared: Sequence[Published]
) -> None:
    """Write the page of all studies with findings, a page per study and a comparison of models, and both as data."""
    found, by_slug = study_verdicts(entries), {view.slug: view for view in views}
    site.page("findings/index.html", "findings.html.j2", page="Findings", studies=found, words=WORDS, compared=compared)
    for each in compared:
        site.page(f"comparisons/{each.name}.html", "models_compared.html.j2", page="Findings", published=each)
        text = json.dumps(each.comparison.document(), ensure_ascii=False, allow_nan=False)
        site.file(f"data/comparisons/{each.name}.json", text)
    for study in found:
        rows = [(view, task) for view in map(by_slug.__getitem__, study.records) for task in view.tasks]
        site.page(f"findings/{study.page}.html", "study.html.j2", page="Findings", study=study, rows=rows, words=WORDS)
    site.file("data/verdicts.json", json.dumps(document(found), ensure_ascii=False, allow_nan=False))


def _label(entry: Entry) -> str:
    record = entry.record
    asked = [intervention_text(record), *selection_text(record.selection)]
    return f"{record.detector.name} on {record.model.name}, {', '.join(asked)} ({entry.slug})"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 10**6 else f"{count / 1e3:.0f} kB"
