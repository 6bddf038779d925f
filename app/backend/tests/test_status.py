"""The state of the services around the backend: asked, cached, and told without a cache as well."""

import socket
import threading
from contextlib import contextmanager

import pytest
from backend.config import Target

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
    report = serve(config.model_copy(update={"targets": asked, "services": 17})).get("/api/status").json()
    assert (report["asked"], report["total"]) == (1, 17)
