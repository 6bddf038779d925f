"""What happens to the rest when one service is gone, and that it heals by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.e2e.support.platform import Platform, eventually


@pytest.fixture(scope="module", autouse=True)
def heal(platform: Platform) -> Iterator[None]:
    """What was stopped here has run through its health check again before others go on."""
    yield
    platform.wait_healthy(*platform.names)


@pytest.mark.parametrize(("service", "named"), [("redis", "cache"), ("db", "database")])
def test_backend_names_what_is_down_and_recovers(
    platform: Platform, web: requests.Session, service: str, named: str
) -> None:
    health = f"http://localhost:{platform.published('backend', 'http')}/health"
    with platform.stopped(service):
        answer = web.get(health)
        assert (answer.status_code, answer.json()["down"]) == (503, [named])

        # Traefik keeps the backend: what can be answered still is.
        def told() -> bool:
            status = web.get(platform.url("/api/status"))
            states = {entry["service"]: entry["state"] for entry in status.json()["services"]}
            return (
                status.status_code == 200
                and states[service] == "down"
                and status.json()["status"] == "degraded"
            )

        eventually(told, f"/api/status says that {service} is down", 30)
        if service == "redis":
            assert web.get(platform.url("/api/status")).json()["cache"] == "unavailable"
            assert web.get(platform.url("/api/deployments")).status_code == 200
        else:
            refused = web.get(platform.url("/api/deployments"))
            assert (refused.status_code, refused.json()) == (
                503,
                {"detail": "the database is unavailable, try again"},
            )
            mobile = web.get(f"http://localhost:{platform.published('mobile-backend', 'http')}/health")
            assert (mobile.status_code, mobile.json()["down"]) == (503, ["database"])
    eventually(lambda: web.get(health).status_code == 200, "the backend is healthy again", 30)
    eventually(
        lambda: web.get(platform.url("/api/status")).json()["status"] == "ok", "the status is ok again", 30
    )


def test_the_desktop_says_that_its_device_is_away(platform: Platform, web: requests.Session) -> None:
    login = ("admin", platform.secret("vnc/web"))

    def page() -> requests.Response:
        return web.get(platform.url("/vnc/"), auth=login)

    with platform.stopped("rpi3"):
        eventually(lambda: page().status_code == 503, "the page says that the device is away", 40)
        assert "rpi3" in page().text
    eventually(lambda: page().status_code == 200, "the desktop is back", 60)


def test_a_killed_process_is_started_again(platform: Platform, web: requests.Session) -> None:
    """The first process of a container dies as after a crash."""
    before = platform.container("frontend")
    platform.run("frontend", "/bin/sh", "-c", "kill -9 -1")
    eventually(
        lambda: (
            platform.container("frontend").attrs["State"]["StartedAt"] != before.attrs["State"]["StartedAt"]
        ),
        "Docker has started the frontend again",
        30,
    )
    eventually(lambda: web.get(platform.url()).status_code == 200, "the page is back", 30)
