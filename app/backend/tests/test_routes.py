"""What holds for every route there is, whatever it does."""

import re

import pytest
from fastapi.testclient import TestClient

# What the application's own description leaves out.
UNDESCRIBED = {"/api/docs": ["get"], "/api/docs/static": [], "/api/openapi.json": ["get"]}
STYLE = "/api/docs/static/swagger-ui.css"


def routes(client: TestClient) -> dict[str, list[str]]:
    """Methods by path of every route, path parameters filled in."""
    described = {
        path: list(methods) for path, methods in client.get("/api/openapi.json").json()["paths"].items()
    }
    return {re.sub(r"{[a-z_]+}", "1", path): methods for path, methods in (UNDESCRIBED | described).items()}


def test_a_slash_too_many_is_not_found_finding_w1(client):
    found = routes(client)
    assert {"/health", "/api/status", "/api/deployments/1"} <= set(found)
    for path in found:
        for method in ("GET", "HEAD", "POST", "PUT"):
            answer = client.request(method, f"{path}/", follow_redirects=False)
            assert answer.status_code in (404, 405), (method, path)
            assert "location" not in answer.headers, (method, path)


def test_head_answers_as_get_does_without_a_body_finding_w2(client):
    asked = [path for path, methods in routes(client).items() if "get" in methods]
    assert len(asked) > 6
    for path in asked:
        shown, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (shown.status_code, b""), path
        assert head.headers.get("content-type") == shown.headers.get("content-type"), path


def test_head_is_refused_where_get_is_finding_w2(client):
    assert client.head("/nothing").status_code == 404


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}'])
def test_an_etag_that_is_sent_is_understood_finding_w3(client, form):
    tagged = {path: client.get(path).headers.get("etag") for path in (*routes(client), STYLE)}
    sent = {path: tag for path, tag in tagged.items() if tag}
    assert sent
    for path, tag in sent.items():
        assert client.get(path, headers={"If-None-Match": form.format(tag)}).status_code == 304, path
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200, path
