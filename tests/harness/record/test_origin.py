"""Records of another source than that of the release they name are called modified, wherever they are shown."""

import json

import pytest

from nharness.cli.main import main
from nharness.record import origin as shown
from nharness.record.sources import NharnessSource, PluginSource, Source
from nharness_leaderboard.report import html_report
from synthetic_records import synthetic_record

TRUE, FALSE = "a" * 64, "b" * 64


def made_by(digest, *, version="1.2.3", modified=None, plugin=TRUE, distribution="nharness"):
    source = Source(
        nharness=NharnessSource(version=version, digest=digest, modified=modified),
        plugins=(PluginSource(distribution=distribution, version=version, digest=plugin),),
    )
    record = synthetic_record(languages=("en", "zh"), draws=2)
    return record.model_copy(update={"identity": record.identity.model_copy(update={"source": source})}).with_id()


@pytest.fixture(autouse=True)
def releases(monkeypatch):
    monkeypatch.setattr(shown, "released_digests", lambda: {"1.2.3": frozenset({TRUE})})


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (synthetic_record(languages=("en", "zh"), draws=2), "not stated"),
        (made_by(TRUE), "as released"),
        (made_by(FALSE), "modified"),
        (made_by(TRUE, plugin=FALSE), "modified"),
        (made_by(TRUE, plugin=FALSE, distribution="somebody-elses"), "as released"),
        (made_by(TRUE, modified=True), "modified"),
        (made_by(FALSE, version="1.2.4"), "not a release"),
        (made_by(FALSE, version="1.2.4", modified=True), "modified"),
    ],
)
def test_digests_are_held_against_those_of_the_releases(record, found):
    assert shown.origin(record) == found


def test_a_modified_record_says_so_on_its_page_and_in_validate(tmp_path, capsys):
    for name, digest in (("true", TRUE), ("false", FALSE)):
        record = made_by(digest)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(record.document()))
        assert main(["validate", "--no-files", str(path)]) == 0
        told = capsys.readouterr().out
        assert ("modified: made by nharness 1.2.3, source bbbbbbbbbbbb" in told) == (name == "false")
        assert ('class="badge modified"' in html_report(record)) == (name == "false")
        assert f"nharness 1.2.3, source {digest[:12]}" in html_report(record)
