"""The page in a real browser, through Traefik: on a desk and on a phone, full, empty and without its backend."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import (
    Browser,
    BrowserContext,
    HttpCredentials,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.e2e.support.clients import server_certificate_pin
from tests.e2e.support.platform import Platform
from tests.e2e.support.runs import REPORTS

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESK, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=320, height=640)
ALL_UP = re.compile(r"^\d+ of \d+ services asked, all up$")
SECTIONS = ("services", "deployments", "devices", "downloads")


@pytest.fixture(scope="module")
def browser(platform: Platform) -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    assert path, "no Chromium on this machine; run: sudo apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
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
                # This one server key is trusted, instead of putting the authority into a store of the machine.
                f"--ignore-certificate-errors-spki-list={server_certificate_pin(platform.state / 'tls/server.crt')}",
            ],
        )
        yield opened
        opened.close()


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


@pytest.fixture(params=["desk", "phone"])
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def view(platform: Platform, browser: Browser, size: str) -> Iterator[View]:
    context = browser.new_context(
        viewport=DESK if size == "desk" else PHONE, has_touch=size == "phone", locale="en-GB"
    )
    seen = View(platform, context)
    yield seen
    context.close()
    assert seen.foreign == [], "the page loads something from elsewhere"
    assert seen.errors == []


@pytest.fixture(scope="module")
def told(platform: Platform, web: requests.Session) -> str:
    """A deployment and a device that the page has to show; returns their common name."""
    name = f"shown-{uuid.uuid4().hex[:8]}"
    token = {"Authorization": f"Bearer {platform.secret('backend/api_token')}"}
    deployment = {"service": name, "version": "1.0.0", "status": "succeeded", "deployed_by": "end-to-end"}
    device = {"name": name, "kind": "edge", "architecture": "arm64", "version": "1.0.0"}
    assert web.post(platform.url("/api/deployments"), json=deployment, headers=token).status_code == 201
    assert web.post(platform.url("/api/devices"), json=device, headers=token).status_code == 201
    return name


def test_the_page_shows_everything(platform: Platform, view: View, told: str, size: str) -> None:
    page = view.open()
    expect(page.locator("#summary")).to_have_text(ALL_UP, timeout=15_000)
    # Which services the backend can ask follows from its networks: the page says how many of all that is (finding U5).
    answer = requests.get(platform.url("/api/status"), verify=str(platform.authority), timeout=10).json()
    assert answer["total"] == len(platform.topology.services)
    assert answer["asked"] == len({row["service"] for row in answer["services"]}) < answer["total"]
    expect(page.locator("#summary")).to_have_text(
        f"{answer['asked']} of {answer['total']} services asked, all up"
    )
    for service in ("db", "redis", "mobile-backend"):
        expect(page.locator("#services tbody tr", has_text=service).first).to_be_visible()
    expect(page.locator("#deployments tbody tr", has_text=told)).to_be_visible()
    expect(page.locator("#devices tbody tr", has_text=told)).to_be_visible()
    expect(page.locator("#downloads tbody tr")).to_have_count(2)
    expect(page.locator("#banner")).to_be_hidden()
    view.shot(f"page-{size}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than the screen"
    assert _readable(page), "text smaller than 12 pixels"
    with page.expect_download() as download:
        page.locator("#downloads a").first.click()
    assert download.value.failure() is None


def _readable(page: Page) -> bool:
    script = """[...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && e.innerText?.trim())
        .every(e => parseFloat(getComputedStyle(e).fontSize) >= 12)"""
    return bool(page.evaluate(script))


def test_an_empty_backend_shows_as_such(view: View, size: str) -> None:
    """What a platform answers in its first minute."""
    for path, answer in (
        (
            "**/api/status",
            '{"status": "ok", "cache": "miss", "checked_at": "2026-01-01T00:00:00Z", "services": [], "asked": 0, "total": 17}',
        ),
        ("**/api/deployments*", "[]"),
        ("**/api/devices*", "[]"),
        ("**/artifacts/manifest.json", '{"artifacts": []}'),
    ):
        view.page.route(
            path,
            lambda route, _request, body=answer: route.fulfill(body=body, content_type="application/json"),
        )
    page = view.open()
    expect(page.locator("#summary")).to_have_text("No services yet")
    for section in SECTIONS:
        expect(page.locator(f"#{section}")).to_contain_text("yet")
    expect(page.locator("#banner")).to_be_hidden()
    view.shot(f"page-empty-{size}")


@pytest.mark.parametrize(
    "size", ["desk"], indirect=True
)  # the same page; stopping the backend once is enough
def test_a_stopped_backend_shows_as_such_and_comes_back(platform: Platform, view: View, size: str) -> None:
    with platform.stopped("backend"):
        page = view.open()
        expect(page.locator("#summary")).to_have_text("Backend unavailable", timeout=15_000)
        expect(page.locator("#banner")).to_be_visible()
        for section in ("services", "deployments", "devices"):
            expect(page.locator(f"#{section}")).to_have_text("Not available right now.")
        # What does not need the backend is still there.
        expect(page.locator("#downloads tbody tr")).to_have_count(2)
        view.shot(f"page-no-backend-{size}")
    expect(page.locator("#summary")).to_have_text(ALL_UP, timeout=40_000)
    expect(page.locator("#services tbody tr", has_text="redis")).to_be_visible()


def test_the_desktop_appears_in_the_browser(platform: Platform, browser: Browser) -> None:
    """noVNC draws the device's screen; a failed connection would leave its dialog on the page."""
    login = HttpCredentials(username="admin", password=platform.secret("vnc/web"))
    context = browser.new_context(viewport=DESK, http_credentials=login)
    page = context.new_page()
    page.goto(platform.url("/vnc/"))
    canvas = page.locator("#noVNC_container canvas")
    expect(canvas).to_be_visible(timeout=20_000)
    colours = """() => { const c = document.querySelector('#noVNC_container canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const s = new Set();
        for (let i = 0; i < d.length; i += 400) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size; }"""
    page.wait_for_function(f"({colours})() > 2", timeout=20_000)
    expect(page.locator("#noVNC_transition")).to_be_hidden(timeout=20_000)
    folder: Path = REPORTS / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / "desktop-in-browser.png")
    context.close()
