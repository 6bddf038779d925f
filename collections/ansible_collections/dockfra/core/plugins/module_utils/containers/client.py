# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of the Docker Engine API, with nothing but Python's library.

A run with nothing to do asks the engine a few questions, and most of its time would go into the import of an SDK. What
changes something is done by the modules of ``community.docker``.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import struct
import tarfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ..answers.data import decoded
from ..answers.http import Bounded, Bounds
from ..errors import EngineError, LateError, TooMuchError

_DEFAULT_SOCKET = "/var/run/docker.sock"
_TLS_PORT = 2376
_PLAIN_PORT = 2375

# More than this is no answer of an engine: bytes, and values of its JSON.
_MAX_ANSWER = 64 * 1024 * 1024
_MAX_VALUES = 8_000_000


class NotFoundError(EngineError):
    """The engine does not have what was asked for."""


class Client:
    """Asks one engine, over one connection.

    Args:
        environment: names the engine as for Docker's own client: ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY`` and
            ``DOCKER_CERT_PATH``; without them it is the local socket.
        timeout: seconds for an answer, all of it.
        size: bytes that an answer may have.

    Raises:
        EngineError: the environment names no engine that can be asked.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        timeout: float = 60,
        size: int = _MAX_ANSWER,
    ) -> None:
        self._size = size
        self._connection = _connection(os.environ if environment is None else environment, timeout)
        self._connection.bounds = Bounds(self._connection.host, size, timeout)

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON answer; raises NotFoundError and EngineError."""
        body = self.read(path, **query)
        try:
            return decoded(body, _MAX_VALUES)
        except (ValueError, TooMuchError) as error:
            raise EngineError(f"its answer to {path} is no JSON that can be read: {error}") from error

    def read(self, address: str, /, **query: str) -> bytes:
        """Return the answer as it is; raises NotFoundError and EngineError."""
        status, body = self._ask(address, query)
        if status < 300:
            return body
        try:
            message = str(decoded(body, _MAX_VALUES)["message"])
        except (ValueError, TypeError, KeyError, TooMuchError):
            message = f"HTTP {status}"
        raise (NotFoundError if status == 404 else EngineError)(message)

    def file(self, container: str, path: str, size: int) -> bytes | None:
        """Return what is in a file of a container, also of one that does not run.

        Args:
            container: its name or id.
            path: of the file; links on the way to it are followed.
            size: bytes that are read of it.

        Returns: None where there is no such file, or no container.

        Raises:
            EngineError: the engine refuses, or what it sends is no file.
        """
        try:
            packed = self.read(f"/containers/{container}/archive", path=path)
        except NotFoundError:
            return None
        try:
            with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
                member = archive.next()
                content = archive.extractfile(member) if member and member.isreg() else None
                return content.read(size) if content else None
        except (tarfile.TarError, OSError) as error:
            raise EngineError(f"{path} of {container} does not come as a file: {error}") from error

    def log(self, container: str, lines: int) -> str:
        """Return the end of a container's log."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines)}
        rest, text = self.read(f"/containers/{container}/logs", **query), b""
        # Each piece comes with its stream, three bytes of padding, and its length.
        while len(rest) >= 8:
            (length,) = struct.unpack(">4xL", rest[:8])
            text, rest = text + rest[8 : 8 + length], rest[8 + length :]
        return text.decode(errors="replace")

    def _ask(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        address = urllib.parse.quote(path, safe="/:@") + (
            f"?{urllib.parse.urlencode(query)}" if query else ""
        )
        try:
            try:
                answer = self._answer(address)
            except ConnectionError:
                # The engine has closed the kept connection meanwhile.
                self.close()
                answer = self._answer(address)
            # Not more than that is asked for, or an announced length would take the memory before the first byte comes.
            return answer.status, answer.read(self._size)
        except (LateError, TooMuchError) as error:
            self.close()  # the rest of it would be taken for the next answer
            raise EngineError(f"{error} (asked for {path})") from error
        except TimeoutError as error:
            raise EngineError(f"no answer in {self._connection.timeout:g} s") from error
        except OSError as error:
            raise EngineError(f"{self._connection.host}: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            raise EngineError(
                f"{self._connection.host}: what answers is no Docker Engine ({str(error) or type(error).__name__})"
            ) from error

    def _answer(self, address: str) -> http.client.HTTPResponse:
        self._connection.request("GET", address, headers={"Host": "docker"})
        return self._connection.getresponse()

    def close(self) -> None:
        """End the connection; the next question opens another."""
        self._connection.close()


class _PlainConnection(Bounded, http.client.HTTPConnection):
    """HTTP over TCP."""


class _SecureConnection(Bounded, http.client.HTTPSConnection):
    """HTTP over TLS."""


class _Socket(http.client.HTTPConnection):
    """HTTP over a unix socket, whose path stands for the host."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)

    def _get_hostport(self, host: str, port: int | None) -> tuple[str, int]:
        return host, 0  # a path may have colons


class _SocketConnection(Bounded, _Socket):
    """The same with bounds."""


_Connection: TypeAlias = "_PlainConnection | _SecureConnection | _SocketConnection"


def _connection(environment: Mapping[str, str], timeout: float) -> _Connection:
    address = environment.get("DOCKER_HOST") or f"unix://{_DEFAULT_SOCKET}"
    scheme, _separator, rest = address.partition("://")
    if scheme == "unix" and rest:
        return _SocketConnection(rest, timeout=timeout)
    parts = urllib.parse.urlsplit(address)
    if scheme not in ("tcp", "http", "https") or not parts.hostname:
        raise EngineError(
            f"DOCKER_HOST is '{address}'; write unix:///path or tcp://host:port, and for another machine let the "
            "inventory say where it is (ansible_host)"
        )
    secure = scheme == "https" or bool(environment.get("DOCKER_TLS_VERIFY"))
    try:
        port = parts.port or (_TLS_PORT if secure else _PLAIN_PORT)
    except ValueError as error:
        raise EngineError(f"DOCKER_HOST is '{address}', whose port is no number") from error
    if not secure:
        return _PlainConnection(parts.hostname, port, timeout=timeout)
    folder = Path(environment.get("DOCKER_CERT_PATH") or "~/.docker").expanduser()
    try:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as error:
        raise EngineError(
            f"the certificates in {folder} cannot be read: {error.strerror or error}"
        ) from error
    return _SecureConnection(parts.hostname, port, timeout=timeout, context=context)
