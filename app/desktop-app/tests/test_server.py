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


def paths(server):
    """Every route's path, parameters filled in."""
    return [route.path.replace("{name}", FILE) for route in server.app.routes]


def test_a_slash_too_many_is_not_found_finding_w1(server):
    asked = paths(server)
    assert {"/health", "/artifacts", f"/artifacts/{FILE}"} <= set(asked)
    for path in asked:
        if path != "/" and f"{path}/" not in asked:
            for method in ("GET", "HEAD", "POST"):
                answer = server.request(method, f"{path}/", follow_redirects=False)
                assert (answer.status_code, answer.headers.get("location")) == (404, None), (method, path)


def test_head_answers_as_get_does_without_a_body_finding_w2(server):
    for path in paths(server):
        shown, head = server.get(path), server.head(path)
        assert (head.status_code, dict(head.headers)) == (shown.status_code, dict(shown.headers)), path


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}'])
def test_an_etag_that_is_sent_is_understood_finding_w3(server, form):
    sent = {path: tag for path in paths(server) if (tag := server.get(path).headers.get("etag"))}
    assert f"/artifacts/{FILE}" in sent
    for path, tag in sent.items():
        for method in ("GET", "HEAD"):
            answer = server.request(method, path, headers={"If-None-Match": form.format(tag)})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), path
        assert server.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
