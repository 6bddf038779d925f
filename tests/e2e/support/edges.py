"""Who logs in where, again and again: every role from outside and from its container, and requests that need the logins of services."""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from .platform import LOCALHOST, Platform
from .roles import SERVICE

# Connections at once and requests in a second, both services together.
WORKERS, RATE = 10, 100
# Paths that need the database, or redis: of the backend, and of the mobile backend.
PATHS = (
    ("backend", "/api/devices"),
    ("mobile-backend", "/health"),
    ("backend", "/api/status"),
    ("backend", "/health"),
)

# One server after the other, one in a second; a line for each login that failed, and a dot for one that did not.
_ROUND = """
rm -f /tmp/rotation-stop
while [ ! -e /tmp/rotation-stop ]; do for peer; do
  [ ! -e /tmp/rotation-stop ] || break
  ssh -n -o BatchMode=yes -o ControlPath=none -o ConnectTimeout=5 "$peer" true >/dev/null 2>/tmp/rotation-probe
  if [ $? = 255 ]; then echo "$peer: $(tail -n 1 /tmp/rotation-probe)"; else echo .; fi
  sleep 1
done; done
"""


@dataclass
class Seen:
    """What came of it.

    Attributes:
        good: how many logins or requests went well, by who made them.
        failures: what was said of the others.
    """

    good: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, who: str, failure: str = "") -> None:
        with self._lock:
            self.good[who] = self.good.get(who, 0) + (not failure)
            if failure:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {who}: {failure}")


@contextmanager
def probed(platform: Platform) -> Iterator[Seen]:
    """Each role logs in to its container once a second, and from there to one of the servers that its key opens."""
    seen = Seen()
    threads = [
        threading.Thread(target=_person, args=(platform, role, seen)) for role in SERVICE if role in ROLES
    ]
    rounds = {}
    for key, service in platform.client_keys().items():
        peers = [
            peer.name
            for peer in platform.topology.ssh_peers(service)
            # A tunnel's key is proved by the tunnel.
            if platform.topology.admits(peer.name, key) and key not in peer.tunnels
        ]
        if peers:
            rounds[service] = _round(platform, service, peers)
            threads.append(threading.Thread(target=_listen, args=(service, rounds[service], seen)))
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        seen._ended.set()
        for service, process in rounds.items():
            platform.run(service, "touch", "/tmp/rotation-stop")
            process.wait(60)
        for thread in threads:
            thread.join()


ROLES = ("manager", "autopilot", "developer", "monitor")


def _person(platform: Platform, role: str, seen: Seen) -> None:
    due = time.monotonic()
    while not seen._ended.wait(max(0.0, due - time.monotonic())):
        due = max(due + 1, time.monotonic())
        done = platform.ssh(SERVICE[role], "true", options=("-o", "ControlPath=none"))
        seen.note(f"person {role}", done.stderr.strip() if done.returncode else "")


def _round(platform: Platform, service: str, peers: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        platform.exec(service, "bash", "-c", _ROUND, "probe", *peers),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _listen(service: str, process: subprocess.Popen[str], seen: Seen) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if not seen._ended.is_set():
            seen.note(f"container {service}", "" if line == ".\n" else line.strip())


@contextmanager
def requested(platform: Platform) -> Iterator[Seen]:
    """Requests at a fixed rate on loopback of the services' Docker host, half of them on connections of their own, none repeated."""
    seen = Seen()
    threads = [threading.Thread(target=_work, args=(platform, number, seen)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        seen._ended.set()
        for thread in threads:
            thread.join()


def _work(platform: Platform, worker: int, seen: Seen) -> None:
    service, path = PATHS[worker % len(PATHS)]
    port = platform.published(service, "http")
    platform.engine(service).join_network()
    due = time.monotonic()
    connection: http.client.HTTPConnection | None = None
    while not seen._ended.wait(max(0.0, due - time.monotonic())):
        due = max(due + WORKERS / RATE, time.monotonic() - 1)
        if connection is None or worker % 2:
            if connection:
                connection.close()
            connection = http.client.HTTPConnection(LOCALHOST, port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read(1 << 20)
            # Without redis the status is told all the same, as degraded.
            bad = answer.status != 200 or (path == "/api/status" and b'"cache":"unavailable"' in body)
            seen.note(f"{service}{path}", f"{answer.status} {body[:200]!r}" if bad else "")
        except (OSError, http.client.HTTPException) as error:
            seen.note(f"{service}{path}", f"{type(error).__name__}: {error}")
            connection.close()
            connection = None
    if connection:
        connection.close()
