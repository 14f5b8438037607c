"""Chromium for the tests: the installed one, or Debian's package, installed on first use."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests import servers

# The browser fetches nothing of its own: every request is then one that the page makes.
OPTIONS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def running() -> Iterator[Browser]:
    """Yield a headless browser with a fresh profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_program(), args=[*OPTIONS], chromium_sandbox=False)
        try:
            yield browser
        finally:
            browser.close()


def _program() -> str:
    """Return the browser's program; fail the test if there is none and none can be installed."""
    with servers.alone():
        found = _installed()
        if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
                subprocess.run(["apt-get", *command], env=environment, check=False, capture_output=True, timeout=540)
            found = _installed()
    if found is None:
        pytest.fail("no Chromium, and apt-get could not install it: install the package chromium")
    return found


def _installed() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
