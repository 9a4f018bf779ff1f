"""What a submission may hold: plain files of two kinds, no larger than their limits, texts that nothing obeys."""

import gzip
import json
import os
import shutil
import time

import pytest

from nharness.cli.main import main
from nharness.errors import FileFormatError
from nharness.record.items import read_items
from nharness.record.model import Record, content_id
from nharness.record.reading import copy_plain, read_plain
from nharness.record.store import describe
from nharness.record.validate import validate_document, validate_file
from nharness_leaderboard.gate import check
from nharness_leaderboard.site.build import build_site
from nharness_leaderboard.submission import add
from synthetic_runs import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, synthetic_run(folder)


@pytest.fixture
def submitted(run, tmp_path):
    """A copy of the run, to be altered."""
    return shutil.copytree(run[0], tmp_path / "submitted")


def relisted(folder, alter):
    """Let `alter` change the list of files, and write the record with its id renewed; return its problems."""
    document = json.loads((folder / "record.json").read_text())
    alter(document["files"])
    document["identity"]["id"] = content_id(document)
    (folder / "record.json").write_text(json.dumps(document))
    return " | ".join(map(str, validate_file(folder / "record.json")[1]))


@pytest.mark.parametrize("name", ["report.html", "x.svg", "evil.js", "items.html", "items.jsonl.html"])
def test_only_items_and_neurons_are_listed(submitted, tmp_path, name):
    (submitted / name).write_text("<script>window.hacked=1</script>")
    entry = describe(submitted, submitted / name, "items").document()
    for role in ("report", "other", "statistics"):
        assert "/files/2/role" in relisted(submitted, lambda files, role=role: files.append(entry | {"role": role}))
        relisted(submitted, list.pop)
    assert "named *.jsonl or .jsonl.gz" in relisted(submitted, lambda files: files.__setitem__(0, entry))
    with pytest.raises(FileFormatError, match="not a valid record"):
        add(submitted, tmp_path / "results")


def test_one_file_of_each_role(submitted):
    shutil.copy(submitted / "items.jsonl", submitted / "more.jsonl")
    entry = describe(submitted, submitted / "more.jsonl", "items").document()
    assert "role 'items' is listed more than once" in relisted(submitted, lambda files: files.__setitem__(1, entry))


def test_what_is_not_listed_is_not_published(submitted, tmp_path):
    (submitted / "evil.js").write_text("window.hacked=1")
    folder = add(submitted, tmp_path / "results")
    assert sorted(path.name for path in folder.iterdir()) == ["items.jsonl", "neurons.safetensors", "record.json"]
    (folder / "evil.js").write_text("window.hacked=1")
    assert "does not list it" in str(check(tmp_path / "results").problems)
    build_site(tmp_path / "results", tmp_path / "site")
    published = [path for path in (tmp_path / "site" / "data").rglob("*") if path.is_file()]
    assert {path.suffix for path in published} <= {".js", ".json", ".jsonl", ".safetensors", ".csv", ".tex"}
    assert not [path for path in published if path.name == "evil.js"]


ODD = {
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a file": lambda path: path.symlink_to("/etc/hostname"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a pipe": os.mkfifo,
    "a folder": os.mkdir,
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["record.json", "items.jsonl", "neurons.safetensors"])
def test_only_plain_files_are_read_and_nothing_waits(run, tmp_path, make, name, capsys):
    results = tmp_path / "results"
    folder = add(run[0], results)
    (folder / name).unlink()
    make(folder / name)
    started = time.monotonic()
    record, problems = validate_file(folder / "record.json")
    assert problems
    assert record is None or name != "record.json"
    assert not check(results).passed or name == "record.json"
    with pytest.raises(FileFormatError):
        add(folder, tmp_path / "other")
    assert main(["validate", "--deep", str(folder / "record.json")]) in {1, 4}
    assert main(["leaderboard", "check", "--results", str(results)]) == 1
    assert main(["migrate", str(folder / "record.json")]) in {0, 4}
    capsys.readouterr()
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("name", ["record.json", "items.jsonl", "neurons.safetensors"])
def test_a_link_is_not_followed_to_what_would_be_true(submitted, tmp_path, name):
    (submitted / name).rename(tmp_path / "elsewhere")
    (submitted / name).symlink_to(tmp_path / "elsewhere")
    assert "link" in str(validate_file(submitted / "record.json")[1])
    with pytest.raises(FileFormatError, match="it is a link; only plain files are read"):
        read_plain(submitted / name, max_bytes=1 << 30)


def test_a_file_that_grows_is_not_read_to_its_end(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 1000)
    for read in (read_plain, lambda path, max_bytes: copy_plain(path, tmp_path / "copy", max_bytes=max_bytes)):
        with pytest.raises(FileFormatError, match="1000 bytes; at most 999 are read"):
            read(tmp_path / "large", max_bytes=999)
    assert read_plain(tmp_path / "large", max_bytes=1000) == b"x" * 1000


def test_the_first_item_that_comes_twice_ends_it(run, tmp_path):
    line = (run[0] / "items.jsonl").read_bytes().splitlines(keepends=True)[0]
    (tmp_path / "items.jsonl.gz").write_bytes(gzip.compress(line * 400_000, compresslevel=1))
    started = time.monotonic()
    with pytest.raises(FileFormatError, match=r"line 2: item .* occurs twice in one cell"):
        list(read_items(tmp_path / "items.jsonl.gz"))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("evil", ["\x1b[31mred", "one\n::error::two", "\u202egnp.exe", "a\x07", "\x9b31m", "a\u2028b"])
def test_no_short_text_holds_what_a_terminal_obeys(run, evil):
    document = run[1].document()
    for place in (("tasks", 0, "unit"), ("identity", "command"), ("model", "name"), ("corpus", "licence")):
        changed = json.loads(json.dumps(document))
        at = changed
        for name in place[:-1]:
            at = at[name]
        at[place[-1]] = evil
        changed["identity"]["id"] = content_id(changed)
        assert "/" + "/".join(map(str, place)) in {p.pointer for p in validate_document(changed)[1]}


@pytest.mark.parametrize("created", ["9999-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_years_have_bounds(run, created):
    document = run[1].document()
    document["identity"]["created"] = created
    assert [p.pointer for p in validate_document(document)[1]] == ["/identity/created"]
    assert isinstance(run[1], Record)
