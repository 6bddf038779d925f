"""What Traefik is told, and that its times fit those of what stands behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.errors import ReleaseInvalidError
from ansible_collections.dockfra.core.plugins.module_utils.releases import spec_file
from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor import worker

from .test_derived import Load, load  # noqa: F401

ROOT = Path(__file__).parents[2]
Configure = Callable[..., tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module")
def configured(load: Load) -> Configure:  # noqa: F811
    """Traefik's two files with some variables of its role."""

    def configure(**variables: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        files = load({"traefik": variables}).desired("traefik").files
        return tuple(yaml.safe_load(files[f"traefik/{name}.yml"].content) for name in ("traefik", "routes"))

    return configure


def seconds(text: str) -> float:
    """A duration of Traefik, nginx or the inventory."""
    [number] = re.fullmatch(r"([0-9.]+)s", text).groups()  # type: ignore[union-attr]
    return float(number)


def test_an_idle_connection_ends_at_the_proxy_before_it_does_behind_it(configured: Configure) -> None:
    static, _routes = configured()
    idle = seconds(static["serversTransport"]["forwardingTimeouts"]["idleConnTimeout"])
    [nginx] = re.findall(r"keepalive_timeout (\S+);", (ROOT / "app/frontend/nginx.conf").read_text())
    assert 0 < idle < worker.LINGER < worker.KEEP_ALIVE < seconds(nginx)
    # A release that is replaced stands by long enough, however little it declares.
    with pytest.raises(ReleaseInvalidError, match="drain_seconds"):
        spec_file.parse(_spec(drain_seconds=worker.LINGER - 1))
    assert spec_file.parse(_spec(drain_seconds=worker.LINGER)).drain_seconds == worker.LINGER


def _spec(drain_seconds: float) -> bytes:
    text = (ROOT / "app/backend/release.yml").read_text()
    return re.sub(r"drain_seconds: \d+", f"drain_seconds: {int(drain_seconds)}", text).encode()


def test_slow_requests_have_time_and_none_has_all_of_it(configured: Configure) -> None:
    static, _routes = configured()
    forwarding = static["serversTransport"]["forwardingTimeouts"]
    for name, point in static["entryPoints"].items():
        if name == "ping":
            continue
        times = {key: seconds(value) for key, value in point["transport"]["respondingTimeouts"].items()}
        assert all(0 < value < 3600 for value in times.values())
        # To be sent, to be answered at last and to be taken: the last must not cut off what the others allow.
        assert times["writeTimeout"] > times["readTimeout"] + seconds(forwarding["responseHeaderTimeout"])
        assert point["http"]["maxHeaderBytes"] <= 65536
    # What a release may need to finish, it may need to begin an answer.
    assert seconds(forwarding["responseHeaderTimeout"]) >= spec_file.read(ROOT / "app/backend").drain_seconds


def test_each_route_has_one_server_and_no_health_check_of_the_proxys(configured: Configure) -> None:
    _static, routes = configured()
    for name, service in routes["http"]["services"].items():
        balancer = service["loadBalancer"]
        assert len(balancer["servers"]) == 1, name
        assert "healthCheck" not in balancer, name
    # By default only what may be done twice is asked again.
    assert "retryNonIdempotentMethod" not in json.dumps(routes), "a POST would be sent twice"
    _static, routes = configured(traefik_health_checks=True)
    assert all("healthCheck" in service["loadBalancer"] for service in routes["http"]["services"].values())


def test_a_request_is_a_json_line_without_what_is_secret(configured: Configure) -> None:
    static, _routes = configured()
    assert static["accessLog"] == {
        "format": "json",
        "bufferingSize": 200,
        "fields": {
            "names": {"ClientUsername": "drop"},
            "queryParameters": {"defaultMode": "drop"},
            "headers": {"defaultMode": "drop", "names": {"User-Agent": "keep"}},
        },
    }
    assert "filePath" not in static["accessLog"], "nothing would rotate it"
    static, _routes = configured(traefik_access_log=False)
    assert "accessLog" not in static


def test_headers_are_the_proxys_or_left_to_the_services(configured: Configure) -> None:
    def headers(**variables: Any) -> dict[str, Any]:
        _static, routes = configured(**variables)
        found: dict[str, Any] = routes["http"]["middlewares"]["security"]["headers"]
        return found

    told = headers()
    assert (told["contentTypeNosniff"], told["customFrameOptionsValue"]) == (True, "SAMEORIGIN")
    assert told["referrerPolicy"] == "same-origin"
    assert "stsSeconds" not in told, "localhost has other services, without TLS"
    left = headers(traefik_frame_options="", traefik_referrer_policy="", traefik_hsts_seconds=31536000)
    assert not {"customFrameOptionsValue", "referrerPolicy"} & set(left)
    assert left["stsSeconds"] == 31536000
    assert "forceSTSHeader" not in left, "without TLS it is nobody's to say"


def test_plain_http_is_redirected_and_nothing_else_is_there(configured: Configure) -> None:
    static, routes = configured()
    points = {name: point for name, point in static["entryPoints"].items() if name.startswith("http-traefik")}
    assert points
    for point in points.values():
        assert point["http"]["redirections"]["entryPoint"]["scheme"] == "https"
        assert point["http"]["redirections"]["entryPoint"]["permanent"] is False
    for name, router in routes["http"]["routers"].items():
        if name != "dashboard":
            assert all(point.startswith("https-") for point in router["entryPoints"]), name
