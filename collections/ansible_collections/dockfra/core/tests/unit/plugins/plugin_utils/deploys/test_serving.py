# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a release serves, asked of a real server."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import serving
from ansible_collections.dockfra.core.tests.unit.hostile_server import ANSWERS, SLOW, HostileServer

NEW, OLD = "20261125T131500Z-0123456789ab", "20261124T131500Z-0123456789ab"


class Handler(http.server.BaseHTTPRequestHandler):
    answers: list[tuple[int, str]]

    def do_GET(self) -> None:
        status, release = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        if release:
            self.send_header("X-Release", release)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


def prove(port: int, release: str = NEW, seconds: float = 1.0) -> float:
    return serving.prove("backend", "127.0.0.1", port, "/health", release, seconds)


def test_the_old_one_may_have_the_first_word_and_not_the_last(
    server: http.server.ThreadingHTTPServer,
) -> None:
    Handler.answers = [(200, OLD), (200, NEW), (200, OLD), (503, NEW), (200, NEW)]
    assert prove(server.server_port) < 1
    Handler.answers = [(200, NEW), (200, "")]
    assert prove(server.server_port, "") < 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [((200, OLD), OLD), ((503, NEW), "HTTP 503"), ((200, ""), "missing"), ((302, NEW), "HTTP 302")],
)
def test_what_does_not_serve_is_told(
    server: http.server.ThreadingHTTPServer, answer: tuple[int, str], told: str
) -> None:
    Handler.answers = [answer]
    with pytest.raises(CommandError, match=told):
        prove(server.server_port, seconds=0.3)


@pytest.mark.parametrize("kind", [*ANSWERS, *SLOW])
def test_an_endless_answer_proves_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_ONE_ANSWER", 0.3)
    with HostileServer(kind) as server, pytest.raises(CommandError, match="does not answer with"):
        prove(server.port, seconds=0.2)


def test_nobody_there_is_told() -> None:
    with HostileServer(b"") as server:
        port = server.port
    with pytest.raises(CommandError, match="refused"):
        prove(port, seconds=0.2)
