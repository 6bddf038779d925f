# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ports for the servers of tests."""

from __future__ import annotations

import itertools
import os
import socket

# Below those that Linux gives outgoing connections (ip_local_port_range): one of these may take such a port whenever its server is
# restarted. Tests' platforms publish none of them.
_FIRST, _EACH, _PROCESSES = 29_000, 900, 4
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_own = range(_FIRST + _worker * _EACH, _FIRST + (_worker + 1) * _EACH)
# Two runs of the tests side by side begin at different ones.
_begin = os.getpid() % _EACH
_numbers = itertools.cycle([*_own[_begin:], *_own[:_begin]])


def free_port() -> int:
    """Return a port of the loopback at which nothing listens, another one each time; raises OSError where there is none."""
    for port in itertools.islice(_numbers, _EACH):
        with socket.socket() as found:
            # A port that is only waiting for the last packets of what has ended is free to a server.
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError("no port is free for a test's server")
