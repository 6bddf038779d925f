# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The process that serves a release: an ASGI application under uvicorn, on sockets that the supervisor holds.

It is run as a file, by the interpreter of the image's own environment or by one that has the release's packages alone, and so
imports nothing but the standard library and uvicorn. What it is to do comes as JSON lines on the socket whose descriptor is
its only argument, and what it has done goes back there (see `process`).

A release proves that it works before anybody can reach it: its start-up is awaited and its health asked by calling
the application itself. Only then does it accept connections.

From uvicorn it needs what that has had for years: ``Config``, ``Server.serve``, ``Server.startup``, ``lifespan_class``,
``http_protocol_class``, ``server_state.connections``.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import site
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

# Seconds an idle connection of a proxy may go on after the answer that did not close it; Traefik's live for 2 s.
LINGER = 3.0
# Seconds an idle connection is kept while nothing is replaced. The proxy gives it up before: whoever sends on a connection that
# is just being closed gets no answer.
KEEP_ALIVE = 5
# Seconds for one answer about health, and between two questions.
_ANSWER = 5.0
_PAUSE = 0.2
# Seconds for what is under way when the supervisor has ended or says stop.
_STOP = 3.0
_MAX_ORDER = 64 * 1024
_MAX_BODY = 4096
_MAX_REASON = 300

_CLOSE = (b"connection", b"close")

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Line:
    """The connection to the supervisor: JSON lines both ways."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._rest = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def say(self, event: str, reason: str = "") -> None:
        """Tell the supervisor; when that has ended nobody listens, which is noticed elsewhere."""
        data = json.dumps({"event": event, "reason": reason[:_MAX_REASON]}).encode() + b"\n"
        try:
            self._socket.sendall(data)
        except OSError:
            return

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what has come, waiting for at least a part; raises EOFError when the supervisor has ended."""
        part = self._socket.recv(_MAX_ORDER)
        if not part:
            raise EOFError
        *lines, self._rest = (self._rest + part).split(b"\n")
        yield from map(json.loads, lines)


class Worker:
    """One application.

    Args:
        line: the connection to the supervisor.
        order: the first thing that the supervisor said: ``app``, ``factory``, ``headers``, ``paths``, ``packages``,
            ``listen`` (descriptors), ``prove`` (whether health is asked first), ``health`` and ``pages``.
    """

    def __init__(self, line: Line, order: Mapping[str, Any]) -> None:
        self.line, self.order = line, order
        self.app: Any = None
        self.server: Any = None
        self.accepted = asyncio.Event()
        self.stopping = False
        self.draining = False
        self.active = 0
        # When the last answer ended that let its connection live on, or when that began to matter.
        self.lingers_since = 0.0

    def run(self) -> int:
        """Serve until told to stop; returns the exit status."""
        try:
            self.server = self._prepared()
        except BaseException as error:
            self.line.say("failed", f"it does not start: {_described(error)}")
            raise
        try:
            self.server.run(sockets=self._sockets())
        except SystemExit as ended:
            # uvicorn's way to say that the start-up was not completed.
            return 0 if self.stopping else int(ended.code or 0)
        return 0

    def _prepared(self) -> Any:
        sys.path[:0] = self.order["paths"]
        if self.order["packages"]:
            # As the interpreter does it: files of packages may name further places.
            site.addsitedir(self.order["packages"])
        uvicorn = importlib.import_module("uvicorn")
        # Logging is set up here, before the application says how much it wants of it.
        config = uvicorn.Config(
            self,
            interface="asgi3",
            loop="asyncio",
            access_log=False,
            server_header=False,
            headers=list(self.order["headers"].items()),
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=int(_STOP),
        )
        self.app = self._application()
        config.load()
        config.lifespan_class = self._gate(config.lifespan_class)
        if self.order["release"]:
            config.http_protocol_class = _named(config.http_protocol_class)
        return self._telling(uvicorn.Server)(config)

    def _application(self) -> Any:
        module, _colon, attribute = self.order["app"].partition(":")
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found() if self.order["factory"] else found

    def _sockets(self) -> list[socket.socket]:
        """Copies of the listening sockets: each time it stops to accept it closes its own."""
        return [socket.socket(fileno=os.dup(descriptor)) for descriptor in self.order["listen"]]

    # The application, as uvicorn sees it ----------------------------------------------------------------------------

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._explaining(send))
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        closes = False

        async def closing(message: Mapping[str, Any]) -> None:
            nonlocal closes
            if self.draining and message["type"] == "http.response.start":
                closes = True
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        self.active += 1
        try:
            await self.app(scope, receive, closing)
        finally:
            self.active -= 1
            if not closes:
                self.lingers_since = time.monotonic()

    def _explaining(self, send: Send) -> Send:
        async def explaining(message: Mapping[str, Any]) -> None:
            if message["type"] == "lifespan.startup.failed":
                said = str(message.get("message", "")).strip().rpartition("\n")[2]
                self.line.say("failed", f"it does not start: {said}")
            await send(message)

        return explaining

    # Between start-up and the first connection ----------------------------------------------------------------------

    def _gate(self, base: Any) -> Any:
        worker = self

        class Gate(base):
            """uvicorn's start-up of the application, which ends only when connections are wanted."""

            should_exit: bool

            async def startup(self) -> None:
                if worker.accepted.is_set():
                    return  # it accepts again, after it had stopped to
                worker.listen()
                await super().startup()
                if self.should_exit:
                    worker.line.say("failed", "it does not start")
                    return
                await worker.server.on_tick(0)  # makes the headers of all answers
                await worker.wait_for_connections(self.state)
                if worker.stopping:
                    await super().shutdown()
                    self.should_exit = True

        return Gate

    def _telling(self, base: Any) -> Any:
        worker = self

        class Telling(base):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets=sockets)
                worker.line.say("accepting")

        return Telling

    def listen(self) -> None:
        """From now on do what the supervisor says."""
        asyncio.get_running_loop().add_reader(self.line.fileno(), self._hear)

    async def wait_for_connections(self, state: Mapping[str, Any]) -> None:
        """Return when the application has proved that it works and connections are wanted, or the end is."""
        if not self.order["prove"] or await self._healthy(state):
            self.line.say("proved")
        await self.accepted.wait()

    async def _healthy(self, state: Mapping[str, Any]) -> bool:
        told = ""
        while not self.stopping:
            final, reason = await self._health(state)
            if not reason:
                return True
            if final or reason != told:
                self.line.say("refused" if final else "unhealthy", reason)
                told = reason
            if final:
                return False
            await asyncio.sleep(_PAUSE)
        return False

    async def _health(self, state: Mapping[str, Any]) -> tuple[bool, str]:
        """Whether asking again makes no sense, and what is wrong; nothing is where the reason is empty."""
        status, body = await self._ask(self.order["health"], state)
        if status != 200:
            refused = _refusal(body)
            return bool(refused), refused or f"{self.order['health']} answers {_shown(status, body)}"
        for page in self.order["pages"]:
            status, body = await self._ask(page, state)
            if not 0 < status < 400:
                return False, f"{page} answers {_shown(status, body)}"
        return False, ""

    async def _ask(self, path: str, state: Mapping[str, Any]) -> tuple[int, bytes]:
        """Return status and body of an answer; 0 and the reason where there is none."""
        plain, _mark, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
            "state": dict(state),
        }
        question, answer = _Question(), _Answer()
        try:
            await asyncio.wait_for(self.app(scope, question, answer), _ANSWER)
        except TimeoutError:
            return 0, f"nothing for {_ANSWER:g} s".encode()
        except Exception as error:  # noqa: BLE001  whatever foreign code raises
            # Frameworks answer with an error and raise it then; an answer that began well and broke off is none.
            return answer.status if answer.status >= 400 else 0, _described(error).encode()
        return answer.status, bytes(answer.body)

    # What the supervisor says ---------------------------------------------------------------------------------------

    def _hear(self) -> None:
        try:
            for order in self.line.read():
                self._do(order)
        except (EOFError, OSError):
            # Nobody holds the sockets any more: what is under way ends, and another supervisor starts afresh.
            asyncio.get_running_loop().remove_reader(self.line.fileno())
            self._stop(_STOP)

    def _do(self, order: Mapping[str, Any]) -> None:
        match order["do"]:
            case "accept":
                self.accepted.set()
            case "drain":
                self._drain()
            case "resume":
                self.draining = False
                self._spawn(self.server.startup(sockets=self._sockets()))
            case "ping":
                self.line.say("pong")
            case "stop":
                self._stop(order["seconds"])

    def _drain(self) -> None:
        """Accept nothing any more and close each connection with its next answer; says when all are through."""
        self.draining = True
        self.lingers_since = time.monotonic()
        loop, servers = asyncio.get_running_loop(), list(self.server.servers)
        for server in servers:
            for sock in server.sockets:
                loop.remove_reader(sock.fileno())
        self._spawn(self._tell_drained(servers))

    async def _tell_drained(self, servers: list[Any]) -> None:
        # asyncio drops what it has accepted and not yet made a connection of when its server is closed in between.
        await asyncio.sleep(_PAUSE)
        for server in servers:
            server.close()
        while self.draining:
            quiet = not self.active and time.monotonic() - self.lingers_since >= LINGER
            if quiet or not self.server.server_state.connections:
                self.line.say("drained")
                return
            await asyncio.sleep(_PAUSE)

    def _stop(self, seconds: float) -> None:
        self.stopping = True
        self.server.config.timeout_graceful_shutdown = seconds
        self.server.should_exit = True
        self.accepted.set()

    def _spawn(self, work: Any) -> None:
        # The loop alone would not keep it.
        self._work = asyncio.get_running_loop().create_task(work)


class _Question:
    """The receiving side of a request without a body, whose client stays."""

    def __init__(self) -> None:
        self._asked = False

    async def __call__(self) -> Mapping[str, Any]:
        if self._asked:
            await asyncio.Event().wait()
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}


class _Answer:
    """The sending side: status and the beginning of the body."""

    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")[: _MAX_BODY - len(self.body)]


def _named(base: Any) -> Any:
    """uvicorn's protocol, whose answer to what is no HTTP has the headers of all others."""

    class Named(base):
        def send_400_response(self, msg: str) -> None:
            body = msg.encode("ascii", "replace")
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
                _CLOSE,
            ]
            lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers)]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            self.transport.close()

    return Named


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0]


def _refusal(body: bytes) -> str:
    """Why an application will not serve, whatever is waited for: ``refused`` in what it says of its health."""
    try:
        found = json.loads(body)["refused"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _shown(status: int, body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return f"{status} {text}".strip() if status else text or "nothing"


def main(arguments: list[str]) -> int:
    line = Line(int(arguments[1]))
    while True:
        for order in line.read():
            return Worker(line, order).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
