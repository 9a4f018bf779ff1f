"""Headless Chromium for the tests: where it is, how it is started, what a page may not do."""

import os
import shutil
from contextlib import contextmanager

import pytest

ARGS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium():
    """Return the path of the browser; in CI its absence is a failure, elsewhere the test is skipped with the reason."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        reason = "no Chromium is installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def launched():
    """Start a browser and stop it."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGS)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page that remembers what it should never do: errors, warnings, requests beyond the disk, dialogs."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**({"viewport": {"width": 1400, "height": 1000}} | options))
        self.page = self.context.new_page()
        self.page.set_default_timeout(240_000)
        self.wrong = []
        self.page.on(
            "console", lambda m: self.wrong.append(f"{m.type}: {m.text}") if m.type in {"error", "warning"} else None
        )
        self.page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._request)

    def _dialog(self, dialog):
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(f"request: {request.url}")

    def open(self, path, fragment=""):
        """Open a file and wait until its scripts have run, where it has any that say so."""
        self.page.goto(f"file://{path}{fragment}")
        overview = path.name in {"records.html", "compare.html"}
        if overview or path.parent.name == "records":
            self.page.wait_for_selector("html[data-ready]", state="attached")
        return self.page

    def close(self):
        """Close it and return what it did wrong."""
        self.context.close()
        return self.wrong


def slug(record):
    """Return a record's short name."""
    return record.identity.id[:12]


def address(page):
    """Return the address with its fragment, as the page itself sees it now."""
    return page.evaluate("location.href")
