"""The root tells what is there: a page for people, data for programs."""

import pytest

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/", "/api", "/api/"])
def test_finding_u14_root_is_a_page_for_people(client, path):
    answer = client.get(path, headers={"Accept": BROWSER})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>Dockfra backend</h1>" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")
    assert answer.headers["vary"] == "Accept"
    # At its own port there is nobody who would serve these.
    assert "/style.css" not in answer.text


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
@pytest.mark.parametrize("path", ["/", "/api", "/api/"])
def test_finding_u14_root_is_data_for_programs(client, path, accept):
    answer = client.get(path, headers={"Accept": accept})
    told = answer.json()
    assert (answer.status_code, told["name"]) == (200, "dockfra-backend")
    assert told["description"]
    assert told["version"]
    for place in told["links"].values():
        assert client.get(place).status_code < 400, place


def test_finding_u14_behind_the_proxy_it_looks_like_the_platforms_page(client):
    answer = client.get("/api", headers={"Accept": BROWSER, "X-Forwarded-Host": "localhost"})
    assert '<link rel="stylesheet" href="/style.css">' in answer.text
    assert '<a href="/">' in answer.text
