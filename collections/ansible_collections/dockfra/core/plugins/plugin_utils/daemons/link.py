# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The tunnel's daemon that keeps the links to other Docker hosts open.

A link is OpenSSH's own client, over two hops: an account on the server, and the tunnel there. Which ports it carries stands in the
client's configuration. It is up when the other end says so, which comes after all forwards are there (see the role
``dockfra.core.link``). What ends is started again, at once and then at growing intervals; what hangs ends by itself, by
ServerAliveInterval.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from ...module_utils.processes import child, tree
from ...module_utils.watch import snapshot
from .daemon import Daemon

CONFIGURATION = Path("/etc/dockfra/link/links.json")
SSH_CONFIG = Path("/etc/dockfra/link/ssh_config")

# Where it is written down how the links stand.
STATE = "link.json"

# Seconds between two looks, and between two times that it is written down.
PERIOD = 0.25
WRITE = 5.0

# Seconds before a link that has ended is opened again: at first, and at most. They double with each failure.
FIRST, MOST = 0.25, 2.0

# Seconds that opening may take before it is given up and begun anew.
PATIENCE = 20.0

# Seconds for which a link may be down before the container counts as unhealthy.
GRACE = 30.0

# The other end's word for that everything is there, and the bytes that are kept of what ssh says.
READY = b"ready"
_MOST_SAID = 8192

UP, DOWN, REFUSED = "up", "down", "refused"

# What ssh says where the other side is not who it has to be. Only a person can know why.
_STRANGER = ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED")

# Beside its reason ssh says what is no reason.
_NO_REASON = ("Connection closed", "kex_exchange_identification", "Killed by signal", "Connection to UNKNOWN")


@dataclass
class Standing:
    """How a link stands.

    Attributes:
        tunnel: the other end.
        state: ``up``, ``down``, or ``refused`` where the other side has not the host key that it has to have.
        since: when it became so, in seconds since 1970.
        reconnects: how often it came back after it was up.
        failures: how often it could not be opened since it was up last.
        problem: why it is not up.
    """

    tunnel: str
    state: str = DOWN
    since: float = 0.0
    reconnects: int = 0
    failures: int = 0
    problem: str = ""


class Keeper:
    """Keeps one link open.

    Args:
        tunnel: the other end, as the client's configuration has it.
        config: that configuration.
        tell: gets what happens, for the log.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        tunnel: str,
        config: Path,
        tell: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.standing = Standing(tunnel, since=time.time())
        self._command = ["ssh", "-T", "-F", str(config), "-o", "BatchMode=yes", "--", tunnel]
        self._tell = tell
        self._clock = clock
        self._stack = ExitStack()
        self._process: Popen[bytes] | None = None
        self._heard, self._said = b"", b""
        self._was_up = False
        self._down_since = self._begun = self._next = clock()

    def look(self) -> None:
        """See to the link; opens it where it is due."""
        if self._process is None:
            if self._clock() >= self._next:
                self._open()
            return
        self._read(self._process)
        ended = self._process.poll() is not None
        if self.standing.state != UP and READY in self._heard.split():
            self._is_up()
        if ended:
            self._read(self._process)
            self._over(self._reason())
        elif self.standing.state != UP and self._clock() - self._begun > PATIENCE:
            self._over(f"it was not there within {PATIENCE:g} s")

    def problem(self) -> str:
        """What is wrong for longer than it takes to come back; nothing waits for a person but a strange host key."""
        found = self.standing
        if found.state == REFUSED or (found.state == DOWN and self._clock() - self._down_since > GRACE):
            return f"the link to {found.tunnel} is {found.state}: {found.problem or 'it is not open yet'}"
        return ""

    def close(self) -> None:
        """End the link, and all that it is made of."""
        if self._process is not None:
            # The client starts another one for the first hop, which outlives it where nothing comes through any more.
            tree.end(self._process.pid)
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process = None
        self._stack.close()

    def go_on(self, before: Mapping[str, Any]) -> None:
        """Go on counting where one that ended has stopped."""
        count = before.get("reconnects")
        self.standing.reconnects = count if isinstance(count, int) else 0
        self._was_up = bool(before.get("state") == UP or self.standing.reconnects)

    def _open(self) -> None:
        self._begun = self._clock()
        self._heard = self._said = b""
        try:
            # Its input stays open, and with it the other end's word; what it inherits ends with it.
            self._process = self._stack.enter_context(
                child.started(self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True)
            )
        except OSError as error:
            self._over(f"ssh cannot be started: {error.strerror}")
            return
        for pipe in (self._process.stdout, self._process.stderr):
            os.set_blocking(child.piped(pipe).fileno(), False)

    def _read(self, process: Popen[bytes]) -> None:
        self._heard = (self._heard + _available(process.stdout))[-_MOST_SAID:]
        self._said = (self._said + _available(process.stderr))[-_MOST_SAID:]

    def _is_up(self) -> None:
        reconnects = self.standing.reconnects + self._was_up
        self._was_up = True
        self.standing = Standing(self.standing.tunnel, UP, round(time.time(), 3), reconnects)
        self._tell("up", tunnel=self.standing.tunnel, reconnects=reconnects)

    def _over(self, reason: str) -> None:
        """Note that it is not there, and when it is to be opened again."""
        before = self.standing
        state = REFUSED if any(word.encode() in self._said for word in _STRANGER) else DOWN
        failures = 0 if before.state == UP else before.failures + 1
        if state == REFUSED:
            reason = f"the other side has not the host key that it has to have ({reason}); see docs/link.md"
        if before.state == UP:
            self._down_since = self._clock()
        since = before.since if before.state == state else round(time.time(), 3)
        if (state, reason) != (before.state, before.problem):
            self._tell("down", tunnel=before.tunnel, state=state, problem=reason)
        self.standing = Standing(before.tunnel, state, since, before.reconnects, failures, reason)
        self.close()
        self._next = self._clock() + min(MOST, FIRST * 2 ** min(failures, 10))

    def _reason(self) -> str:
        """What ssh said last that is a reason."""
        lines = [line.strip() for line in self._said.decode(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith(_NO_REASON)] or lines
        # What a server says may be anything.
        legible = "".join(sign if sign.isprintable() else "?" for sign in (told or [""])[-1])[:200]
        return legible or "the connection has ended"


class Links:
    """Keeps links open, and says how they stand.

    Args:
        daemon: whose step it is.
        tunnels: the other ends.
        config: the client's configuration.
    """

    def __init__(self, daemon: Daemon, tunnels: Sequence[str], config: Path = SSH_CONFIG) -> None:
        self._file = daemon.run / STATE
        self._keepers = [Keeper(tunnel, config, daemon.log) for tunnel in tunnels]
        self._written: tuple[float, list[dict[str, Any]]] = (0.0, [])
        before = snapshot.read(self._file, float("inf")) or {}
        known = {
            str(link.get("tunnel")): link for link in before.get("links") or () if isinstance(link, dict)
        }
        for keeper in self._keepers:
            keeper.go_on(known.get(keeper.standing.tunnel, {}))

    def step(self) -> Iterator[str]:
        """See to every link, and write down how they stand; yields what is wrong."""
        for keeper in self._keepers:
            keeper.look()
        now, links = time.monotonic(), self.standings()
        if links != self._written[1] or now - self._written[0] >= WRITE:
            try:
                snapshot.write(self._file, {"links": links})
                self._written = (now, links)
            except OSError as error:
                yield f"{self._file} cannot be written: {error.strerror}"
        for keeper in self._keepers:
            if problem := keeper.problem():
                yield problem

    def standings(self) -> list[dict[str, Any]]:
        """How the links stand, as data."""
        return [asdict(keeper.standing) for keeper in self._keepers]

    def close(self) -> None:
        """End them all."""
        for keeper in self._keepers:
            keeper.close()


def _available(pipe: Any) -> bytes:
    """What is in a pipe now."""
    try:
        return os.read(pipe.fileno(), _MOST_SAID)
    except BlockingIOError:
        return b""


def main() -> int:
    daemon = Daemon("link")
    links = Links(daemon, json.loads(CONFIGURATION.read_bytes()))
    try:
        return daemon.serve(links.step, PERIOD, children=True)
    finally:
        links.close()
