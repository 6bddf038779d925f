# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Switches of pages behind nginx: one rename, no reload, each answer of one release and with its name."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import ReleaseRefusedError
from ansible_collections.dockfra.core.plugins.module_utils.releases import spec_file
from ansible_collections.dockfra.core.tests.unit.served import Load, Service, wait_for

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

CONFIGURATION = """
    daemon off;
    worker_processes 1;
    pid {root}/nginx.pid;
    error_log stderr warn;
    events {{ worker_connections 512; }}
    http {{
        access_log off;
        keepalive_timeout 10s;
        client_body_temp_path {root}/body;
        proxy_temp_path {root}/proxy;
        fastcgi_temp_path {root}/fastcgi;
        uwsgi_temp_path {root}/uwsgi;
        scgi_temp_path {root}/scgi;
        map $realpath_root $leads_to {{
            default "";
            "~^{releases}/[^/]+/(?<id>[0-9TZ]+-[0-9a-f]+)/" $id;
        }}
        map $pages $release {{
            default $leads_to;
            "~^{releases}/[^/]+/(?<started>[0-9TZ]+-[0-9a-f]+)/" $started;
        }}
        server {{
            listen 127.0.0.1:{port};
            root {root}/run/site;
            if ($realpath_root ~ "^(.+)$") {{ set $pages $1; }}
            add_header X-Release $release always;
            location = /health {{ return 200 "ok"; }}
            location / {{ root $pages; }}
        }}
    }}
    """


class Site(Service):
    """Pages behind nginx."""

    def options(self) -> list[str]:
        assert NGINX is not None
        configuration = textwrap.dedent(CONFIGURATION).format(
            root=self.root, port=self.port, releases=self.releases
        )
        if os.geteuid() == 0:
            configuration = "user root;\n" + configuration  # its worker would not be let into this folder
        (self.root / "nginx.conf").write_text(configuration)
        return ["--", NGINX, "-e", "stderr", "-p", str(self.root), "-c", str(self.root / "nginx.conf")]

    def fill(self, content: Path, mode: str, **times: float) -> None:
        site = content / "site"
        site.mkdir(parents=True, exist_ok=True)
        if mode != "empty":
            (site / "index.html").write_text(f'{{"version": "{content.parent.name}"}}')
        (site / "big").write_bytes(content.parent.name.encode() * 300_000)
        settle = times.get("settle", 0)
        pages = "health: {pages: [/missing]}\n" if mode == "pages" else ""
        spec = f"kind: static\nroot: site\nsettle_seconds: {settle}\n{pages}"
        (content / "spec.json").write_bytes(spec_file.parse(spec.encode()).to_json())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if NGINX is None:
        pytest.fail("nginx is not installed: ./run-tests.sh unit installs it")
    # Links on the way would be resolved.
    site = Site(tmp_path.resolve(), "frontend")
    site.image()
    try:
        site.up()
        yield site
    finally:
        site.clean()


class Readers(Load):
    """Clients that only read; a keep-alive connection of each kind."""

    WAYS = (
        ("keep GET", True, "GET"),
        ("more GET", True, "GET"),
        ("fresh GET", False, "GET"),
        ("other GET", False, "GET"),
    )


def said(site: Site) -> str:
    """What nginx said last of what it could not do."""
    return site.log.read_text(errors="replace")[-2000:]


def nginx_of(site: Site) -> int:
    [pid] = site.workers()
    return pid


def test_switches_drop_nothing_and_reload_nothing(site: Site) -> None:
    releases = [site.release() for _round in range(3)]
    assert site.get()[1:] == ("", {"version": site.app.parent.name})
    before = nginx_of(site)
    with Readers(site.port, pause=0.002) as load:
        for release in (*releases, releases[0]):
            site.switch(release)
            assert site.get()[1:] == (release, {"version": release})
    assert load.failed == [], said(site)
    assert {release for _begin, _end, release in load.releases} == {"", *releases}
    assert nginx_of(site) == before


def test_an_answer_is_of_one_release_from_head_to_end(site: Site) -> None:
    """Pages that are read while the link moves: header and content are those of one release."""
    one, two = site.release(), site.release()
    site.switch(one)
    with Readers(site.port, pause=0.0, each=1) as load:
        for _round in range(50):
            for release in (two, one):
                link = site.root / "run" / "site"
                new = link.with_name("test.new")
                new.symlink_to(Path(site.store.folder) / release / "content" / "site")
                new.rename(link)
                _status, said, content = site.get()
                assert said == content["version"] == release
    assert load.failed == [], said(site)


def test_what_is_under_way_gets_its_own_to_the_end(site: Site) -> None:
    site.switch(site.release())
    first = site.store.current()
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.sendall(b"GET /big HTTP/1.0\r\n\r\n")
        data = connection.recv(1000)
        site.switch(site.release())
        while part := connection.recv(65536):
            data += part
    head, _blank, body = data.partition(b"\r\n\r\n")
    assert f"X-Release: {first}".encode() in head
    assert body == first.encode() * 300_000


@pytest.mark.parametrize(
    ("mode", "reason"), [("empty", "index.html: No such file"), ("pages", "/missing answers 404")]
)
def test_pages_that_are_not_there_are_refused(site: Site, mode: str, reason: str) -> None:
    good = site.release()
    site.switch(good)
    with Readers(site.port) as load, pytest.raises(ReleaseRefusedError, match=reason):
        site.switch(site.release(mode))
    assert site.get()[1] == good
    assert load.failed == [], said(site)
    assert site.state().running == good


def test_what_the_image_brought_is_tried_each_time_it_is_asked_for(site: Site) -> None:
    good = site.release()
    site.switch(good)
    index = site.app / "site/index.html"
    index.rename(index.with_name("away"))
    for _time in range(2):
        with (
            Readers(site.port) as load,
            pytest.raises(ReleaseRefusedError, match=r"index.html: No such file"),
        ):
            site.switch("")
        assert site.get()[1] == good
        assert load.failed == [], said(site)
    index.with_name("away").rename(index)
    assert site.switch("").before == good
    assert site.get()[1:] == ("", {"version": site.app.parent.name})
    assert (site.store.current(), site.store.previous()) == ("", good)
    site.switch(good)
    assert site.get()[1] == good


def test_every_answer_names_its_release(site: Site) -> None:
    assert b"x-release" not in site.raw(b"GET / HTTP/1.0\r\n\r\n").lower()
    release = site.release()
    site.switch(release)
    for request, status in (
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /health HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /missing HTTP/1.0\r\n\r\n", b"404"),
        (b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /../../x HTTP/1.0\r\n\r\n", b"400"),
    ):
        answer = site.raw(request)
        assert answer.split()[1] == status, answer
        assert f"X-Release: {release}".encode() in answer, answer


def test_a_web_server_that_is_killed_is_started_again(site: Site) -> None:
    release = site.release()
    site.switch(release)
    old = nginx_of(site)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: site.workers() not in ([], [old]) and site.answers())
    assert site.get()[1] == release


def test_a_new_start_serves_what_is_current(site: Site) -> None:
    release = site.release()
    site.switch(release)
    begin = time.monotonic()
    assert site.stop() == 0
    assert time.monotonic() - begin < 3
    site.up()
    assert site.get()[1] == release


@pytest.mark.slow
def test_a_web_server_that_cannot_run_ends_all_with_one_line(site: Site) -> None:
    assert site.stop() == 0
    site.options = lambda: ["--", "/bin/false"]  # type: ignore[method-assign]
    site.start()
    assert site.process is not None
    assert site.process.wait(20) == 1
    assert "the web server ended with status 1" in site.log.read_text()
