"""The page in a real browser, through Traefik: on a desk and on a phone, full, empty and without its backend."""

from __future__ import annotations

import importlib.resources
import json
import re
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import requests
from playwright.sync_api import (
    Browser,
    HttpCredentials,
    Locator,
    Page,
    Response,
    ViewportSize,
    expect,
)

from tests.e2e.support.browser import DESK, PHONE, View, opened, picture
from tests.e2e.support.platform import Platform

ALL_UP = re.compile(r"^\d+ of \d+ services asked, all up$")
SECTIONS = ("services", "deployments", "devices", "downloads")
WELL = "Nothing needs attention."
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MOST_BYTES = 60_000
EMPTY: dict[str, Any] = {
    "status": "ok",
    "cache": "miss",
    "checked_at": "2026-01-01T00:00:00Z",
    "services": [],
    "asked": 0,
    "total": 17,
    "answered_by": {"service": "backend", "since": "2026-01-01T00:00:00Z"},
    "stacks": [],
}
RELEASES = "20261125T131500Z-0123456789ab", "20261126T131500Z-fedcba987654"
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


def made_up(view: View, path: str, answer: object, status: int = 200, release: str = "") -> None:
    """Let the platform answer so to the page."""
    body, headers = json.dumps(answer), {"content-type": "application/json"}
    if release:
        headers["x-release"] = release
    view.page.route(
        f"**{path}",
        lambda route: route.fulfill(status=status, body=body, headers=headers),
    )


def ago(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() - seconds, UTC).isoformat()


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
    made_up(view, "/api/status", EMPTY)
    made_up(view, "/api/history", {"until": None, "step": 900, "services": []})
    made_up(view, "/api/deployments*", [])
    made_up(view, "/api/devices*", [])
    made_up(view, "/artifacts/manifest.json", {"artifacts": []})
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
    # What the backend does not reach is as the monitor saw it, once that has told.
    history = page.evaluate("fetch('/api/history').then(r => r.json())")
    seen = {past["service"]: past["parts"] for past in history["services"] if not past["parts"].endswith("-")}
    words = {"u": "up", "p": "at times", "d": "down"}
    for stack, members in stacks.items():
        group = groups.filter(has=page.locator("th[scope=rowgroup]", has_text=stack))
        for service in members:
            name = re.compile(rf"(?<![\w-]){service.name}(?![\w-])")
            told = page.locator("td:first-child > span, td:first-child > small", has_text=name)
            row = group.locator("tr").filter(has=told).first
            # The backend itself is up, as it answers; since when each of the others is, it has seen.
            known = service.name in asked or service.name == "backend"
            if known:
                expect(row).to_contain_text("up")
                expect(row.locator("time")).to_have_count(1)
            else:
                last = seen[service.name][-1] if service.name in seen else ""
                expect(row).to_contain_text(words.get(last, "not asked"))
            expect(row.locator("svg")).to_have_count(
                int(service.name in {p["service"] for p in history["services"]})
            )


def test_the_monitor_tells_how_the_services_were_and_nothing_else(
    platform: Platform, web: requests.Session
) -> None:
    deadline = time.monotonic() + 90
    while not (found := web.get(platform.url("/api/history")).json())["until"]:
        assert time.monotonic() < deadline, "the monitor's watch tells soon after its start"
        time.sleep(2)
    assert set(found) == {"until", "step", "services"}
    assert time.time() - datetime.fromisoformat(found["until"]).timestamp() < 600
    for past in found["services"]:
        assert set(past) == {"service", "parts"}
        assert past["service"] in platform.topology.services
        assert re.fullmatch("[upd-]{96}", past["parts"])
    refused = web.put(platform.url("/api/history"), json=found)
    assert refused.status_code == 401


def test_how_each_service_was_is_a_small_chart(platform: Platform, view: View, size: str) -> None:
    past = {
        "redis": "-" * 50 + "u" * 40 + "pddpuu",
        "ssh-manager": "u" * 96,
        "ssh-developer": "u" * 93 + "pdd",
        "gone": "d" * 96,
    }
    told = [{"service": name, "parts": parts} for name, parts in past.items()]
    made_up(view, "/api/history", {"until": ago(60), "step": 900, "services": told})
    page = view.open()

    def row(name: str) -> Locator:
        first = page.locator("td:first-child > span", has_text=re.compile(f"^{name}$"))
        return page.locator("#services tbody tr").filter(has=first)

    chart = row("redis").get_by_role("img")
    expect(chart).to_have_accessible_name(
        "Last 24 h: did not work for 30 min, worked at times for 30 min, not looked at for 12 h 30 min"
    )
    # Where the colour is not seen, the height is.
    heights = [rect.get_attribute("height") for rect in chart.locator("rect").all()]
    assert heights == ["100", "60", "25", "60", "100"]
    assert chart.bounding_box() is not None
    expect(row("ssh-manager").get_by_role("img")).to_have_accessible_name("Last 24 h: worked all the time")
    expect(row("ssh-manager")).to_contain_text("24 h or more")
    expect(row("ssh-developer")).to_contain_text("down")
    expect(page.locator("#attention")).to_have_text(
        re.compile("^ssh-developer is down.*as the monitor saw it")
    )
    expect(page.locator("#summary")).to_have_text(re.compile("1 down$"))
    expect(page.locator("#services")).not_to_contain_text("gone")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than the screen"
    assert _readable(page), "text smaller than 12 pixels"
    view.shot(f"page-history-{size}")


@pytest.mark.parametrize("size", ["desk"], indirect=True)
@pytest.mark.parametrize("status", [404, 500])
def test_an_application_without_a_history_is_no_alarm(view: View, size: str, status: int) -> None:
    made_up(view, "/api/history", {"detail": "Not Found"}, status)
    page = view.open()
    expect(page.locator("#summary")).to_have_text(ALL_UP, timeout=15_000)
    expect(page.locator("#attention")).to_have_text(WELL)
    expect(page.locator("#services svg")).to_have_count(0)
    expect(page.locator("#services thead")).not_to_contain_text("24 hours")


@pytest.mark.parametrize("size", ["desk"], indirect=True)
def test_a_monitor_that_tells_nothing_any_more_is_told(view: View, size: str) -> None:
    told = [{"service": "ssh-manager", "parts": "u" * 96}]
    made_up(view, "/api/history", {"until": ago(3 * 900 + 60), "step": 900, "services": told})
    page = view.open()
    expect(page.locator("#attention .waits")).to_contain_text("The monitor is silent")
    row = page.locator("#services tbody tr", has_text="ssh-manager")
    expect(row.get_by_role("img")).to_have_accessible_name("Last 24 h: not looked at for 45 min")
    expect(row).to_contain_text("not asked")


def test_devices_say_how_they_are_and_which_of_them_are_behind_or_silent(view: View, size: str) -> None:
    old, new = RELEASES

    def device(name: str, **changes: Any) -> dict[str, Any]:
        system = {"release": new, "uptime": 187_000, "disk_used": 37, "temperature": 48.5}
        given = {"id": name, "name": name, "kind": "edge", "architecture": "aarch64", "address": None}
        return {**given, "version": "1.0.0", "last_seen": ago(20), **system, **changes}

    none = {"release": "", "uptime": None, "disk_used": None, "temperature": None, "last_seen": ago(9000)}
    devices = [
        device("well"),
        device("late", release=old),
        device("off", release=old, last_seen=ago(600)),
        device("long-gone", last_seen=ago(8 * 86400)),
        device("recorded", **none),
        device("phone", kind="mobile", **{**none, "release": old}),
    ]
    made_up(view, "/api/devices*", devices)
    downloads = {"artifacts": [{"name": "dockfra-status", "sha256": "0" * 64, "size": 1}]}
    made_up(view, "/artifacts/manifest.json", downloads, release=new)
    page = view.open()
    rows = {str(found["name"]): page.locator("#devices tbody tr").nth(n) for n, found in enumerate(devices)}
    for text in ("fedcba987654", "version 1.0.0", "just now", "2\u00a0d", "37\u00a0%", "49\u00a0°C"):
        expect(rows["well"]).to_contain_text(text)
    told = {name: row.locator(".pill").all_text_contents() for name, row in rows.items()}
    assert {name: texts for name, texts in told.items() if texts} == {
        "late": ["behind"],
        "off": ["silent"],
        "long-gone": ["silent"],
    }
    items = page.locator("#attention li")
    expect(items).to_have_count(2)
    expect(items.nth(0)).to_contain_text("late is behind")
    expect(items.nth(0)).to_contain_text("it runs 0123456789ab, and fedcba987654 is there for it")
    expect(items.nth(1)).to_contain_text("off is silent")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than the screen"
    assert _readable(page), "text smaller than 12 pixels"
    view.shot(f"page-devices-{size}")


def test_a_deploy_that_is_under_way_shows_as_such(view: View, told: str, size: str) -> None:
    row = {
        "id": 1,
        "service": "backend",
        "version": RELEASES[1],
        "status": "started",
        "deployed_by": "monitor",
        "started_at": ago(12),
        "finished_at": None,
        "note": "",
        "services": ["backend", "mobile-backend"],
        "tickets": ["T-0014"],
        "seconds": None,
    }
    made_up(
        view, "/api/deployments*", [row, {**row, "id": 2, "service": "frontend", "started_at": ago(4000)}]
    )
    page = view.open()
    items = page.locator("#attention li.waits strong")
    expect(items).to_have_text(
        [
            f"Deployment of backend {RELEASES[1]} is under way",
            f"Deployment of frontend {RELEASES[1]} has not ended",
        ]
    )
    expect(page.locator("#deployments tbody tr").first).to_contain_text("under way")
    expect(page.locator("#summary")).to_have_text(ALL_UP)
    view.shot(f"page-deploy-{size}")


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
    for path in ("/", "/config.json", "/api", "/api/status", "/api/history", "/mobile/", "/artifacts/"):
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
    # Unpacked; what the backend says of the platform grows with that.
    loaded = [answer for url, answer in answers.items() if "/api/" not in url and answer.ok]
    assert sum(len(answer.body()) for answer in loaded) < MOST_BYTES


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


# The window of each picture in the guides, its colours, and which scene it shows.
PICTURES: dict[str, tuple[ViewportSize, Literal["light", "dark"], bool]] = {
    "page": (ViewportSize(width=1280, height=960), "light", False),
    "page-attention": (ViewportSize(width=1280, height=960), "dark", True),
    "page-phone": (ViewportSize(width=390, height=844), "light", True),
}
MOST_PICTURE = 100_000


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_of_the_guides(
    platform: Platform, web: requests.Session, browser: Browser, name: str
) -> None:
    """The platform of the tests, with a past, deploys and devices as they are where people work."""
    window, scheme, busy = PICTURES[name]
    context = browser.new_context(viewport=window, color_scheme=scheme, locale="en-GB")
    view = View(platform, context)
    try:
        stacks = web.get(platform.url("/api/status")).json()["stacks"]
        services = [member["name"] for stack in stacks for member in stack["services"]]
        _picture_past(view, services)
        _picture_deploys(view, busy)
        _picture_devices(view, busy)
        page = view.open()
        expect(page.locator("#services svg")).to_have_count(len(services), timeout=15_000)
        expect(page.locator("#downloads tbody tr")).to_have_count(1)
        expect(page.locator("#attention li")).to_have_count(2 if busy else 0)
        size = picture(page, name)
        assert 10_000 < size < MOST_PICTURE
    finally:
        context.close()


def _picture_past(view: View, services: list[str]) -> None:
    parts = dict.fromkeys(services, "u" * 96)
    parts |= {"backend": "u" * 41 + "pdp" + "u" * 52, "vnc-rpi3": "u" * 70 + "p" + "u" * 25}
    parts |= {"ssh-backend": "u" * 60 + "pdddddp" + "u" * 29, "ssh-monitor": "-" * 40 + "u" * 56}
    parts |= {"ssh-developer": "u" * 80 + "ppp" + "u" * 13}
    told = [{"service": name, "parts": parts[name]} for name in services]
    made_up(view, "/api/history", {"until": ago(60), "step": 900, "services": told})


def _picture_deploys(view: View, busy: bool) -> None:
    old, new = RELEASES

    def row(
        number: int, service: str, status: str, started: float, seconds: float, **more: Any
    ) -> dict[str, Any]:
        ended = None if status == "started" else ago(started - seconds)
        given = {"id": number, "service": service, "version": new, "status": status, "deployed_by": "monitor"}
        given |= {"started_at": ago(started), "finished_at": ended, "seconds": seconds if ended else None}
        return {**given, "note": "", "commit": "", "tickets": [], "services": [service], **more}

    both = ["backend", "mobile-backend"]
    rows = [
        row(3, "all", "succeeded", 5400, 14.2, tickets=["T-0012", "T-0013"], services=["frontend", *both]),
        row(2, "backend", "rolled_back", 25_000, 3.1, deployed_by="autopilot", version=old),
        row(1, "rpi3", "succeeded", 180_000, 41.0, services=["desktop-app", "rpi3"], version=old),
    ]
    if busy:
        release = "20261127T091500Z-5a6b7c8d9e0f"
        rows.insert(0, row(4, "backend", "started", 9, 0, version=release, tickets=["T-0014"], services=both))
    made_up(view, "/api/deployments*", rows)


def _picture_devices(view: View, busy: bool) -> None:
    old, new = RELEASES
    device = {"id": "1", "name": "rpi3", "kind": "edge", "architecture": "aarch64", "address": "rpi3"}
    device |= {"version": "1.0.0", "release": old if busy else new, "last_seen": ago(20)}
    made_up(view, "/api/devices*", [{**device, "uptime": 187_000, "disk_used": 37, "temperature": 48.5}])
    download = {"name": "dockfra-status-1.0.0-linux-aarch64", "sha256": "3b1f" * 16, "size": 8_412_345}
    made_up(view, "/artifacts/manifest.json", {"artifacts": [download]}, release=new)


def _hindrances(page: Page) -> list[str]:
    """What axe finds that keeps somebody from using the page, seriously or altogether, and where."""
    page.evaluate(importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 5, "axe has looked at nothing"
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {', '.join(node['html'][:120] for node in rule['nodes'])}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("scene", ["full", "trouble", "no-backend", "missing", "about"])
def test_axe_finds_nothing_serious(
    platform: Platform, browser: Browser, told: str, size: str, scheme: Literal["light", "dark"], scene: str
) -> None:
    # What axe is made of is no script of the page's.
    context = browser.new_context(
        viewport=DESK if size == "desk" else PHONE, color_scheme=scheme, locale="en-GB", bypass_csp=True
    )
    view = View(platform, context)
    try:
        if scene in ("missing", "about"):
            view.page.goto(platform.url("/nope" if scene == "missing" else "/mobile/"))
            expect(view.page.locator("h1")).to_be_visible()
        else:
            past = [
                {"service": name, "parts": "-" * 40 + "u" * 50 + end}
                for name, end in (("redis", "pdupuu"), ("ssh-manager", "upuddd"))
            ]
            if scene == "trouble":
                made_up(view, "/api/history", {"until": ago(60), "step": 900, "services": past})
            if scene == "no-backend":
                made_up(view, "/api/**", {}, 502)
            page = view.open()
            expect(page.locator("#attention")).not_to_have_text("Loading…")
        assert _hindrances(view.page) == []
    finally:
        context.close()


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
    assert picture(page, "desktop") < MOST_PICTURE
    context.close()
