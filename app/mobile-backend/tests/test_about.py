"""The root tells what is there: a page for people, data for programs."""

import pytest

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/"])
def test_finding_u14_root_is_a_page_for_people(client, path):
    answer = client.get(path, headers={"Accept": BROWSER})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>Dockfra mobile backend</h1>" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")
    assert answer.headers["vary"] == "Accept"
    # At its own port there is nobody who would serve these.
    assert "/style.css" not in answer.text


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
@pytest.mark.parametrize("path", ["/"])
def test_finding_u14_root_is_data_for_programs(client, path, accept):
    answer = client.get(path, headers={"Accept": accept})
    told = answer.json()
    assert (answer.status_code, told["name"]) == (200, "dockfra-mobile-backend")
    assert told["description"]
    assert told["version"]
    for place in told["links"].values():
        assert client.get(place).status_code < 400, place


def test_finding_u14_links_are_those_the_client_sees(client):
    proxied = {"X-Forwarded-Prefix": "/mobile", "X-Forwarded-Host": "localhost"}
    page = client.get("/", headers={**proxied, "Accept": BROWSER}).text
    assert '<a href="/mobile/config">' in page
    assert '<link rel="stylesheet" href="/style.css">' in page
    assert '<a href="/">' in page
    told = client.get("/", headers={**proxied, "Accept": "application/json"}).json()
    assert set(told["links"].values()) == {"/mobile/config", "/mobile/openapi.json", "/mobile/health"}


def test_finding_u14_a_prefix_is_no_way_to_write_html(client):
    page = client.get("/", headers={"X-Forwarded-Prefix": "/<b>x</b>", "Accept": BROWSER}).text
    assert "<b>" not in page
    assert '<a href="/config">' in page
