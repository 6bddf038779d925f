"""The download server: what it offers, and that it notices damage."""

import hashlib
import os

import pytest

FILE = "dockfra-status-1.0.0-linux-arm64"


def test_healthy(server):
    assert server.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize("damage", ["change", "cut", "remove"])
def test_notices_damage_and_repair(server, artifacts, damage):
    path = artifacts / FILE
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(b"x" * len(content) if damage == "change" else content[:-1])
        os.utime(path, ns=(1, 1))
    answer = server.get("/health")
    assert answer.status_code == 503
    assert answer.json()["damaged"] == [FILE]
    path.write_bytes(content)
    assert server.get("/health").status_code == 200


def test_the_manifest_describes_each_file(server):
    for entry in server.get("/artifacts/manifest.json").json()["artifacts"]:
        answer = server.get(entry["url"])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        assert entry["name"] in answer.headers["content-disposition"]
        assert len(answer.content) == entry["size"]
        assert hashlib.sha256(answer.content).hexdigest() == entry["sha256"]


def test_continues_a_download(server):
    answer = server.get(f"/artifacts/{FILE}", headers={"Range": "bytes=5-9"})
    assert (answer.status_code, answer.content) == (206, b"arm64")


@pytest.mark.parametrize("path", ["/artifacts", "/artifacts/"])
def test_lists_the_files_for_people_and_programs(server, path):
    page = server.get(path, headers={"Accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert f'href="/artifacts/{FILE}"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    listed = server.get(path, headers={"Accept": "application/json"})
    assert listed.json() == server.get("/artifacts/manifest.json").json()


@pytest.mark.parametrize(
    "name",
    ["secret", "../secret", "..%2fsecret", "%2e%2e/secret", "%2fetc%2fpasswd", "x" * 5000, "%00", "a/b"],
)
def test_offers_nothing_else(server, name):
    assert server.get(f"/artifacts/{name}").status_code == 404


def test_writes_nothing(server):
    assert server.put(f"/artifacts/{FILE}", content=b"x").status_code == 405
    assert server.delete(f"/artifacts/{FILE}").status_code == 405
