"""What a browser is shown of the device: its screen, or a terminal on it; to whom, and for how long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from playwright.sync_api import HttpCredentials, expect

from tests.e2e.support import runs
from tests.e2e.support.browser import DESK, opened, picture
from tests.e2e.support.clients import websocket
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.runs import INVENTORY

SERVICE, DEVICE = "vnc-rpi3", "rpi3"
GUEST = "guest"
# Seconds in which nobody may look any more who is no user any more.
ENDED = 60


def direct(platform: Platform, path: str) -> str:
    return f"http://localhost:{platform.published(SERVICE, 'http')}{path}"


@pytest.fixture
def stranger(platform: Platform) -> Iterator[requests.Session]:
    """Somebody whom the page has given no cookie yet, unlike the session that all tests share."""
    with requests.Session() as session:
        session.verify = str(platform.authority)
        session.trust_env = False
        yield session


@pytest.mark.parametrize("way", ["", SERVICE], ids=["traefik", "own port"])
def test_nobody_looks_without_a_login(platform: Platform, stranger: requests.Session, way: str) -> None:
    url = direct(platform, "") if way else platform.url("/vnc")
    for path in ("/", "/vnc.html", "/app/ui.js", "/websockify", "/terminal/vnc.html"):
        assert stranger.get(f"{url}{path}").status_code == 401, path
    path = "/websockify" if way else "/vnc/websockify"
    for login in (None, ("admin", "wrong"), ("", ""), (GUEST, platform.secret("vnc/web"))):
        with websocket(platform, path, login, direct=way) as refused:
            assert refused.status.split()[1] == "401", login
    for cookie in ("dockfra_vnc=", "dockfra_vnc=admin", f"dockfra_vnc={platform.secret('vnc/cookie')}"):
        with websocket(platform, path, cookie=cookie, direct=way) as refused:
            assert refused.status.split()[1] == "401", "a cookie that nobody was given"
    with websocket(platform, path, ("admin", platform.secret("vnc/web")), direct=way) as admitted:
        assert admitted.opened, admitted.status
        assert admitted.frame().startswith(b"RFB 003.")


def test_the_cookie_of_the_page_opens_it_too(platform: Platform, web: requests.Session) -> None:
    """Safari sends no password with a WebSocket."""
    with websocket(
        platform, "/vnc/websockify", cookie=given_cookie(platform, web, "admin", "vnc/web")
    ) as admitted:
        assert admitted.opened, admitted.status


def given_cookie(platform: Platform, web: requests.Session, user: str, secret: str) -> str:
    answer = web.get(platform.url("/vnc/vnc.html"), auth=(user, platform.secret(secret)))
    assert answer.status_code == 200
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_no_container_reaches_the_screens_port(platform: Platform) -> None:
    """It leaves the device through SSH alone, and the service through its web server."""
    names = [service.name for service in platform.topology.containers()]
    screen = platform.topology.services[DEVICE].port("vnc").number
    places = {(address, screen): name for name in (DEVICE, SERVICE) for address in platform.addresses(name)}
    assert len(places) >= 4
    for caller, reached in platform.reachable(names, places).items():
        assert not reached, f"{caller} reaches {[places[place] for place in reached]}"


@pytest.fixture
def declared(platform: Platform) -> Iterator[None]:
    """The service is as the inventory has it again."""
    yield
    runs.playbook("site.yml", "--limit", f"{SERVICE},{DEVICE}", name="screens-restored").ok()
    platform.wait_healthy(SERVICE, DEVICE)


@pytest.mark.slow
def test_who_is_taken_away_looks_no_longer(
    platform: Platform, web: requests.Session, stranger: requests.Session, declared: None
) -> None:
    users = json.dumps({"vnc_rpi3_users": {"admin": "vnc/web", GUEST: "vnc/guest"}})
    runs.playbook("site.yml", "--limit", SERVICE, "-e", users, name="screens-guest").ok()
    platform.wait_healthy(SERVICE)
    login, cookie = (GUEST, platform.secret("vnc/guest")), given_cookie(platform, web, GUEST, "vnc/guest")
    with websocket(platform, "/vnc/websockify", login) as looking:
        assert looking.frame().startswith(b"RFB 003.")
        runs.playbook("site.yml", "--limit", SERVICE, name="screens-taken").ok()
        assert looking.ends(ENDED), "a session of somebody who is no user any more goes on"
    platform.wait_healthy(SERVICE)
    assert stranger.get(platform.url("/vnc/"), auth=login).status_code == 401
    with websocket(platform, "/vnc/websockify", login) as refused:
        assert refused.status.split()[1] == "401"
    with websocket(platform, "/vnc/websockify", cookie=cookie) as refused:
        assert refused.status.split()[1] == "401"
    with websocket(platform, "/vnc/websockify", ("admin", platform.secret("vnc/web"))) as admitted:
        assert admitted.opened


@pytest.mark.slow
def test_a_device_without_a_screen_shows_a_terminal(
    platform: Platform, web: requests.Session, stranger: requests.Session, declared: None, tmp_path: Path
) -> None:
    overlay = tmp_path / "terminal.yml"
    hosts = {DEVICE: {"dockfra_ssh_tunnels": {}, "dockfra_ssh_logins": ["ssh-rpi3", "vnc-rpi3"]}}
    overlay.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    runs.playbook("site.yml", inventories=(INVENTORY, overlay), name="screens-terminal").ok()
    platform.wait_healthy(SERVICE)
    assert stranger.get(platform.url("/vnc/")).status_code == 401
    with websocket(platform, "/vnc/websockify") as refused:
        assert refused.status.split()[1] == "401"
    before = terminals(platform)
    credentials = HttpCredentials(username="admin", password=platform.secret("vnc/web"))
    with opened(platform) as browser:
        context = browser.new_context(viewport=DESK, http_credentials=credentials)
        page = context.new_page()
        page.goto(platform.url("/vnc/"))
        expect(page.locator("#state")).to_have_text("Connected.", timeout=20_000)
        shown = page.locator("#terminal")
        page.keyboard.type("id -un; hostname; stty size; echo $TERM\n")
        for said in (
            platform.topology.services[DEVICE].user,
            platform.topology.container_name(DEVICE),
            "110",
        ):
            expect(shown).to_contain_text(said, timeout=10_000)
        picture(page, "terminal")
        page.keyboard.type("exit\n")
        expect(page.locator("#state")).to_have_text("The session has ended.", timeout=10_000)
        page.locator("#again").click()
        expect(page.locator("#state")).to_have_text("Connected.", timeout=10_000)
        context.close()
    # Who closes the page leaves nothing behind on the device.
    eventually(lambda: terminals(platform) == before, "their terminals are gone", 20)

    def status() -> int:
        return web.get(platform.url("/vnc/"), auth=("admin", platform.secret("vnc/web"))).status_code

    with platform.stopped(DEVICE):
        eventually(lambda: status() == 503, "it says that the device is away", 40)
    eventually(lambda: status() == 200, "the terminal is back", 60)


def terminals(platform: Platform) -> int:
    """How many terminals there are on the device."""
    return int(platform.run(DEVICE, "sh", "-c", "ls /dev/pts | grep -c '^[0-9]'").stdout)
