# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Small services on loopback, and the configuration by which a container asks them."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring

LOCALHOST = "127.0.0.1"
Answer = Callable[[socket.socket], None]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class FakeServices:
    """The services of a platform that can be asked.

    Args:
        folder: where the configuration and the certificates go.
    """

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self._keyring = Keyring(folder / "state")
        self.file = folder / "targets.json"
        self.configuration: dict[str, Any] = {
            "services": [],
            "targets": [],
            "pages": {},
            "routes": [],
            "hostname": "localhost",
            "authority": self._keyring.ca_certificate(),
            "audit_logs": [],
        }
        self.write()

    def close(self) -> None:
        self._stack.close()

    def write(self) -> None:
        self.file.write_text(json.dumps(self.configuration))

    def target(self, service: str, kind: str, port: int, **more: Any) -> None:
        """Add a port to what is asked."""
        if service not in self.configuration["services"]:
            self.configuration["services"].append(service)
        target = {"service": service, "name": kind, "kind": kind, "host": LOCALHOST, "port": port, **more}
        self.configuration["targets"].append(target)
        self.write()

    def port(self, service: str) -> int:
        return int(next(t["port"] for t in self.configuration["targets"] if t["service"] == service))

    # Services ---------------------------------------------------------------------------------------------------------

    def ssh(self, service: str) -> None:
        self.target(service, "ssh", self._serve(lambda connection: connection.sendall(b"SSH-2.0-Fake\r\n")))

    def redis(self, service: str, password: str) -> None:
        def answer(connection: socket.socket) -> None:
            right = f"$4\r\nuser\r\n${len(password)}\r\n{password}\r\n".encode() in connection.recv(4096)
            connection.sendall(b"+OK\r\n" if right else b"-WRONGPASS invalid\r\n")
            if right and b"PING" in connection.recv(4096):
                connection.sendall(b"+PONG\r\n")

        self.target(service, "redis", self._serve(answer), user="user", password=password)

    def http(self, service: str, pages: Mapping[str, int | str]) -> None:
        """A web service with a status, or a status and text, by path."""
        self.target(service, "http", self._serve(_http(pages)), path="/health")

    def https(
        self,
        service: str,
        pages: Mapping[str, int | str],
        *,
        hostname: str = "localhost",
        authority: str = "",
    ) -> None:
        self.secured(service, _http(pages), hostname=hostname, authority=authority)

    def secured(
        self, service: str, plain: Answer, *, hostname: str = "localhost", authority: str = ""
    ) -> None:
        """A service over TLS that does with each connection what is given."""
        keyring = Keyring(self.file.parent / authority) if authority else self._keyring
        certificate, key = self.file.with_name("server.crt"), self.file.with_name("server.key")
        certificate.write_text(keyring.server_certificate("server", [hostname]))
        key.write_text(keyring.server_key("server"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        def answer(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as secured:
                plain(secured)

        self.target(service, "https", self._serve(answer), path="/health")

    def stopped(self, service: str, kind: str) -> None:
        """A service whose port nobody listens on."""
        with socket.create_server((LOCALHOST, 0)) as server:
            port = server.getsockname()[1]
        self.target(service, kind, port)

    def frozen(self, service: str, kind: str) -> None:
        """A service that accepts connections, by way of the kernel, and never answers."""
        server = self._stack.enter_context(socket.create_server((LOCALHOST, 0)))
        self.target(service, kind, server.getsockname()[1])

    def unreachable(self, service: str) -> None:
        self.configuration["services"].append(service)
        self.write()

    def _serve(self, answer: Answer) -> int:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    answer(self.request)

        server = self._stack.enter_context(_Server((LOCALHOST, 0), Handler))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self._stack.callback(server.shutdown)
        return int(server.server_address[1])


def _http(pages: Mapping[str, int | str]) -> Answer:
    def answer(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        page = str(pages.get(request.split()[1].decode(), "404 Not Found"))
        status, _space, text = page.partition(" ")
        connection.sendall(f"HTTP/1.0 {status} {text}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())

    return answer
