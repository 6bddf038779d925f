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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...module_utils.watch import snapshot
from ..cli.links import DOWN, UP
from .client import Client
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

# The other end's word for that everything is there, and the bytes among which it is looked for.
READY = b"ready"
_MOST_HEARD = 1024

REFUSED = "refused"

# What ssh says where the other side is not who it has to be. Only a person can know why.
_STRANGER = ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED")


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
        self._client: Client | None = None
        self._heard = b""
        self._was_up = False
        self._down_since = self._begun = self._next = clock()

    def look(self) -> None:
        """See to the link; opens it where it is due."""
        if self._client is None:
            if self._clock() >= self._next:
                self._open()
            return
        ended = self._client.ended()
        self._heard = (self._heard + self._client.read())[-_MOST_HEARD:]
        if self.standing.state != UP and READY in self._heard.split():
            self._is_up()
        if ended:
            self._over(self._client.reason() or "the connection has ended")
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
        if self._client is not None:
            self._client.close()
            self._client = None

    def go_on(self, before: Mapping[str, Any]) -> None:
        """Go on counting where one that ended has stopped."""
        count = before.get("reconnects")
        self.standing.reconnects = count if isinstance(count, int) else 0
        self._was_up = bool(before.get("state") == UP or self.standing.reconnects)

    def _open(self) -> None:
        self._begun = self._clock()
        self._heard = b""
        try:
            # Its input stays open, and with it the session of the other end.
            self._client = Client(self._command)
        except OSError as error:
            self._over(f"ssh cannot be started: {error.strerror}")

    def _is_up(self) -> None:
        reconnects = self.standing.reconnects + self._was_up
        self._was_up = True
        self.standing = Standing(self.standing.tunnel, UP, round(time.time(), 3), reconnects)
        self._tell("up", tunnel=self.standing.tunnel, reconnects=reconnects)

    def _over(self, reason: str) -> None:
        """Note that it is not there, and when it is to be opened again."""
        before = self.standing
        said = self._client.said.decode(errors="replace") if self._client else ""
        state = REFUSED if any(word in said for word in _STRANGER) else DOWN
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


def main() -> int:
    daemon = Daemon("link")
    links = Links(daemon, json.loads(CONFIGURATION.read_bytes()))
    try:
        return daemon.serve(links.step, PERIOD, children=True)
    finally:
        links.close()
