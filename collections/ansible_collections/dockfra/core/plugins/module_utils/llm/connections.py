# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The connections on which the openai SDK asks: one answer on them has its bounds in bytes and time, whatever a server sends.

Its own timeouts are for each part that comes, so an answer that comes byte by byte would have no end. Nothing here is imported
before something is asked.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from ..answers.http import Bounds
from ..errors import TooMuchError

if TYPE_CHECKING:
    import httpx2


class Limit:
    """What is left of one answer's bounds.

    Args:
        bounds: what it may cost.
        begun: monotonic seconds when it began.

    Attributes:
        bounds: as given.
        deadline: monotonic seconds when it has to be there; it may be set further.
    """

    def __init__(self, bounds: Bounds, begun: float) -> None:
        self.bounds = bounds
        self.deadline = begun + bounds.seconds
        self._taken = 0

    def left(self) -> float:
        """Return the seconds that are left; raises LateError when there are none."""
        rest = self.deadline - time.monotonic()
        if rest <= 0:
            raise self.bounds.late()
        return rest

    def take(self, size: int) -> None:
        """Count bytes that came; raises TooMuchError."""
        self._taken += size
        if self._taken > self.bounds.size:
            raise self.bounds.too_much()


def client(limit: Limit) -> httpx2.Client:
    """Return a client whose answer has a limit, from before the server's name is looked up to the last byte."""
    import httpx2

    made = httpx2.Client(
        # The system's authorities: that of a proxy that looks into TLS is among them, where the host trusts it.
        verify=ssl.create_default_context(),
        timeout=limit.bounds.seconds,
        follow_redirects=False,
        event_hooks={"response": [_plain_only]},
    )
    backend = _backend(limit)
    # The client makes its pools itself, also for proxies, and hands no such thing on to them.
    for transport in (made._transport, *made._mounts.values()):
        if transport is not None:
            transport._pool._network_backend = backend  # type: ignore[attr-defined]
    return made


def _plain_only(response: Any) -> None:
    """Refuse what is packed, although nothing packed was asked for: it may be a thousand times as large."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TooMuchError("its answer is packed")


def _backend(limit: Limit) -> Any:
    """What httpcore connects with."""
    import httpcore2

    class Stream(httpcore2.NetworkStream):
        def __init__(self, inner: httpcore2.NetworkStream) -> None:
            self._inner = inner

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            data = self._inner.read(max_bytes, limit.left())
            limit.take(len(data))
            return data

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._inner.write(buffer, limit.left())

        def close(self) -> None:
            self._inner.close()

        def start_tls(
            self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
        ) -> httpcore2.NetworkStream:
            return Stream(self._inner.start_tls(ssl_context, server_hostname, limit.left()))

        def get_extra_info(self, info: str) -> Any:
            return self._inner.get_extra_info(info)

    class Backend(httpcore2.NetworkBackend):
        def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Any = None,
        ) -> httpcore2.NetworkStream:
            _look_up(host, limit.left())
            return Stream(
                httpcore2.SyncBackend().connect_tcp(host, port, limit.left(), local_address, socket_options)
            )

        def sleep(self, seconds: float) -> None:
            time.sleep(min(seconds, limit.left()))

    return Backend()


def _look_up(host: str, seconds: float) -> None:
    """Wait until a name is looked up, which nothing else bounds; raises TimeoutError. What becomes of it, the connection finds out."""

    def look() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            socket.getaddrinfo(host, None)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"{host} is not looked up in time")
