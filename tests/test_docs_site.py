"""The documentation's site: builds without a warning, has a page for every method, and finds words by its search."""

import json
import logging
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from nharness.cli.main import COMMANDS
from nharness.plugins import Plugins

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    warned = []

    class Heard(logging.Handler):
        def emit(self, record):
            warned.append(record.getMessage())

    heard = Heard(logging.WARNING)
    logging.getLogger("mkdocs").addHandler(heard)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NO_MKDOCS_2_WARNING", "1")
            build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    finally:
        logging.getLogger("mkdocs").removeHandler(heard)
    assert warned == []
    return folder


def test_every_method_and_command_has_its_place(site):
    plugins = Plugins(extra=("nharness_detectors.plugin",), autoload=False)
    for kind in ("detectors", "interventions"):
        for name in plugins.entries(kind):
            page = (site / "methods" / kind / name / "index.html").read_text(encoding="utf-8")
            assert 'id="how-it-works"' in page, name
            for option in plugins.resolve(kind, name).Options.model_fields:
                assert f"<code>{option.rstrip('_')}" in page, (name, option)
    commands = (site / "reference" / "commands" / "index.html").read_text(encoding="utf-8")
    assert all(f'id="nharness-{name}"' in commands for name in COMMANDS)


def test_the_public_names_and_the_schema_are_told(site):
    import nharness
    from nharness.record.model import Record

    python = (site / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    assert all(f'id="{name.lower()}"' in python for name in nharness.__all__ if not name.startswith("_"))
    schema = (site / "reference" / "record" / "index.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in schema for name in Record.model_fields)


def test_the_search_finds_a_page(site):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert any("lape" in page["text"].lower() and page["location"].startswith("methods/") for page in index["docs"])


def test_nothing_is_fetched_from_elsewhere(site):
    for page in (site / "index.html", site / "tutorial" / "index.html"):
        text = page.read_text(encoding="utf-8")
        assert "fonts.googleapis" not in text
        assert 'src="http' not in text
