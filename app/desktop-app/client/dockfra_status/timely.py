"""HTTP in limited time: an answer has to be here when its time is up, however slowly it comes.

The timeout of a socket begins anew with each byte. What headers may have, `http.client` bounds itself.
"""

import io
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import IO, Any
from urllib import request


def handlers(tls: ssl.SSLContext) -> tuple[request.BaseHandler, ...]:
    """Handlers for an opener of urllib: an answer has the seconds that are its timeout there."""
    return _Http(), _Https(context=tls), _Redirects()


class _Reader(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._source = connection.makefile("rb", 0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _Socket:
    """A connected socket that is read until a time."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connection, self._deadline))


class _Timely:
    """Mixed into a connection; it is good for one answer."""

    sock: Any
    timeout: float | None

    def connect(self) -> None:
        deadline = time.monotonic() + (self.timeout or 0)
        super().connect()  # type: ignore[misc]
        self.sock = _Socket(self.sock, deadline)


class _Connection(_Timely, HTTPConnection):
    pass


class _TlsConnection(_Timely, HTTPSConnection):
    pass


class _Http(request.HTTPHandler):
    def http_open(self, req: request.Request) -> HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._tls = context

    def https_open(self, req: request.Request) -> HTTPResponse:
        return self.do_open(_TlsConnection, req, context=self._tls)


class _Redirects(request.HTTPRedirectHandler):
    """Follows without reading what comes with a redirect, which may have no end."""

    def http_error_302(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302
