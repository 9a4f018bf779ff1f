"""The pictures of README and documentation, from the published records: `make pictures`.

A matrix as the report draws it, and the board's front page as a browser shows it, into docs/images.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from nharness.cli.main import main as nharness

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "leaderboard" / "results"
WIDTH, HEIGHT = 1180, 940


def main() -> int:
    """Draw both; return the first exit code that is not 0."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        record = next((RESULTS / "babel" / "lape").iterdir())
        code = nharness(["report", str(record), "--svg", str(place)]) or nharness(
            ["leaderboard", "build", "--results", str(RESULTS), "--out", str(place / "site")]
        )
        if code == 0:
            shutil.copy(place / "matrix-ppl.svg", IMAGES / "matrix.svg")
            front(place / "site" / "index.html", IMAGES / "board.png")
    return code


def front(page: Path, image: Path) -> None:
    """Write the top of a page as a picture."""
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--headless"])
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        shown.goto(page.as_uri())
        shown.screenshot(path=image)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
