"""What the services do for those who use them, asked as they are used: through the published ports."""

from __future__ import annotations

import hashlib
import itertools
import json
import platform as machine
import stat
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from tests.e2e.support.clients import Redis, RedisRefusedError, redis, sql, websocket_greeting
from tests.e2e.support.platform import LOCALHOST, Platform

# Traefik ----------------------------------------------------------------------------------------------------------


def test_http_leads_to_the_published_https_port(platform: Platform, web: requests.Session) -> None:
    number = platform.published("traefik", "http")
    answer = web.get(f"http://localhost:{number}/artifacts/?a=b", allow_redirects=False)
    assert answer.status_code in (302, 307)
    assert answer.headers["Location"] == platform.url("/artifacts/?a=b")


@pytest.mark.parametrize("host", ["localhost", LOCALHOST])
def test_tls_is_verified_by_the_platforms_own_authority(
    platform: Platform, web: requests.Session, host: str
) -> None:
    url = platform.url().replace("localhost", host)
    assert web.get(url).status_code == 200
    with requests.Session() as stranger:
        stranger.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            stranger.get(url)


def test_the_dashboard_asks_for_its_password(platform: Platform, web: requests.Session) -> None:
    url = f"http://localhost:{platform.published('traefik', 'http-dashboard')}"
    for path in ("/", "/dashboard/", "/api/rawdata"):
        assert web.get(url + path, allow_redirects=False).status_code == 401, path
        assert web.get(url + path, auth=("admin", "wrong"), allow_redirects=False).status_code == 401, path
    login = ("admin", platform.secret("traefik/dashboard"))
    assert web.get(f"{url}/", auth=login).status_code == 200
    routers = web.get(f"{url}/api/http/routers", auth=login).json()
    assert {"frontend", "backend"} <= {router["service"] for router in routers}
    assert {router["status"] for router in routers} == {"enabled"}


def test_every_declared_route_leads_to_its_service(platform: Platform, web: requests.Session) -> None:
    routes = {
        route["path"]: service.name
        for service in platform.topology.services.values()
        for route in service.variables.get("dockfra_routes") or ()
    }
    # What tells the service behind a path: where, the expected status, and a word of the answer.
    telling = {
        "/": ("/", 200, "<title>Dockfra</title>"),
        "/api": ("/api/info", 200, "dockfra-backend"),
        "/mobile": ("/mobile/config", 200, "poll_seconds"),
        "/artifacts": ("/artifacts/manifest.json", 200, "sha256"),
        "/vnc": ("/vnc/vnc.html", 401, ""),
    }
    assert set(routes) == set(telling)
    for path, status, word in telling.values():
        answer = web.get(platform.url(path), allow_redirects=False)
        assert answer.status_code == status, path
        assert word in answer.text, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert "Server" not in answer.headers or answer.headers["Server"] == "", path


# Behind each route, a path that its service answers with a page and one it would have to correct.
_PAGES = {
    "/": ["/", "/style.css", "/config.json"],
    "/api": ["/api", "/api/info", "/api/status", "/api/deployments", "/api/docs"],
    "/mobile": ["/mobile", "/mobile/config", "/mobile/health", "/mobile/openapi.json"],
    "/artifacts": ["/artifacts", "/artifacts/", "/artifacts/manifest.json"],
    "/vnc": ["/vnc", "/vnc/vnc.html", "/vnc/app", "/vnc/core", "/vnc/app/ui.js"],
}


@pytest.fixture
def desktop_login(platform: Platform) -> tuple[str, str]:
    return ("admin", platform.secret("vnc/web"))


def test_answers_lead_where_the_request_came_from_finding_w1(
    platform: Platform, web: requests.Session, desktop_login: tuple[str, str]
) -> None:
    redirected = []
    for prefix, pages in _PAGES.items():
        for page in pages:
            for method in ("GET", "HEAD", "POST"):
                for path in (page, f"{page.rstrip('/')}/"):
                    answer = web.request(
                        method, platform.url(path), auth=desktop_login, allow_redirects=False
                    )
                    assert answer.status_code < 500, (method, path)
                    if location := answer.headers.get("Location"):
                        whole = urljoin(platform.url(path), location)
                        assert whole.startswith(platform.url(prefix)), (method, path, location)
                        redirected.append(path)
    assert "/vnc/" in redirected, "no answer leads anywhere, so this test has seen nothing"


def test_head_answers_as_get_does_finding_w2(
    platform: Platform, web: requests.Session, desktop_login: tuple[str, str]
) -> None:
    for page in itertools.chain.from_iterable(_PAGES.values()):
        shown = web.get(platform.url(page), auth=desktop_login, allow_redirects=False)
        head = web.head(platform.url(page), auth=desktop_login, allow_redirects=False)
        assert (head.status_code, head.content) == (shown.status_code, b""), page
        assert head.headers.get("Content-Type") == shown.headers.get("Content-Type"), page


def test_an_etag_that_is_sent_is_understood_finding_w3(
    platform: Platform,
    web: requests.Session,
    desktop_login: tuple[str, str],
    manifest: list[dict[str, Any]],
) -> None:
    pages = [*itertools.chain.from_iterable(_PAGES.values()), *(entry["url"] for entry in manifest)]
    tagged = {}
    for page in pages:
        answer = web.get(platform.url(page), auth=desktop_login, allow_redirects=False)
        if tag := answer.headers.get("ETag"):
            tagged[page] = tag
    assert {"/", "/vnc/app/ui.js", *(entry["url"] for entry in manifest)} <= set(tagged)
    for page, tag in tagged.items():
        again = web.get(platform.url(page), auth=desktop_login, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b""), page


# Backend ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def token(platform: Platform) -> dict[str, str]:
    return {"Authorization": f"Bearer {platform.secret('backend/api_token')}"}


def test_backend_is_healthy(platform: Platform, web: requests.Session) -> None:
    answer = web.get(f"http://localhost:{platform.published('backend', 'http')}/health")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"database": "ok", "cache": "ok"}


def test_status_tells_of_the_services_and_is_cached(platform: Platform, web: requests.Session) -> None:
    first = web.get(platform.url("/api/status")).json()
    assert {"db", "redis", "mobile-backend"} <= {entry["service"] for entry in first["services"]}
    assert {entry["state"] for entry in first["services"]} == {"up"}
    assert first["status"] == "ok"
    second = web.get(platform.url("/api/status")).json()
    assert second["cache"] == "hit"


def test_api_documentation_needs_nothing_from_elsewhere(platform: Platform, web: requests.Session) -> None:
    page = web.get(platform.url("/api/docs"))
    assert page.status_code == 200
    assert "//cdn." not in page.text
    assert "/api/deployments" in web.get(platform.url("/api/openapi.json")).json()["paths"]


@pytest.fixture
def monitors(platform: Platform) -> dict[str, str]:
    return {"Authorization": f"Bearer {platform.secret('backend/deployments_token')}"}


def test_deployments_are_recorded_with_the_monitors_token_only(
    platform: Platform, web: requests.Session, token: dict[str, str], monitors: dict[str, str]
) -> None:
    url, body = (
        platform.url("/api/deployments"),
        {"service": "frontend", "version": "1.2.3", "deployed_by": "end-to-end"},
    )
    for headers in ({}, {"Authorization": "Bearer wrong"}, token):
        assert web.post(url, json=body, headers=headers).status_code == 401
    made = web.post(url, json=body, headers=monitors)
    assert made.status_code == 201
    number = made.json()["id"]
    ended = web.put(f"{url}/{number}", json={**body, "status": "succeeded"}, headers=monitors)
    assert (ended.status_code, ended.json()["status"]) == (200, "succeeded")
    assert number in [entry["id"] for entry in web.get(url).json()]
    assert web.post(url, json={**body, "service": ""}, headers=monitors).status_code == 422
    assert web.post(platform.url("/api/devices"), json=body, headers=monitors).status_code == 401
    code, rows, _complaint = sql(
        platform, "readonly", f"SELECT status FROM backend.deployments WHERE id = {int(number)}"
    )
    assert (code, rows) == (0, "succeeded")
    listed = web.get(url)
    assert web.get(url, headers={"If-None-Match": listed.headers["ETag"]}).status_code == 304


# What the deploys' playbooks do at their end, in the monitor's container.
ANNOUNCE = """
import sys
sys.path.insert(0, "/usr/local/lib/dockfra/python")
from ansible_collections.dockfra.core.plugins.module_utils.errors import AnnouncementError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import deployments
row = deployments.row(
    deploy_id={id!r}, target="backend", services=["backend", "mobile-backend"], commit="0" * 40,
    release="20261125T131500Z-000000000000", by="end-to-end", started=1795612500.0, seconds=12.5,
    result={result!r}, tickets=["T-0001"], note="Show <b>it</b>",
)
try:
    (deployments.announce if row["finished_at"] else deployments.announce_begin)(row)
except AnnouncementError as error:
    print("later:", error)
else:
    print("told,", len(list(deployments.KEPT.expanduser().glob("*"))), "left")
"""


def _announced(platform: Platform, name: str, result: str) -> str:
    text = ANNOUNCE.replace("{id!r}", repr(name)).replace("{result!r}", repr(result))
    done = platform.run("ssh-monitor", "python3", "-I", "-", text=text)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_deploy_is_listed_while_it_goes_on(platform: Platform, web: requests.Session) -> None:
    name = f"e2e-{uuid.uuid4().hex}"
    found = []
    for result in ("running", "deployed", "running", "failed"):
        assert _announced(platform, name, result) == "told, 0 left"
        rows = web.get(platform.url("/api/deployments?limit=200")).json()
        found += [(row["status"], row["seconds"]) for row in rows if row["deploy_id"] == name]
    assert found == [("started", None), ("succeeded", 12.5), ("succeeded", 12.5), ("succeeded", 12.5)]


def test_the_monitor_tells_of_a_deploy_now_or_once_the_backend_is_back(
    platform: Platform, web: requests.Session
) -> None:
    def announced(name: str) -> str:
        return _announced(platform, name, "deployed")

    def listed() -> list[str]:
        rows = web.get(platform.url("/api/deployments?limit=200")).json()
        return [row["deploy_id"] for row in rows if row["deploy_id"] in names]

    names = [f"e2e-{uuid.uuid4().hex}" for _ in range(2)]
    with platform.stopped("backend"):
        assert announced(names[0]).startswith("later: backend was not told of 1 deploy")
    platform.wait_answering("backend")
    assert [announced(names[1]) for _ in range(2)] == ["told, 0 left"] * 2
    assert sorted(listed()) == sorted(names)
    [row] = [
        row
        for row in web.get(platform.url("/api/deployments?limit=200")).json()
        if row["deploy_id"] == names[0]
    ]
    assert (row["services"], row["seconds"], row["tickets"]) == (
        ["backend", "mobile-backend"],
        12.5,
        ["T-0001"],
    )
    assert (row["status"], row["note"]) == ("succeeded", "Show <b>it</b>")


def test_only_monitor_and_backend_have_the_token_for_deployments(
    platform: Platform, monitors: dict[str, str]
) -> None:
    token = monitors["Authorization"].removeprefix("Bearer ")
    having = [
        name
        for name in platform.names
        if platform.run(name, "grep", "-rqsF", token, "/etc/dockfra").returncode == 0
    ]
    assert sorted(having) == ["backend", "ssh-monitor"]


def test_devices_are_registered_with_the_token_only(
    platform: Platform, web: requests.Session, token: dict[str, str]
) -> None:
    url, name = platform.url("/api/devices"), f"device-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "kind": "edge", "architecture": "arm64", "version": "1"}
    assert web.post(url, json=body).status_code == 401
    assert web.post(url, json=body, headers=token).status_code == 201
    assert web.post(url, json=body, headers=token).status_code == 409
    assert name in [entry["name"] for entry in web.get(url).json()]


# Mobile backend and database --------------------------------------------------------------------------------------


def test_a_phone_registers_and_its_events_persist(platform: Platform, web: requests.Session) -> None:
    name = f"phone-{uuid.uuid4().hex[:8]}"
    registered = web.post(
        platform.url("/mobile/device/register"),
        json={"installation_id": str(uuid.uuid4()), "name": name, "platform": "android", "version": "1.0"},
    )
    assert registered.status_code == 201
    batch = {
        "events": [{"id": "e1", "type": "opened", "at": "2026-01-01T00:00:00Z", "data": {"screen": "start"}}]
    }
    url = platform.url("/mobile/sync")
    assert web.post(url, json=batch).status_code == 401
    synced = web.post(url, json=batch, headers={"Authorization": f"Bearer {registered.json()['token']}"})
    assert (synced.status_code, synced.json()["acknowledged"]) == (200, ["e1"])

    query = (
        f"SELECT type FROM mobile.events JOIN mobile.devices d ON d.id = device_id WHERE d.name = '{name}'"
    )
    assert sql(platform, "readonly", query)[:2] == (0, "opened")
    assert name in [
        entry["name"] for entry in web.get(platform.url("/api/devices"), params={"limit": 200}).json()
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO mobile.devices (name) VALUES ('intruder')",
        "UPDATE backend.deployments SET version = '0'",
        "DELETE FROM mobile.events",
        "DROP TABLE mobile.events",
        "CREATE TABLE backend.mine (a int)",
        "CREATE TABLE public.mine (a int)",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY mobile.devices TO PROGRAM 'id'",
        "ALTER ROLE backend SUPERUSER",
        "SET ROLE postgres",
    ],
)
def test_the_read_only_user_cannot_write(platform: Platform, statement: str) -> None:
    assert sql(platform, "readonly", "SELECT 1")[:2] == (0, "1")
    code, _rows, complaint = sql(platform, "readonly", statement)
    assert code != 0
    assert "permission denied" in complaint or "must be" in complaint or "read-only" in complaint, complaint


def test_applications_keep_to_their_own_schema(platform: Platform) -> None:
    code, _rows, complaint = sql(platform, "mobile", "SELECT * FROM backend.deployments")
    assert (code != 0, "permission denied" in complaint) == (True, True)
    code, _rows, complaint = sql(platform, "backend", "DELETE FROM mobile.events")
    assert (code != 0, "permission denied" in complaint) == (True, True)


# Redis ------------------------------------------------------------------------------------------------------------


def test_redis_users_keep_to_their_own_keys(platform: Platform) -> None:
    with (
        redis(platform, "backend") as backend,
        redis(platform, "mobile") as mobile,
        redis(platform, "readonly") as reader,
    ):
        assert backend("SET", "backend:e2e", "1", "EX", "60") == "OK"
        assert reader("GET", "backend:e2e") == "1"
        for client, command in (
            (mobile, ("GET", "backend:e2e")),
            (mobile, ("SET", "backend:e2e", "2")),
            (backend, ("SET", "mobile:e2e", "2")),
            (reader, ("SET", "backend:e2e", "2")),
            (reader, ("DEL", "backend:e2e")),
            (backend, ("FLUSHALL",)),
            (backend, ("CONFIG", "GET", "*")),
            (mobile, ("ACL", "LIST")),
            (reader, ("KEYS", "*")),
        ):
            with pytest.raises(RedisRefusedError, match="NOPERM"):
                client(*command)
        assert reader("GET", "backend:e2e") == "1"


def test_redis_refuses_wrong_passwords_and_the_default_user(platform: Platform) -> None:
    for user in ("backend", "default", "readonly"):
        with pytest.raises(RedisRefusedError, match="WRONGPASS"):
            Redis(platform.published("redis", "redis"), user, "wrong")


# Artifacts --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifest(platform: Platform, web: requests.Session) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = web.get(platform.url("/artifacts/manifest.json")).json()["artifacts"]
    return entries


def test_artifacts_are_what_the_manifest_says(
    platform: Platform, web: requests.Session, manifest: list[dict[str, Any]]
) -> None:
    assert {entry["architecture"] for entry in manifest} == {"x86_64", "arm64"}
    for entry in manifest:
        content = web.get(platform.url(entry["url"])).content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["size"], entry["sha256"]), entry[
            "name"
        ]
    assert web.get(platform.url("/artifacts/..%2f..%2fetc/passwd")).status_code in (400, 404)


def test_the_downloaded_client_shows_the_platform(
    platform: Platform, web: requests.Session, manifest: list[dict[str, Any]], tmp_path: Path
) -> None:
    own = {"aarch64": "arm64"}.get(machine.machine(), machine.machine())
    entry = next(entry for entry in manifest if entry["architecture"] == own)
    client = tmp_path / entry["name"]
    client.write_bytes(web.get(platform.url(entry["url"])).content)
    client.chmod(client.stat().st_mode | stat.S_IXUSR)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        # Started by the Python of the tests: which others the machine has is not known.
        return subprocess.run(
            [sys.executable, str(client), "--url", platform.url().rstrip("/"), *options],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        )

    shown = run("--ca-file", str(platform.authority))
    assert shown.returncode == 0, shown.stderr
    assert "mobile-backend" in shown.stdout
    told = run("--ca-file", str(platform.authority), "--json")
    assert {"db", "redis"} <= {entry["service"] for entry in json.loads(told.stdout)["status"]["services"]}
    stranger = run()
    assert stranger.returncode == 1
    assert "--ca-file" in stranger.stderr


# The device's desktop ---------------------------------------------------------------------------------------------


def test_the_desktop_is_behind_a_password(platform: Platform, web: requests.Session) -> None:
    assert web.get(platform.url("/vnc/")).status_code == 401
    assert web.get(platform.url("/vnc/"), auth=("admin", "wrong")).status_code == 401
    page = web.get(platform.url("/vnc/"), auth=("admin", platform.secret("vnc/web")))
    assert page.status_code == 200
    assert "noVNC" in page.text
    assert websocket_greeting(platform, "/vnc/websockify")[0].split()[1] == "401"


def test_the_desktop_answers_through_the_whole_way(platform: Platform) -> None:
    """Traefik, noVNC, the SSH tunnel and the device's own VNC server."""
    status, greeting = websocket_greeting(platform, "/vnc/websockify", "admin", platform.secret("vnc/web"))
    assert " 101 " in status
    assert greeting.startswith(b"RFB 003.")
