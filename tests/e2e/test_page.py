"""The page in a real browser, through Traefik: on a desk and on a phone, full, empty and without its backend."""

from __future__ import annotations

import re
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import requests
from playwright.sync_api import (
    Browser,
    HttpCredentials,
    Page,
    Response,
    expect,
)

from tests.e2e.support.browser import DESK, PHONE, View, opened
from tests.e2e.support.platform import Platform
from tests.e2e.support.runs import REPORTS

ALL_UP = re.compile(r"^\d+ of \d+ services asked, all up$")
SECTIONS = ("services", "deployments", "devices", "downloads")
WELL = "Nothing needs attention."
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MOST_BYTES = 60_000
# What somebody may write as the first line of a commit.
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def browser(platform: Platform) -> Iterator[Browser]:
    with opened(platform) as browser:
        yield browser


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
    monitor = {"Authorization": f"Bearer {platform.secret('backend/deployments_token')}"}
    deployment = {
        "service": name,
        "version": "20261125T131500Z-0123456789ab",
        "status": "succeeded",
        "deployed_by": "<i>end-to-end</i>",
        "started_at": "2026-11-25T13:15:00Z",
        "finished_at": "2026-11-25T13:15:12.500Z",
        "services": ["backend", "mobile-backend"],
        "tickets": ["T-0001"],
        "note": HOSTILE,
    }
    device = {"name": name, "kind": "edge", "architecture": "arm64", "version": "1.0.0"}
    assert web.post(platform.url("/api/deployments"), json=deployment, headers=monitor).status_code == 201
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
    deployed = page.locator("#deployments tbody tr", has_text=told)
    expect(deployed).to_be_visible()
    for text in (
        "20261125T131500Z-0123456789ab",
        "backend · mobile-backend",
        "T-0001",
        "12.5",
        "<i>end-to-end</i>",
        HOSTILE,
    ):
        expect(deployed).to_contain_text(text)
    expect(deployed.locator("img, script, i")).to_have_count(0)
    assert page.title() != "owned"
    expect(page.locator("#devices tbody tr", has_text=told)).to_be_visible()
    expect(page.locator("#downloads tbody tr")).to_have_count(2)
    expect(page.locator("#attention")).to_have_text(WELL)
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
            '{"status": "ok", "cache": "miss", "checked_at": "2026-01-01T00:00:00Z", "services": [], "asked": 0, "total": 17, '
            '"answered_by": {"service": "backend", "since": "2026-01-01T00:00:00Z"}, "stacks": []}',
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
    expect(page.locator("#attention")).to_have_text(WELL)
    view.shot(f"page-empty-{size}")


@pytest.mark.parametrize(
    "size", ["desk"], indirect=True
)  # the same page; stopping the backend once is enough
def test_a_stopped_backend_shows_as_such_and_comes_back(platform: Platform, view: View, size: str) -> None:
    with platform.stopped("backend"):
        page = view.open()
        expect(page.locator("#summary")).to_have_text("Backend unavailable", timeout=15_000)
        expect(page.locator("#attention")).to_contain_text("No answer for: What runs, Deployed last, Devices")
        for section in ("services", "deployments", "devices"):
            expect(page.locator(f"#{section}")).to_have_text("Not available right now.")
        # What does not need the backend is still there.
        expect(page.locator("#downloads tbody tr")).to_have_count(2)
        expect(page.locator("#access code")).to_have_count(len(platform.topology.role_logins()))
        view.shot(f"page-no-backend-{size}")
    expect(page.locator("#summary")).to_have_text(ALL_UP, timeout=40_000)
    expect(page.locator("#services tbody tr", has_text="redis")).to_be_visible()
    expect(page.locator("#attention")).to_have_text(WELL, timeout=40_000)


def test_finding_u14_every_service_stands_in_its_stack_with_since_when(
    platform: Platform, view: View, size: str
) -> None:
    page = view.open()
    expect(page.locator("#summary")).to_have_text(ALL_UP, timeout=15_000)
    groups = page.locator("#services tbody")
    stacks = platform.topology.stacks()
    expect(groups).to_have_count(len(stacks))
    asked = {row["service"] for row in page.evaluate("fetch('/api/status').then(r => r.json())")["services"]}
    for stack, members in stacks.items():
        group = groups.filter(has=page.locator("th[scope=rowgroup]", has_text=stack))
        for service in members:
            name = re.compile(rf"(?<![\w-]){service.name}(?![\w-])")
            told = page.locator("td:first-child > span, td:first-child > small", has_text=name)
            row = group.locator("tr").filter(has=told).first
            # The backend itself is up, as it answers; since when each of the others is, it has seen.
            known = service.name in asked or service.name == "backend"
            expect(row).to_contain_text("up" if known else "not asked")
            expect(row.locator("time")).to_have_count(int(known))


def test_finding_u14_the_lines_to_get_in_work_as_they_are_copied(
    platform: Platform, view: View, size: str
) -> None:
    page = view.open()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    logins = platform.topology.role_logins()
    assert [login.role for login in logins] == platform.topology.roles()
    for login in logins:
        # By keyboard alone.
        page.get_by_role("button", name=f"Copy the line for {login.role}").focus()
        page.keyboard.press("Enter")
        line = f"ssh -p {login.port} {login.user}@localhost"
        expect(page.locator("#told")).to_have_text(f"Copied: {line}")
        assert page.evaluate("navigator.clipboard.readText()") == line
        program, *words = shlex.split(line)
        options = (
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={platform.state / 'known_hosts'}",
        )
        given = ["-F", "none", "-i", str(platform.key(login.role)), *(f"-o{option}" for option in options)]
        done = subprocess.run(
            [program, *given, *words, "whoami"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (0, f"{login.user}\n"), done.stderr
    expect(page.locator("#access")).to_contain_text("answer on the platform\u2019s own machine only")


def test_finding_u14_the_page_tells_nobody_more_than_user_and_port(
    platform: Platform, web: requests.Session
) -> None:
    told = web.get(platform.url("/config.json")).json()
    assert set(told) == {"title", "refresh_seconds", "links", "logins"}
    for login in told["logins"]:
        assert set(login) == {"role", "description", "user", "port", "local_only"}
    status = web.get(platform.url("/api/status")).json()
    members = [member for stack in status["stacks"] for member in stack["services"]]
    assert {key for member in members for key in member} == {"name", "description"}
    assert {member["name"] for member in members} == set(platform.topology.services)
    files = [path for path in (platform.state / "secrets").rglob("*") if path.is_file()]
    secrets = {file.read_text().strip() for file in files} - {""}
    assert len(secrets) > 5
    for path in ("/", "/config.json", "/api", "/api/status", "/mobile/", "/artifacts/"):
        text = web.get(platform.url(path)).text
        assert not [secret for secret in secrets if secret in text], path
        assert str(platform.state) not in text, path


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/nope", 404, "There is nothing here"),
        ("/nope/", 404, "There is nothing here"),
        ("/api", 200, "Dockfra backend"),
        ("/api/", 200, "Dockfra backend"),
        ("/mobile", 200, "Dockfra mobile backend"),
        ("/mobile/", 200, "Dockfra mobile backend"),
        ("/artifacts/", 200, "Downloads"),
    ],
)
def test_finding_u14_people_find_a_page_wherever_they_come(
    platform: Platform, web: requests.Session, path: str, status: int, word: str
) -> None:
    answer = web.get(platform.url(path), headers=BROWSER, allow_redirects=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert f"<h1>{word}</h1>" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "name"), [("/api", "dockfra-backend"), ("/mobile/", "dockfra-mobile-backend")]
)
def test_finding_u14_programs_find_data_there(
    platform: Platform, web: requests.Session, path: str, name: str
) -> None:
    told = web.get(platform.url(path), headers={"Accept": "application/json"}).json()
    assert told["name"] == name
    assert told["links"]
    for place in told["links"].values():
        assert web.get(platform.url(place)).status_code == 200, place


def test_finding_u14_browsers_find_an_icon(platform: Platform, web: requests.Session) -> None:
    icon = web.get(platform.url("/favicon.ico"))
    assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/x-icon")
    assert icon.content.startswith(b"\0\0\1\0")


@pytest.mark.parametrize("size", ["phone"], indirect=True)
def test_finding_u14_a_stopped_service_needs_attention_and_has_a_page(
    platform: Platform, web: requests.Session, view: View, size: str
) -> None:
    page = view.open()
    expect(page.locator("#attention")).to_have_text(WELL, timeout=15_000)
    with platform.stopped("mobile-backend"):
        answer = web.get(platform.url("/mobile/"), headers=BROWSER)
        assert answer.status_code in (502, 504)
        assert "This part of the platform does not answer" in answer.text
        expect(page.locator("#attention")).to_contain_text("mobile-backend is down", timeout=40_000)
        expect(page.locator("#summary")).to_have_text(re.compile("services asked, 1 down$"))
        expect(page.locator("#services tbody tr", has_text="mobile-backend")).to_contain_text("down")
        view.shot("page-attention-phone")
    expect(page.locator("#attention")).to_have_text(WELL, timeout=60_000)
    platform.wait_healthy("mobile-backend")


def test_finding_u14_all_that_the_page_loads_is_little(view: View, size: str) -> None:
    answers: dict[str, Response] = {}
    view.page.on("response", lambda answer: answers.update({answer.url: answer}))
    view.open().wait_for_load_state("networkidle")
    assert len(answers) > 8
    # Unpacked, and with what the platform says.
    assert sum(len(answer.body()) for answer in answers.values() if answer.ok) < MOST_BYTES


# The least contrast of a visible text with what is behind it, and that text.
_CONTRAST = r"""() => {
  const luminance = (colour) => {
    const [r, g, b] = colour.map((part) => part / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parts = (text) => text.match(/[\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parts(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const own = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  return [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility() && own(node)).map((node) => {
    const [a, b] = [luminance(parts(getComputedStyle(node).color).slice(0, 3)), luminance(behind(node))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), node.textContent.trim().slice(0, 40)];
  }).sort((a, b) => a[0] - b[0])[0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_finding_u14_all_text_stands_out_by_day_and_in_the_dark(
    view: View, told: str, size: str, scheme: Literal["light", "dark"]
) -> None:
    view.page.emulate_media(color_scheme=scheme)
    page = view.open()
    expect(page.locator("#deployments tbody tr", has_text=told)).to_be_visible()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    darkness = sum(map(int, re.findall(r"\d+", background)))
    assert (darkness < 150) == (scheme == "dark"), background
    least, text = page.evaluate(_CONTRAST)
    assert least >= 4.5, text
    view.shot(f"page-{scheme}-{size}")


@pytest.mark.parametrize("size", ["desk"], indirect=True)
def test_finding_u14_a_keyboard_reaches_everything_and_keeps_its_place(view: View, size: str) -> None:
    page = view.open()
    expect(page.locator("#summary")).to_have_text(ALL_UP, timeout=15_000)
    wanted = page.locator("a[href], button, input").count()
    reached = set()
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML"))
    assert len([text for text in reached if re.match("<(a|button|input) ", text)]) == wanted
    # A refresh takes the focus from nothing.
    link = page.locator("#downloads a").first
    link.focus()
    before = page.locator("#updated").text_content() or ""
    expect(page.locator("#updated")).not_to_have_text(before, timeout=30_000)
    expect(link).to_be_focused()


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
