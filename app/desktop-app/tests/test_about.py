"""The root tells what is there: a page for people, data for programs."""

import pytest

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/"])
def test_finding_u14_root_is_a_page_for_people(server, path):
    answer = server.get(path, headers={"Accept": BROWSER})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>Dockfra downloads</h1>" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")
    assert answer.headers["vary"] == "Accept"
    # At its own port there is nobody who would serve these.
    assert "/style.css" not in answer.text


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
@pytest.mark.parametrize("path", ["/"])
def test_finding_u14_root_is_data_for_programs(server, path, accept):
    answer = server.get(path, headers={"Accept": accept})
    told = answer.json()
    assert (answer.status_code, told["name"]) == (200, "dockfra-desktop-app")
    assert told["description"]
    assert told["version"]
    for place in told["links"].values():
        assert server.get(place).status_code < 400, place
