"""What holds for every route there is, whatever it does."""

import re

from fastapi.testclient import TestClient


def routes(client: TestClient) -> dict[str, list[str]]:
    """Methods by path of every route, path parameters filled in."""
    described = client.get("/openapi.json").json()["paths"]
    found = {re.sub(r"{[a-z_]+}", "1", path): list(methods) for path, methods in described.items()}
    return {"/openapi.json": ["get"]} | found


def test_a_slash_too_many_is_not_found_finding_w1(client):
    found = routes(client)
    assert {"/health", "/config", "/sync"} <= set(found)
    for path in found:
        for method in ("GET", "HEAD", "POST"):
            answer = client.request(
                method, f"{path}/", headers={"X-Forwarded-Prefix": "/mobile"}, follow_redirects=False
            )
            assert (answer.status_code, answer.headers.get("location")) == (404, None), (method, path)


def test_head_answers_as_get_does_without_a_body_finding_w2(client):
    asked = [path for path, methods in routes(client).items() if "get" in methods]
    assert {"/health", "/config"} <= set(asked)
    for path in asked:
        shown, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (shown.status_code, b""), path
        assert head.headers["content-length"] == shown.headers["content-length"], path
    assert client.head("/sync").status_code == client.get("/sync").status_code == 405


def test_no_answer_has_an_etag_finding_w3(client):
    """One that is sent has to be understood."""
    assert [path for path in routes(client) if "etag" in client.get(path).headers] == []
