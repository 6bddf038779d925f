"""The state of the services around the backend: asked, cached, and told without a cache as well."""

import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from backend.config import Member, Stack, Target

HTTP = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def service(answer):
    """A server that answers every request with the same bytes; None: it never answers. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def work():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    with connection:
                        connection.settimeout(1)
                        connection.recv(1024)
                        connection.sendall(answer)

        threading.Thread(target=work, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


def with_target(config, port, kind="http", host="127.0.0.1", **changes):
    target = Target(service="neighbour", host=host, port=port, kind=kind)
    return config.model_copy(update={"targets": (target,), **changes})


@pytest.mark.parametrize(
    ("answer", "state", "detail"),
    [
        (HTTP % b"200 OK", "up", "HTTP 200"),
        (HTTP % b"404 Not Found", "down", "HTTP 404"),
        (HTTP % b"301", "up", "HTTP 301"),
        (HTTP % b"503 Service Unavailable", "down", "HTTP 503"),
        (b"SSH-2.0-OpenSSH_10.0\r\n", "down", "does not speak HTTP"),
        (b"", "down", "does not speak HTTP"),
        (b"x" * 5000, "down", "does not speak HTTP"),
        (None, "down", "no answer in 2 s"),
    ],
)
def test_asks_a_web_service(config, serve, answer, state, detail):
    with service(answer) as port:
        report = serve(with_target(config, port)).get("/api/status").json()
    [neighbour] = report["services"]
    assert (neighbour["state"], neighbour["detail"]) == (state, detail)
    assert report["status"] == ("ok" if state == "up" else "degraded")


RELEASE = "20261125T131500Z-0123456789ab"


@pytest.mark.parametrize(
    ("headers", "release"),
    [
        (f"X-Release: {RELEASE}\r\n", RELEASE),
        (f"Server: x\r\nx-release:{RELEASE} \r\n", RELEASE),
        (f"Content-Security-Policy: {'x' * 3000}\r\nX-Release: {RELEASE}\r\n", RELEASE),
        ("X-Release: <b>latest</b>\r\n", ""),
        (f"X-Release: {RELEASE}x\r\n", ""),
        (f"\r\nX-Release: {RELEASE}\r\n", ""),
        ("X: y\r\n" * 200 + f"X-Release: {RELEASE}\r\n", ""),
        ("", ""),
    ],
)
def test_says_which_release_answered(config, serve, headers, release):
    with service(f"HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n".encode()) as port:
        [neighbour] = serve(with_target(config, port)).get("/api/status").json()["services"]
    assert (neighbour["state"], neighbour["release"]) == ("up", release)


def test_says_which_release_it_is_itself(client, monkeypatch):
    assert client.get("/api/status").json()["answered_by"]["release"] == ""
    monkeypatch.setenv("DOCKFRA_RELEASE", RELEASE)
    assert client.get("/api/status").json()["answered_by"]["release"] == RELEASE
    assert client.get("/api/info").json()["release"] == RELEASE


def test_asks_any_other_service_for_a_connection_only(config, serve):
    with service(None) as port:
        [neighbour] = serve(with_target(config, port, "tcp")).get("/api/status").json()["services"]
    assert neighbour["state"] == "up"


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-service.invalid"])
def test_a_service_that_is_not_there(config, serve, host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    report = serve(with_target(config, port, "tcp", host)).get("/api/status").json()
    assert report["services"][0]["state"] == "down"
    assert report["services"][0]["detail"]


def test_answers_from_the_cache_for_a_while(config, serve, cache):
    with service(HTTP % b"200 OK") as port:
        client = serve(with_target(config, port))
        first = client.get("/api/status").json()
    second = client.get("/api/status").json()
    assert (first["cache"], second["cache"]) == ("miss", "hit")
    assert second["services"] == first["services"]
    assert second["checked_at"] == first["checked_at"]
    assert 0 < cache.admin.ttl("backend:status") <= 5


def test_works_without_a_cache_and_says_so(config, serve, cache):
    cache.stop()
    with service(HTTP % b"200 OK") as port:
        report = serve(with_target(config, port)).get("/api/status").json()
    assert report["cache"] == "unavailable"
    assert report["status"] == "degraded"
    assert report["services"][0]["state"] == "up"


def test_the_cache_can_be_switched_off(config, serve, cache):
    client = serve(config.model_copy(update={"status_cache_seconds": 0}))
    assert client.get("/api/status").json()["cache"] == client.get("/api/status").json()["cache"] == "miss"
    assert not cache.admin.exists("backend:status")


@pytest.mark.parametrize("stored", [b"", b"garbage", b'{"services": 1}', b"\xff"])
def test_a_cached_answer_of_somebody_else(client, cache, stored):
    cache.admin.set("backend:status", stored)
    assert client.get("/api/status").json()["cache"] == "miss"


def test_a_cached_answer_of_another_type(client, cache):
    cache.admin.lpush("backend:status", "x")
    assert client.get("/api/status").status_code == 200


def test_says_how_many_services_it_covers_finding_u5(config, serve):
    asked = (
        Target(service="a", host="127.0.0.1", port=1, kind="tcp"),
        Target(service="a", host="127.0.0.1", port=2, kind="tcp"),
    )
    stacks = (
        Stack(name="Application", services=tuple(Member(name=name) for name in "abcdefghij")),
        Stack(name="Management", services=tuple(Member(name=name) for name in "tuvwxyz")),
    )
    report = serve(config.model_copy(update={"targets": asked, "stacks": stacks})).get("/api/status").json()
    assert (report["asked"], report["total"]) == (1, 17)


def test_finding_u14_status_names_every_service_by_its_stack(config, serve):
    stack = Stack(name="Application", services=(Member(name="backend", description="REST API"),))
    report = serve(config.model_copy(update={"stacks": (stack,)})).get("/api/status").json()
    assert report["stacks"] == [
        {"name": "Application", "services": [{"name": "backend", "description": "REST API"}]}
    ]
    assert report["answered_by"]["service"] == "backend"
    assert datetime.fromisoformat(report["answered_by"]["since"]) <= datetime.now(UTC)


def test_finding_u14_status_says_since_when(config, serve, cache):
    """The moment stays while the state does, and a change is a new one; each restart of the backend included."""

    def since():
        [neighbour] = serve(changed).get("/api/status").json()["services"]
        return neighbour["state"], datetime.fromisoformat(neighbour["since"])

    begin = datetime.now(UTC)
    with service(HTTP % b"200 OK") as port:
        changed = with_target(config, port, status_cache_seconds=0, status_watch_seconds=0)
        state, first = since()
        assert (state, begin <= first <= datetime.now(UTC)) == ("up", True)
        assert since() == ("up", first)
    state, second = since()
    assert (state, second > first) == ("down", True)
    assert since() == ("down", second)
    # Where nobody has looked for a while nobody knows.
    assert 0 < cache.admin.ttl("backend:since") <= 300
    cache.admin.delete("backend:since")
    assert since()[1] > second


def test_finding_u14_since_is_kept_while_nobody_asks(config, serve, cache, eventually):
    with service(HTTP % b"200 OK") as port:
        serve(with_target(config, port, status_watch_seconds=1))
        eventually(lambda: cache.admin.get("backend:since"))
        cache.admin.expire("backend:since", 100)
        eventually(lambda: cache.admin.ttl("backend:since") > 100)


@pytest.mark.parametrize("stored", [b"garbage", b'{"neighbour:1": 1}', b"[]", b"\xff"])
def test_finding_u14_since_of_somebody_else_is_none(client, cache, config, serve, stored):
    cache.admin.set("backend:since", stored)
    with service(HTTP % b"200 OK") as port:
        [neighbour] = serve(with_target(config, port)).get("/api/status").json()["services"]
    assert (neighbour["state"], neighbour["since"] is not None) == ("up", True)


def test_finding_u14_without_a_cache_nobody_knows_since_when(config, serve, cache):
    cache.stop()
    with service(HTTP % b"200 OK") as port:
        [neighbour] = serve(with_target(config, port)).get("/api/status").json()["services"]
    assert (neighbour["state"], neighbour["since"]) == ("up", None)
