"""The page in a real browser."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from .clients import server_certificate_pin
from .platform import Platform
from .runs import REPORTS

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESK, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=320, height=640)


@contextmanager
def opened(platform: Platform) -> Iterator[Browser]:
    """A browser that trusts the platform's proxy."""
    # This one server key is trusted, instead of putting the authority into a store of the machine.
    pin = server_certificate_pin(platform.state / "tls/server.crt")
    with started(f"--ignore-certificate-errors-spki-list={pin}") as browser:
        yield browser


@contextmanager
def started(*options: str) -> Iterator[Browser]:
    """A browser that keeps quiet, with these options."""
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    assert path, "no Chromium on this machine; run: sudo apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",  # there is none for root
                "--disable-dev-shm-usage",
                # The browser's own services stay quiet: whatever goes out is the page's doing.
                *(
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--no-first-run",
                ),
                "--no-proxy-server",
                *options,
            ],
        )
        yield browser
        browser.close()


class View:
    """A page in a browser of its own, with all that went wrong in it."""

    def __init__(self, platform: Platform, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.url = platform.url()
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(url)

    def open(self, path: str = "") -> Page:
        self.page.goto(self.url + path)
        expect(self.page.locator("#summary")).not_to_have_text("Loading…", timeout=15_000)
        return self.page

    def shot(self, name: str) -> None:
        folder = REPORTS / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"{name}.png", full_page=True)


def picture(page: Page, name: str) -> int:
    """Keep what a window shows for the guides, which tests/tools/pictures.py puts there; returns its bytes."""
    folder = REPORTS / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    session = page.context.new_cdp_session(page)
    found = session.send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    return (folder / f"{name}.webp").write_bytes(base64.b64decode(found["data"]))
