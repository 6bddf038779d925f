# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A container's way to Docker Engines: the gateways that it reaches, and Docker's own client in front of them.

Where they are comes from the topology: the role of the container has written it down (see `CONFIGURATION`). What passes there
is decided by the gateway; whoever has a shell here reaches it without this module too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ...module_utils.errors import CommandError, LateError, TooMuchError
from ...module_utils.processes import child
from ...module_utils.processes.child import Ended

CONFIGURATION = Path("/etc/dockfra/monitor/docker.json")

# Of Debian's docker-cli; the command of the same name is before it on the PATH.
PROGRAM = "/usr/bin/docker"

# Of the caller's environment only what says how to write: no other engine, no proxy, no version of the API.
_KEPT = ("HOME", "LANG", "LC_ALL", "TERM", "COLUMNS", "LINES", "NO_COLOR", "TZ")

# Bytes that the client may say where its answer is read here.
_MAX_TALK = 64 * 1024
# Of logs: an engine parts lines after 16 KiB.
_MAX_LOG = 8 * 1024 * 1024

# What the engine puts before each line of a log: always as long, so that it sorts as text.
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\S* ")


class Engine(NamedTuple):
    """A Docker Engine that can be asked.

    Attributes:
        docker_host: the inventory's name of its host.
        gateway: the service that leads to it.
        address: of that, as ``DOCKER_HOST`` has it.
        containers: the platform's containers there, by service.
    """

    docker_host: str
    gateway: str
    address: str
    containers: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of Docker's own client."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {**kept, "PATH": "/usr/bin:/bin", "DOCKER_HOST": self.address}

    def run(self, *words: str, timeout: float) -> str:
        """Let Docker's own client do something and return what it says.

        Args:
            words: its arguments.
            timeout: seconds.

        Raises:
            CommandError: it fails; the message is the client's.
            LateError: it takes longer.
        """
        return self._ended(words, timeout, _MAX_TALK).output.decode(errors="replace")

    def logs(self, service: str, *, since: int, most: int, timeout: float) -> list[tuple[str, str]]:
        """Return the last lines that a service has written, of both its outputs in the order of time, each with its time.

        Args:
            service: one of `containers`.
            since: seconds to look back.
            most: lines.
            timeout: seconds; raises as `run` does.
        """
        words = (
            "logs",
            "--timestamps",
            "--since",
            f"{since}s",
            "--tail",
            str(most),
            self.containers[service],
        )
        done = self._ended(words, timeout, _MAX_LOG)
        lines = (done.output + b"\n" + done.errors).decode(errors="replace").split("\n")
        stamped = [line.partition(" ") for line in lines if _STAMP.match(line)]
        return sorted(((time, text) for time, _space, text in stamped), key=lambda line: line[0])[-most:]

    def _ended(self, words: Sequence[str], timeout: float, limit: int) -> Ended:
        """How Docker's own client ended, if it did so without an error; raises as `run` does."""
        try:
            done = child.run([PROGRAM, *words], timeout=timeout, limit=limit, env=self.environment)
        except OSError as error:
            raise CommandError(f"{PROGRAM} cannot be started: {error.strerror}") from error
        except LateError as error:
            raise LateError(f"docker {words[0]}: {error}") from error
        except TooMuchError as error:
            raise CommandError(f"docker {words[0]}: {error}") from error
        if done.status != 0:
            said = done.errors.decode(errors="replace").strip().splitlines() or ["it says nothing"]
            raise CommandError(f"docker {words[0]}: {said[0].removeprefix('Error response from daemon: ')}")
        return done


def load(path: Path | None = None) -> tuple[Engine, ...]:
    """Return the engines that can be asked, the one of this container's own host first; raises CommandError where there is none."""
    path = path or CONFIGURATION
    try:
        found = tuple(
            Engine(
                str(entry["docker_host"]),
                str(entry["gateway"]),
                f"tcp://{entry['host']}:{entry['port']}",
                dict(entry["containers"]),
            )
            for entry in json.loads(path.read_bytes())
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} cannot be read ({type(error).__name__}); run site.yml again") from error
    if not found:
        raise CommandError("no gateway to a Docker Engine can be reached from here; see docs/services.md")
    return found


def of_words(engines: Sequence[Engine], words: Sequence[str]) -> Engine:
    """Return the engine that has a container that one of the words names, else the first."""
    return next(
        (engine for engine in engines if set(words) & set(engine.containers.values())), next(iter(engines))
    )
