"""The page keeps to its own security policy, and nginx serves it as configured.

How the page behaves in a browser is tested with the whole platform. These tests need no browser; those
of the server are skipped where nginx is not installed.
"""

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
SITE = FOLDER / "site"
SCRIPTS = sorted(SITE.glob("*.js"))


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed((SITE / "index.html").read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page()


def test_everything_the_page_loads_is_there(page):
    loaded = [
        attributes.get("src") or attributes["href"]
        for tag, attributes in page.tags
        if tag in ("script", "link", "img")
    ]
    assert loaded
    for path in loaded:
        assert (SITE / path.removeprefix("/")).is_file(), path


def test_nothing_is_inline(page):
    assert page.inline == []
    for tag, attributes in page.tags:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


def test_ids_are_unique_and_those_referred_to_exist(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = re.findall(r'byId\("([^"]+)"\)', (SITE / "app.js").read_text())
    referred += [
        attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes
    ]
    assert referred
    assert set(referred) <= set(ids)


def test_the_landmarks_are_there(page):
    tags = [tag for tag, _ in page.tags]
    for landmark in ("header", "main", "nav", "footer", "h1", "noscript"):
        assert tags.count(landmark) == 1, landmark
    assert ("html", {"lang": "en"}) in page.tags


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_insert_nothing_as_html(script):
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b|https?://"
    )
    assert re.findall(forbidden, script.read_text()) == []


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server with its own configuration, but for the paths and the port of the container."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "frontend.json").write_text('{"title": "Test"}')
    (folder / "frontend").mkdir()
    (folder / "frontend" / "listen.conf").write_text(f"listen 127.0.0.1:{port} default_server;")
    types = next(
        path for path in (Path(program).parents[2] / "etc/nginx", Path("/etc/nginx")) if path.exists()
    )
    shutil.copy(types / "mime.types", folder)
    configuration = (FOLDER / "nginx.conf").read_text()
    for old, new in (
        ("/tmp/", f"{folder}/"),
        ("/opt/app/site", str(SITE)),
        ("/etc/dockfra", str(folder)),
    ):
        assert old in configuration
        configuration = configuration.replace(old, new)
    if os.geteuid() == 0:
        configuration = f"user root;\n{configuration}"  # its workers would not be let into this folder
    (folder / "nginx.conf").write_text(configuration)
    process = subprocess.Popen([program, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"])
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            get(f"{url}/health")
            break
        except OSError:
            time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(10)


def get(url: str) -> tuple[int, dict[str, str], str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/", 200, "text/html"),
        ("/app.js", 200, "application/javascript"),
        ("/style.css", 200, "text/css"),
        ("/favicon.svg", 200, "image/svg+xml"),
        ("/config.json", 200, "application/json"),
        ("/health", 200, "application/json"),
        ("/nothing", 404, "text/html"),
        ("/api/status", 404, "text/html"),
        ("/../nginx.conf", 400, "text/html"),
    ],
)
def test_serves_with_security_headers(nginx, path, status, kind):
    answer, headers, _ = get(nginx + path)
    assert answer == status
    assert headers["Content-Type"].startswith(kind)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "nginx"


def test_serves_the_settings(nginx):
    assert get(f"{nginx}/config.json")[2] == '{"title": "Test"}'
