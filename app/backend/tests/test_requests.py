"""Who may write, and what a request may look like, on each route that writes."""

import pytest

DEPLOYMENT = {"service": "frontend", "version": "1.2.0", "deployed_by": "monitor"}
DEVICE = {"kind": "edge", "architecture": "aarch64", "version": "1.0.0"}
HISTORY = {"until": "2026-11-25T13:15:00Z", "step": 900, "services": []}
JSON = {"Content-Type": "application/json"}
WRITES = [
    ("POST", "/api/deployments", DEPLOYMENT),
    ("PUT", "/api/deployments/1", DEPLOYMENT),
    ("POST", "/api/devices", DEVICE | {"name": "rpi3"}),
    ("PUT", "/api/devices/rpi3", DEVICE),
    ("PUT", "/api/history", HISTORY),
]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        b"Bearer the-token-of-these-test",
        b"Bearer the-token-of-these-tests2",
        b"Basic the-token-of-these-tests",
        b"the-token-of-these-tests",
        "Bearer thé-töken".encode(),
        b"Bearer \xff\xfe",
    ],
)
def test_writing_needs_the_token(client, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path, body in WRITES:
        answer = client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/api/deployments").json() == client.get("/api/devices").json() == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"text"', 422),
        (b'{"service": NaN}', 422),
        (b'{"\\ud800": "\\udfff"}', 422),
        (b'{"service": "frontend", "version": "1", "deployed_by": "\\ud800"}', 422),
        (b"[" * 60_000, (400, 422)),
        (b"\xff\xfe\x00", (400, 422)),
        (b'{"note": "' + b"x" * 65536 + b'"}', 413),
    ],
)
def test_bodies_that_are_no_use(client, header_of, content, expected):
    for method, path, _ in WRITES:
        answer = client.request(method, path, content=content, headers=JSON | header_of(path))
        assert answer.status_code in (expected if isinstance(expected, tuple) else (expected,)), (
            method,
            path,
        )
        assert "x" * 100 not in answer.text


def test_a_body_that_does_not_tell_its_size(monitor):
    parts = (b" " * 8192 for _ in range(9))
    assert monitor.post("/api/deployments", content=parts, headers=JSON).status_code == 413


def test_a_body_of_another_type(monitor):
    answer = monitor.post(
        "/api/deployments", content=b"service=frontend", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/api/devices"), ("PUT", "/api/status"), ("PATCH", "/health")]
)
def test_methods_nobody_offers(client, method, path):
    assert client.request(method, path).status_code == 405
