# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What servers answer over HTTP, bounded in bytes and time, whoever reads it.

The bound lies at the socket, below everything that understands HTTP: endless headers, interim answers, lines of a chunk
and bodies count alike, and one byte a second wins no time. What an answer becomes when it is unpacked is bounded by
`unpacked`, what its JSON becomes in memory by `data.decoded`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import LateError, TooMuchError

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer


@dataclass(frozen=True)
class Bounds:
    """What one answer may cost.

    Attributes:
        server: whose answer it is, for the message.
        size: bytes, headers and all.
        seconds: from the request's last byte to the answer's.
    """

    server: str
    size: int
    seconds: float

    def too_much(self) -> TooMuchError:
        """The error for an answer of more bytes."""
        return TooMuchError(f"{self.server} answers more than {self.size} bytes; it was not read on")

    def late(self) -> LateError:
        """The error for an answer that takes longer."""
        return LateError(f"{self.server} did not answer in {self.seconds:g} s")


class BoundedSocket:
    """A connected socket on which each answer has its bounds; what is sent begins the next one.

    Args:
        connection: plain or TLS.
        bounds: what an answer may cost; reading on raises LateError or TooMuchError.
        clock: monotonic seconds.
    """

    def __init__(
        self, connection: socket.socket, bounds: Bounds, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._bounds = bounds
        self._clock = clock
        self._begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def sendall(self, data: bytes) -> None:
        """Send, in the time that an answer has; raises OSError."""
        self._connection.settimeout(self._bounds.seconds)
        self._connection.sendall(data)
        self._begin()

    def makefile(self, _mode: str = "rb", _buffering: int | None = None) -> io.BufferedReader:
        """Return a reader of what comes; HTTP needs no other mode."""
        return io.BufferedReader(_Counted(self, self._connection.makefile("rb", 0)))

    def read(self, source: io.RawIOBase, buffer: WriteableBuffer) -> int:
        """Read a part into a buffer and return its size, as `io.RawIOBase.readinto` does."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise self._bounds.late()
        self._connection.settimeout(left)
        try:
            count = source.readinto(buffer) or 0
        except TimeoutError as error:
            if error.errno is not None:
                raise  # the kernel gave the connection up (ETIMEDOUT): no bound of ours
            raise self._bounds.late() from error
        self._taken += count
        if self._taken > self._bounds.size:
            raise self._bounds.too_much()
        return count

    def _begin(self) -> None:
        self._taken = 0
        self._deadline = self._clock() + self._bounds.seconds


class _Counted(io.RawIOBase):
    def __init__(self, owner: BoundedSocket, source: io.RawIOBase) -> None:
        self._owner = owner
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._owner.read(self._source, buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class Bounded:
    """Mixed into a connection of `http.client`, or of urllib3, in front of it: every answer on it has its bounds.

    What comes while it connects is not the server's answer and has the connection's own timeouts: a handshake, and what
    a proxy says.

    Attributes:
        bounds: what an answer may cost.
    """

    bounds: Bounds
    sock: Any

    def connect(self) -> None:
        """Connect as the class does that this is mixed into."""
        super().connect()  # type: ignore[misc]
        self.sock = BoundedSocket(self.sock, self.bounds)


def unpacked(parts: Iterable[bytes], bounds: Bounds) -> bytes:
    """Return the parts of a body as one; raises TooMuchError when it is larger than an answer may be, however small it was
    when it came."""
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > bounds.size:
            raise bounds.too_much()
    return bytes(body)
