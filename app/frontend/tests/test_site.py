"""The page keeps to its own security policy, and nginx serves it as configured.

How the page behaves in a browser is tested with the whole platform. These tests need no browser; those
of the server are skipped where nginx is not installed.
"""

import os
import re
import shutil
import socket
import struct
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
PAGES = sorted(SITE.rglob("*.html"))
# All that the page and its pictures come to, unpacked; what the proxy sends is a third of it.
MOST_BYTES = 60_000


class Page(HTMLParser):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(file.read_text())

    def loaded(self) -> list[str]:
        """The paths of what a browser fetches with the page."""
        return [
            attributes.get("src") or attributes["href"]
            for tag, attributes in self.tags
            if tag in ("script", "link", "img")
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(SITE / "index.html")


def imports(script: Path) -> set[Path]:
    """A script and all that it imports, directly or not."""
    found, waiting = set(), {script}
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= {SITE / name for name in re.findall(r'from "\./([^"]+)"', file.read_text())} - found
    return found


@pytest.mark.parametrize("file", PAGES, ids=lambda path: path.name)
def test_everything_a_page_loads_is_there(file):
    loaded = Page(file).loaded()
    assert loaded
    for path in loaded:
        assert (SITE / path.removeprefix("/")).is_file(), path


def test_finding_u14_the_whole_page_is_light(page):
    files = {SITE / path.removeprefix("/") for path in page.loaded()} | {SITE / "index.html"}
    for script in [file for file in files if file.suffix == ".js"]:
        files |= imports(script)
    assert set(SCRIPTS) <= files, "a script that nobody loads"
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


def test_finding_u14_what_a_person_wants_to_know_in_its_order(page):
    """Needs attention, runs, was deployed, how to get in; each a region with its heading."""
    regions = [attributes.get("aria-labelledby") for tag, attributes in page.tags if tag == "section"]
    order = ["attention", "services", "deployments", "access", "devices", "downloads"]
    assert regions == [f"{name}-title" for name in order]
    headings = [attributes.get("id") for tag, attributes in page.tags if tag == "h2"]
    assert headings == regions


def test_finding_u14_an_icon_where_browsers_look_by_themselves():
    """A picture of 32 by 32 pixels among those in the file, each of them whole."""
    content = (SITE / "favicon.ico").read_bytes()
    zero, kind, count = struct.unpack_from("<HHH", content)
    assert (zero, kind) == (0, 1)
    entries = [struct.unpack_from("<BBBBHHII", content, 6 + 16 * number) for number in range(count)]
    assert 32 in {entry[0] for entry in entries}
    for *_, size, offset in entries:
        assert content[offset : offset + size].startswith(b"\x89PNG\r\n")
        assert content[offset : offset + size].endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("file", PAGES, ids=lambda path: path.name)
def test_nothing_is_inline(file):
    page = Page(file)
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
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b|"
        r"https?://(?!www\.w3\.org/2000/svg\")"  # the name of what pictures are made of
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
    (folder / "site").symlink_to(SITE)
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
        ("/run/dockfra/site", f"{folder}/site"),
        ("/srv/releases", f"{folder}/releases"),
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


def get(url: str, data: bytes | None = None) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an answer; with data it is asked by POST."""
    try:
        with urllib.request.urlopen(url, data, timeout=5) as answer:
            return answer.status, dict(answer.headers), answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/", 200, "text/html"),
        ("/app.js", 200, "application/javascript"),
        ("/style.css", 200, "text/css"),
        ("/favicon.svg", 200, "image/svg+xml"),
        ("/favicon.ico", 200, "image/x-icon"),
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


@pytest.mark.parametrize(
    ("path", "data", "status", "word"),
    [
        ("/nope", None, 404, "There is nothing here"),
        ("/errors/", None, 404, "There is nothing here"),
        ("/nope/", None, 404, "There is nothing here"),
        ("/../nginx.conf", None, 400, "This request was refused"),
        ("/", b"x", 405, "This request was refused"),
        ("/", b"x" * 2000, 413, "This request was refused"),
    ],
)
def test_finding_u14_what_is_not_there_is_a_page_of_the_sites_own(nginx, path, data, status, word):
    answer, headers, text = get(nginx + path, data)
    assert (answer, headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert word in text
    assert '<a href="/">' in text
    assert "/style.css" in text
    assert "nginx" not in text


def test_finding_u14_an_answer_that_fails_has_a_page_too():
    """The proxy asks for this one where a service does not answer."""
    configured = re.search(r"error_page ([\d ]+) (/errors/50x\.html);", (FOLDER / "nginx.conf").read_text())
    assert configured
    assert {"500", "502", "503", "504"} <= set(configured[1].split())
    assert "does not answer" in (SITE / configured[2].removeprefix("/")).read_text()


def test_each_answer_of_a_release_names_it(nginx, tmp_path_factory):
    """The supervisor moves the link; nothing is reloaded."""
    link = tmp_path_factory.getbasetemp() / "nginx0" / "site"
    release = "20261125T131500Z-0123456789ab"
    site = link.parent.resolve() / "releases" / "frontend" / release / "content" / "site"
    shutil.copytree(SITE, site)
    (site / "index.html").write_text("new")
    assert "X-Release" not in get(f"{nginx}/")[1]
    new = link.with_name("new")
    new.symlink_to(site)
    new.rename(link)
    try:
        assert get(f"{nginx}/")[2] == "new"
        for path in ("/", "/app.js", "/health", "/config.json", "/nothing", "/../x"):
            assert get(nginx + path)[1].get("X-Release") == release, path
    finally:
        new.symlink_to(SITE)
        new.rename(link)
    assert "X-Release" not in get(f"{nginx}/")[1]
