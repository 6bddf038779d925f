"""The API documents itself, without help from outside."""

import re

from backend import __version__


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/api/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/api/docs/"), link
        assert client.get(link).status_code == 200, link


def test_the_description_is_complete(client):
    description = client.get("/api/openapi.json").json()
    wanted = {"/health", "/api/info", "/api/status", "/api/deployments", "/api/devices", "/api/history"}
    assert wanted <= set(description["paths"])
    assert description["paths"]["/api/deployments"]["post"]["security"]
    assert "security" not in description["paths"]["/api/deployments"]["get"]


def test_info(client):
    info = client.get("/api/info").json()
    assert info["version"] == __version__
    assert client.get(info["docs"]).status_code == client.get(info["openapi"]).status_code == 200
