"""Validation: every kind of damage is found, at the right place, in a sentence; nothing raises."""

import copy
import json

import pytest

from nharness.errors import FileFormatError
from nharness.record.loading import MAX_DEPTH
from nharness.record.model import Record, configuration_key, content_id
from nharness.record.store import describe, inside, sha256_of
from nharness.record.validate import load_record, validate_bytes, validate_document, validate_file
from synthetic_records import synthetic_record


@pytest.fixture(scope="module")
def document():
    return synthetic_record(languages=("en", "zh", "fr"), layers=2, draws=2).document()


def problems_after(document, place, value, *, keep_id=False):
    """Return the problems of the document with one value replaced, its content key renewed."""
    changed = copy.deepcopy(document)
    target = changed
    for part in place[:-1]:
        target = target[part]
    target[place[-1]] = value
    if not keep_id:
        changed["identity"]["id"] = content_id(changed)
    return validate_document(changed)[1]


def test_valid_record_round_trips(document):
    record, problems = validate_bytes(json.dumps(document).encode())
    assert problems == []
    assert record == Record.model_validate(document)
    assert record.document() == document


WRONG = [
    (("format",), "nharness-record/9", "/format", "expected 'nharness-record/2'"),
    (("languages",), ["en", "zh", "zh"], "/languages/2", "more than once"),
    (("languages", 1), "zho", "/languages/1", "should be written 'zh'"),
    (("identity", "created"), "2026-13-01T00:00:00Z", "/identity/created", "no date"),
    (("model", "layer_widths"), [64, 65], "/neurons/total", "add up to 129"),
    (("neurons", "per_language", "zh"), 1, "/neurons/layers/languages/zh", "the count is 1"),
    (("corpus", "overlap", 0, "language"), "budget", "/corpus/overlap/0/language", "no language of the record"),
    (("neurons", "overlap", 0, 1), 0.5, "/neurons/overlap/1/0", "the same both ways"),
    (("neurons", "kinds_selected", "related"), 3, "/neurons/kinds_selected", "do not add up"),
    (("targets", 0, "neurons"), 100, "/targets/0/neurons", "more neurons than language"),
    (("cells", 0, "change"), 2.0, "/cells/0/change", "edited - baseline"),
    (("cells", 0, "interval"), [1.0, -1.0], "/cells/0/interval", "lower end is above"),
    (("cells", 3, "edited_activations"), 0, "/cells/3/edited_activations", "nothing was edited"),
    (("cells", 0, "items"), 31, "/cells/0/items", "31 items used, 30 available"),
    (("cells", 0, "language"), "de", "/cells/0", "no such combination"),
    (("cells", 0, "status"), "failed", "/cells/0/reason", "needs a reason"),
    (("cells", 0, "q"), 1.5, "/cells/0/q", "less than or equal to 1"),
    (("cells", 0, "p"), "0.5", "/cells/0/p", "expected a number, got '0.5'"),
    (("cells", 0, "control", "worse"), 3, "/cells/0/control/worse", "3 of 2 draws"),
    (("cells", 0, "control", "q"), 0.0, "/cells/0/control/q", "below p"),
    (("cells", 0, "control", "draws"), 7, "/cells/0/control/draws", "2 are listed"),
    (("cells", 0, "control", "mean"), 7.0, "/cells/0/control/mean", "that of the draws"),
    (("controls", "draws", 0, "neurons"), 99, "/controls/draws/0/neurons", "random neurons for a target of"),
    (("controls", "draws", 1, "draw"), 0, "/controls/draws/1", "listed twice"),
    (("summary", 0, "selectivity", "value"), 9.0, "/summary/0/selectivity/value", "on - off"),
    (("summary", 0, "rows", 1, "language"), "fr", "/summary/0/rows/1/language", "that of the target is zh"),
    (("summary", 0, "rows", 1, "largest"), "de", "/summary/0/rows/1/largest", "not measured in language de"),
    (("summary", 0, "diagonal_share"), 0.25, "/summary/0/diagonal_share", "that of the rows"),
    (("analysis", "confidence"), 1.0, "/analysis/confidence", "between 0 and 1"),
    (("detector", "name"), "a b", "/detector/name", "match pattern"),
    (("surprise",), 1, "/surprise", "no field of this name"),
    (("cost",), None, "/cost", "expected an object, got null"),
]


@pytest.mark.parametrize(("place", "value", "pointer", "words"), WRONG, ids=[str(w[0]) for w in WRONG])
def test_damage_is_found_at_its_place(document, place, value, pointer, words):
    found = problems_after(document, place, value)
    assert any(p.pointer == pointer and words in p.message for p in found), found


def test_all_problems_are_reported_at_once(document):
    changed = copy.deepcopy(document)
    changed["cells"][0]["change"] = changed["cells"][3]["change"] = 5.0
    del changed["baseline"][0]
    pointers = {p.pointer for p in validate_document(changed)[1]}
    assert {"/identity/id", "/cells/0/change", "/cells/3/change", "/baseline"} <= pointers


@pytest.mark.parametrize("name", ["cells", "baseline", "summary"])
def test_nothing_is_dropped_silently(document, name):
    found = problems_after(document, (name,), document[name][:-1])
    assert any(p.pointer == f"/{name}" for p in found), found


def test_a_dropped_control_comparison_is_found(document):
    assert any("dropped" in p.message for p in problems_after(document, ("cells", 0, "control"), None))


def test_changed_content_changes_the_key(document):
    found = problems_after(document, ("detector", "version"), "2", keep_id=True)
    assert [p.pointer for p in found] == ["/identity/id"]


def test_cost_and_machine_do_not_change_the_key(document):
    record = Record.model_validate(document)
    other = record.model_copy(update={"cost": record.cost.model_copy(update={"cells_computed": 1})})
    assert content_id(other.document()) == content_id(document)
    assert configuration_key(other) == configuration_key(record)


TEXTS = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff\xfe", "not UTF-8"),
    (b"[1, 2]", "expected an object"),
    (b"null", "expected an object"),
    (b"[" * 100_000, f"more than {MAX_DEPTH} levels deep"),
    (b'{"a":' * 100_000, f"more than {MAX_DEPTH} levels deep"),
    (b'{"format": NaN}', "NaN"),
    (b'{"format": 1' + b"0" * 5000 + b"}", "not JSON that can be read"),
    (b'{"format": "nharness-record/2", "format": 1}', "more than once"),
    (b'{"x": "' + b"\\" * 1_000_001, "not JSON"),
    (
        b"{" + b",".join(b'"%d":1' % i for i in range(200_000)) + b',"0":1}',
        "more than once",
    ),  # in no more than linear time
]


@pytest.mark.parametrize(("text", "words"), TEXTS, ids=range(len(TEXTS)))
def test_text_that_is_no_record(text, words):
    record, problems = validate_bytes(text)
    assert record is None
    assert any(words in p.message for p in problems), problems


def test_brackets_inside_strings_are_not_depth(document):
    assert problems_after(document, ("detector", "options"), {"text": "[" * 500 + '\\"{'}) == []


def test_an_oversized_file_is_not_read(tmp_path):
    path = tmp_path / "record.json"
    with path.open("wb") as handle:
        handle.truncate(10**10)
    assert "at most" in validate_file(path)[1][0].message


def test_files_beside_the_record(tmp_path):
    items = tmp_path / "items.jsonl"
    items.write_bytes(b"{}\n")
    record = synthetic_record().model_copy(update={"files": (describe(tmp_path, items, "items"),)}).with_id()
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record.document()))
    assert validate_file(path)[1] == []
    items.write_bytes(b"{ }")
    assert "SHA-256 differs" in validate_file(path)[1][0].message
    items.write_bytes(b"longer")
    assert "has 6 bytes" in validate_file(path)[1][0].message
    items.unlink()
    assert "not beside the record" in validate_file(path)[1][0].message
    with pytest.raises(FileFormatError, match="not a valid record"):
        load_record(path, files=True)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../b", "a//b", ".hidden", "a\\b", "", "a/", "x" * 300, "a\n"]
)
def test_names_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(FileFormatError):
        inside(tmp_path, name)


def test_links_cannot_leave_the_folder(tmp_path):
    folder = tmp_path / "record"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(FileFormatError, match="is a link or passes through one"):
        inside(folder, "link")
    assert inside(folder, "a/b.json") == folder.resolve() / "a" / "b.json"
    assert sha256_of(tmp_path / "secret") == "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
