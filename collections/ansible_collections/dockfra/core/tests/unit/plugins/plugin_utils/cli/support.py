# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A platform in a temporary directory: the inventory's own policy, tickets, audit logs, and a gate at every place."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.dockfra.core.plugins.module_utils.audit import log as audit
from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import read, verify
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.gate import Gate
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.outcome import Outcome
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

CORE = COLLECTIONS / "ansible_collections" / "dockfra" / "core"
SCRIPTS = CORE / "roles" / "gate" / "files" / "image" / "rootfs" / "usr" / "local"
VARIABLES = yaml.safe_load((COLLECTIONS.parent / "inventories" / "policy.yml").read_text(encoding="utf-8"))[
    "all"
]["vars"]
# The policy as its file says it, for decisions that do not come from the code under test.
AT: dict[str, dict[str, list[str]]] = {
    command: rule["at"] for command, rule in VARIABLES["dockfra_commands"].items()
}
ROLES = ("manager", "autopilot", "monitor", "developer")
PLACES = sorted({place for at in AT.values() for place in at})
SERVICES = {place: f"ssh-{place}" if place in ROLES else place for place in PLACES}
CALLERS = sorted({caller for at in AT.values() for callers in at.values() for caller in callers})

# The first ticket is the developer's, the others are not.
TICKETS: tuple[dict[str, Any], ...] = (
    {"title": "Add user auth", "assigned_to": "developer", "priority": "high"},
    {"title": "Deploy the page", "assigned_to": "monitor"},
    {"title": "Für später, 你好", "description": "Nobody's yet.", "assigned_to": None},
)


def policy_file(place: str) -> dict[str, Any]:
    """What the role ``dockfra.core.gate`` writes for a place."""
    return {
        "place": place,
        "service": SERVICES[place],
        "services": SERVICES,
        "capabilities": VARIABLES["dockfra_capabilities"],
        "commands": VARIABLES["dockfra_commands"],
    }


def one_line(text: str) -> str:
    """Check that a message is one line that a terminal can only print, and return it."""
    assert text, "an error says nothing"
    assert text.isprintable(), ascii(text)
    assert len(text) <= 503, f"{len(text)} characters"
    assert "Traceback" not in text
    return text


class Platform:
    """Places with a policy, tickets and audit logs below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tickets = root / "tickets"
        self.audit = root / "audit"
        self.audit.mkdir(parents=True)
        self.store = TicketStore(self.tickets)
        for fields in TICKETS:
            self.store.create("manager", fields)
        for place in PLACES:
            self.configuration(place).write_text(json.dumps(policy_file(place)), encoding="utf-8")

    def configuration(self, place: str) -> Path:
        return self.root / f"{place}.json"

    def place(self, name: str) -> Place:
        return Place.load(self.configuration(name))

    def log(self, place: str) -> Path:
        return self.audit / f"{SERVICES[place]}.jsonl"

    def entries(self, place: str) -> list[dict[str, Any]]:
        """The audit lines of a place, whose chain is whole."""
        if not self.log(place).exists():
            return []
        chain = verify(self.log(place))
        assert not chain.problems
        assert not chain.torn
        return list(read(self.log(place)))

    def gate(self, caller: str, place: str) -> Gate:
        return Gate(self.place(place), caller, audit.AuditLog(self.log(place)))

    def ask(self, caller: str, place: str, line: str, stdin: bytes = b"") -> Outcome:
        """Send a line to the gate of a place."""
        return self.gate(caller, place).answer(line, io.BytesIO(stdin), Style())


class Box(Platform):
    """A platform whose programs run as processes: those of the image, with their paths below one directory."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.python = root / "python"
        self.lib = root / "lib"
        self.slots = root / "slots"
        self.use("manager")
        collection = self.python / "ansible_collections" / "dockfra" / "core" / "plugins"
        for name in ("module_utils", "plugin_utils"):
            shutil.copytree(
                CORE / "plugins" / name, collection / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for path in collection.rglob("*.py"):
            self._copy(path, path)
        self.lib.mkdir()
        self._copy(SCRIPTS / "bin" / "gate", self.lib / "gate")
        self._copy(SCRIPTS / "lib" / "dockfra" / "command", self.lib / "command")

    def _copy(self, source: Path, target: Path) -> None:
        text = source.read_text(encoding="utf-8")
        for path, here in {
            "/usr/local/lib/dockfra/python": self.python,
            "/shared/tickets": self.tickets,
            "/shared/logs/audit": self.audit,
            "/run/dockfra-gate": self.slots,
            "/etc/dockfra/gate/policy.json": self.root / "policy.json",
        }.items():
            text = text.replace(f'"{path}"', f'"{here}"')
        target.write_text(text, encoding="utf-8")

    def use(self, place: str) -> None:
        """Become the container of a place."""
        (self.root / "policy.json").write_text(json.dumps(policy_file(place)), encoding="utf-8")

    def gate_command(self, caller: str, *options: str) -> list[str]:
        return [sys.executable, "-I", *options, str(self.lib / "gate"), caller]

    def command(self, name: str, *words: str) -> list[str]:
        link = self.lib / name
        if not link.is_symlink():
            link.symlink_to("command")
        return [sys.executable, "-I", str(link), *words]

    def environment(self, line: str | None = None, **variables: str) -> dict[str, str]:
        found = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.root), **variables}
        return found if line is None else {**found, "SSH_ORIGINAL_COMMAND": line}

    def connect(
        self,
        caller: str,
        line: str | None,
        stdin: bytes = b"",
        options: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        **process: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """One connection to the gate, without a terminal."""
        return self.run(
            self.gate_command(caller, *options), self.environment(line, **(variables or {})), stdin, **process
        )

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], stdin: bytes = b"", **process: Any
    ) -> subprocess.CompletedProcess[bytes]:
        if "stdin" not in process:
            process["input"] = stdin
        process.setdefault("stdout", subprocess.PIPE)
        process.setdefault("stderr", subprocess.PIPE)
        return subprocess.run(command, env=environment, cwd="/", timeout=60, check=False, **process)

    def tree(self) -> dict[str, bytes]:
        """Everything in the ticket directory but the lock."""
        return {
            str(path.relative_to(self.tickets)): path.read_bytes()
            for path in sorted(self.tickets.rglob("*"))
            if path.is_file() and not path.is_symlink() and path.name != ".lock"
        }


def message(done: subprocess.CompletedProcess[bytes]) -> str:
    """The one line on the error output of a process."""
    text = done.stderr.decode()
    assert text.endswith("\n"), ascii(text)
    return one_line(text.removesuffix("\n"))


class Tripwire:
    """Tells what a process does beside computing, as Python's audit events say it (PEP 578).

    An audit hook cannot be removed, so there is one in a process, and it looks away unless armed.

    Attributes:
        tripped: what happened while it was armed that may never happen.
        opened: paths that were opened.
    """

    NEVER = re.compile(
        r"subprocess\.|os\.(exec|system|posix_spawn|spawn|fork|startfile|kill|setxattr|putenv|unsetenv|chown|chflags)"
        r"|pty\.|socket\.(connect|bind|sendto|sendmsg|getaddrinfo|gethostby)|ctypes\.|code\.__new__|exec$|compile$"
        r"|shutil\.|tempfile\.|webbrowser|urllib|ftplib|smtplib|http\.|sqlite3|import$|pickle\.|marshal\.loads"
    )
    CHANGES = re.compile(r"os\.(rename|remove|rmdir|mkdir|link|symlink|chmod|truncate|utime)$")

    def __init__(self) -> None:
        self._armed = False
        self._allowed: tuple[str, ...] = ()
        self.tripped: list[str] = []
        sys.addaudithook(self._hook)

    def arm(self, *allowed: Path) -> None:
        """From now on, open nothing outside some directories."""
        self._allowed = tuple(map(str, allowed))
        self.tripped = []
        self._armed = True

    def disarm(self) -> list[str]:
        self._armed = False
        return self.tripped

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if self.NEVER.match(event) or (event == "open" and not self._fine(arguments[0])):
            self._armed = False
            try:
                self.tripped.append(f"{event} {arguments!r:.300}")
            finally:
                self._armed = True
            raise PermissionError(f"tripwire: {event}")
        if self.CHANGES.match(event) and not all(
            self._fine(argument) for argument in arguments if isinstance(argument, (str, bytes, os.PathLike))
        ):
            self.tripped.append(f"{event} {arguments!r:.300}")
            raise PermissionError(f"tripwire: {event}")

    def _fine(self, path: Any) -> bool:
        if isinstance(path, int):
            return True
        text = os.fsdecode(path)
        # A plain name without a directory is one that the ticket store opens below the directory it holds.
        if "/" not in text and text not in ("", ".", ".."):
            return True
        return os.path.normpath(text).startswith(self._allowed) or text == os.devnull
