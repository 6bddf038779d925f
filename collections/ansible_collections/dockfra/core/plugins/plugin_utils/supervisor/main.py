# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The main process of a service that has releases: ``supervise [options] [-- web server …]``.

It holds the listening sockets, of the ports that ``DOCKFRA_PORT_HTTP…`` name, and keeps running what serves. Of kind static
the rest of its command line is the web server, which holds its own.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...module_utils.errors import DockfraError, ReleaseHopelessError, UsageError
from ...module_utils.releases.ids import checked_service
from ...module_utils.releases.links import ROOT, STATES
from .instance import Instance
from .pages import Pages, Server
from .process import Means, Process
from .source import Source, Sources
from .supervisor import Supervisor

APP = "/opt/app"
RUN = "/run/dockfra"
# The root of a web server, in RUN.
SITE = "site"

# Seconds between two looks at the links.
_PERIOD = 0.2
# Seconds within which all has ended, at most.
_END = 8.0
_BACKLOG = 2048


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise until told to stop; returns the exit status."""
    try:
        return _Main(_options(arguments)).run()
    except UsageError as error:
        status, reason = 2, str(error)
    except ReleaseHopelessError as error:
        status, reason = 1, f"What the image brought does not serve: {error}."
    except DockfraError as error:
        status, reason = 1, str(error)
    except OSError as error:
        status, reason = 1, f"{error.filename or 'A socket'}: {error.strerror or error}."
    sys.stderr.write(f"supervise: {reason}\n")
    return status


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="supervise", description="Serve a release, and change to others.")
    parser.add_argument("--app", default=APP, help="what the image brought, with its spec.json (%(default)s)")
    parser.add_argument("--python", help="interpreter with the image's packages (APP/venv/bin/python)")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (%(default)s)")  # noqa: S104
    parser.add_argument("--releases", default=ROOT, help="with one directory, the service's (%(default)s)")
    parser.add_argument("--states", default=STATES, help="with one of the same name (%(default)s)")
    parser.add_argument("--run", default=RUN, help="state that ends with the container (%(default)s)")
    parser.add_argument("server", nargs="*", help="command line of the web server, of kind static")
    return parser.parse_args(arguments)


def own_service(releases: str) -> str:
    """Return the service whose releases are here, empty where there are none.

    Raises:
        UsageError: there are those of several, or of none that can be one.
    """
    try:
        found = [name for name in os.listdir(releases) if not name.startswith(".")]
    except FileNotFoundError:
        return ""
    if len(found) > 1:
        raise UsageError(f"{releases} has the releases of several services: {', '.join(sorted(found))}.")
    return checked_service(found[0]) if found else ""


def ports() -> list[int]:
    """Return the ports to listen on; raises UsageError where the environment names none."""
    named = [text for name, text in sorted(os.environ.items()) if name.startswith("DOCKFRA_PORT_HTTP")]
    if not named or not all(text.isdecimal() and 0 < int(text) < 65536 for text in named):
        raise UsageError("DOCKFRA_PORT_HTTP has to name the port to listen on.")
    return [int(text) for text in named]


def listener(host: str, port: int) -> socket.socket:
    """Return a listening socket for others to accept on; raises OSError."""
    return socket.create_server((host, port), backlog=_BACKLOG)


class _Main:
    def __init__(self, options: argparse.Namespace) -> None:
        service = own_service(options.releases)
        releases = os.path.join(options.releases, service) if service else ""
        sources = Sources(options.app, releases)
        self._name = service or os.path.basename(options.app)
        self._server: Server | None = None
        self._stopped = False
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        folder = os.path.join(options.states, service) if service else ""
        self._supervisor = Supervisor(sources, folder, self._maker(options, sources), self._log)

    def _maker(self, options: argparse.Namespace, sources: Sources) -> Callable[[Source], Instance]:
        if sources.image.spec.kind == "static":
            if not options.server:
                raise UsageError("a web server's command line is missing, of what is of kind static.")
            os.makedirs(options.run, exist_ok=True)
            server = self._server = Server(
                options.server, ("127.0.0.1", ports()[0]), os.path.join(options.run, SITE)
            )
            return lambda source: Pages(source, server)
        means = Means(
            # Isolated from what environment variables and the user's own directories would bring.
            image_python=(options.python or os.path.join(options.app, "venv/bin/python"), "-Iu"),
            # Without the system's packages: a release brings its own.
            release_python=(sys.executable, "-ISu"),
            listen=[listener(options.host, port) for port in ports()],
        )
        return lambda source: Process(source, sources.image, means)

    def run(self) -> int:
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        try:
            while not self._stopped:
                self._supervisor.step()
                self._wait(_PERIOD)
        finally:
            self._end()
        return 0

    def _wait(self, seconds: float) -> None:
        wanted = [self._wake]
        for instance in self._supervisor.instances():
            wanted += instance.descriptors()
        if self._wake in select.select(wanted, [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)

    def _end(self) -> None:
        """End all that was started, for a limited time."""
        deadline = time.monotonic() + _END
        self._supervisor.stop()
        if self._server:
            self._server.stop(2.0)
        while time.monotonic() < deadline:
            for instance in self._supervisor.instances():
                instance.pump()
            if self._server:
                self._server.ended()
            if all(instance.gone for instance in self._supervisor.instances()) and not (
                self._server and self._server.pid
            ):
                return
            self._wait(0.05)

    def _stop(self, _number: int, _frame: Any) -> None:
        self._stopped = True

    def _log(self, event: str, **fields: Any) -> None:
        """Write a line to the container's log."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "supervisor": self._name, "event": event, **fields})
        with contextlib.suppress(OSError):
            os.write(1, f"{line}\n".encode())
