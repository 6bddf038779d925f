# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Verify that every service does its work and that no audit log was tampered with.

Asks what status asks, then pages of the web services, the routes through the reverse proxy, the SSH host keys, whether each
service runs the release that its bastion says, and of other Docker hosts whether the links stand and the audit logs come;
compares each audit log with the monitor's own copy, and follows its chain. How far each log had come is remembered in
~/.local/state/dockfra, so that one that was cut off or written anew is found, and the next time only what is new is read. The
exit status is 0 only if all is well.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from ....module_utils.audit import chain as audit
from ....module_utils.audit import copies
from ....module_utils.audit.files import DIRECTORY
from ....module_utils.errors import AuditError, CommandError, LateError, TooMuchError
from ....module_utils.files import atomic
from ....module_utils.probes.probe import Target
from ....module_utils.processes import child
from ...cli import bastions, fleets, health, links, live
from ...cli.call import Call
from ...cli.output import Style
from ...deploys import serving

EXAMPLES: list[str] = ["verify", "verify --json", "verify --watch 60"]

# Seconds; a long audit log is read from its beginning the first time.
TIME_LIMIT = 900.0

# Seconds for all services together, and again for all that is asked after that.
TIMEOUT = 3.0

# The lowest HTTP status that is no page.
PAGE_BELOW = 400

# Bytes that ssh may say about a host key.
MAX_TALK = 256 * 1024

# Seconds after which a line that had no end is looked at again: its writer may have been at it.
PAUSE = 0.2

LOGS = Path(DIRECTORY)
COPIES = Path(copies.DIRECTORY)
HEADS = Path("~/.local/state/dockfra/audit-heads.json")
KNOWN_HOSTS = Path("/etc/dockfra/ssh/known_hosts")


def arguments(parser: argparse.ArgumentParser) -> None:
    live.add_argument(parser)


def run(call: Call) -> dict[str, Any] | None:
    found: dict[str, Any] | None = live.show(call, lambda: _verified(call), render, TIME_LIMIT)
    return found


def _verified(call: Call) -> dict[str, Any]:
    configuration = health.Configuration.load()
    services = health.services(configuration, TIMEOUT)
    # What is down already fails at everything else; one line says so.
    up = {service["service"] for service in services if service["state"] == health.UP}
    said = bastions.ask(call.place)
    checks = [
        *_pages(configuration, up),
        *_host_keys(configuration, up, call.place.service),
        *_releases(configuration, up, said),
        *_devices(fleets.compared(fleets.ask(call.place), said)),
        *_links(links.asked(call)),
    ]
    logs, heads_problem = _logs(configuration.audit_logs)
    return {
        "services": services,
        "checks": checks,
        "audit": logs,
        "problems": [
            *_service_problems(services),
            *(
                f"{check['service']}: {check['check']}: {check['detail']}"
                for check in checks
                if not check["ok"]
            ),
            *(f"{log['file']}: {problem}" for log in logs for problem in log["problems"]),
            *heads_problem,
        ],
    }


def render(data: dict[str, Any] | None, style: Style) -> str:
    if data is None:
        return ""
    services, logs = data["services"], data["audit"]
    lines = [
        health.summary(services, style),
        f"{sum(check['ok'] for check in data['checks'])} of {len(data['checks'])} further checks passed",
        f"{sum(not log['problems'] for log in logs)} of {len(logs)} audit logs are whole,"
        f" {sum(log['lines'] for log in logs)} lines",
    ]
    for log in logs:
        lines += [
            style.paint(
                f"{log['file']}: line {number} was cut off while it was written; the log goes on", "dim"
            )
            for number in log["torn"]
        ]
    lines += [style.paint(problem, "red") for problem in data["problems"]]
    return "\n".join(lines)


def exit_status(data: dict[str, Any] | None) -> int:
    return int(data is not None and bool(data["problems"]))


# Services -----------------------------------------------------------------------------------------------------------


def _service_problems(services: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for service in services:
        for probe in service["probes"]:
            if probe["state"] != health.UP:
                yield f"{service['service']}: {probe['port']} at {probe['address']} is {probe['state']}: {probe['detail']}"


def _pages(configuration: health.Configuration, up: set[str]) -> list[dict[str, Any]]:
    """Ask for the services' own pages, and for those that people see through the reverse proxy."""
    wanted: list[tuple[str, Target]] = []
    proxies = [
        target for _name, target in configuration.targets if target.kind == "https" and target.service in up
    ]
    for _name, target in configuration.targets:
        if target.kind == "http" and target.service in up:
            for path in configuration.pages.get(target.service, ()):
                wanted.append((f"page {path}", replace(target, path=path, below=PAGE_BELOW)))
    for route in configuration.routes:
        if route.service in up or not _is_known(configuration, route.service):
            path = route.reach(configuration.pages.get(route.service, ()))
            for proxy in proxies:
                through = replace(proxy, service=route.service, path=path, below=route.below)
                wanted.append((f"{path} through {proxy.service}", through))
    found = []
    results = health.ask(configuration, [target for _check, target in wanted], TIMEOUT)
    for (check, target), result in zip(wanted, results, strict=True):
        state, detail = health.judge(result)
        # Anything else may come from the proxy itself, or from the service of another route.
        found.append({"service": target.service, "check": check, "ok": state == health.UP, "detail": detail})
    return found


def _is_known(configuration: health.Configuration, service: str) -> bool:
    return any(target.service == service for _name, target in configuration.targets)


# SSH host keys ------------------------------------------------------------------------------------------------------


def _host_keys(configuration: health.Configuration, up: set[str], own: str) -> list[dict[str, Any]]:
    """Let ssh compare the key that each other SSH server shows with the one that is pinned."""
    pinned = _pinned()
    targets = [
        target
        for _name, target in configuration.targets
        if target.kind == "ssh" and target.service in up and target.service != own
    ]
    with ThreadPoolExecutor(8) as pool:
        problems = pool.map(lambda target: _key_problem(target, target.service in pinned), targets)
        return [
            {
                "service": target.service,
                "check": "host key",
                "ok": not problem,
                "detail": problem or "as pinned",
            }
            for target, problem in zip(targets, problems, strict=True)
        ]


def _key_problem(target: Target, is_pinned: bool) -> str:
    if not is_pinned:
        return f"none is pinned in {KNOWN_HOSTS}; run site.yml again"
    # Nobody logs in: ssh only says what it thinks of the server's key. The program ssh-keyscan agrees on no algorithm
    # with servers as strict as these.
    command = [
        *("ssh", "-T", "-p", str(target.port), "-o", f"HostKeyAlias={target.service}"),
        *("-o", f"UserKnownHostsFile={KNOWN_HOSTS}", "-o", "BatchMode=yes", "-o", "LogLevel=DEBUG1"),
        *("-o", "PreferredAuthentications=none", "-o", f"ConnectTimeout={TIMEOUT:.0f}", "--", target.host),
    ]
    try:
        done = child.run(command, timeout=TIMEOUT + 2, limit=MAX_TALK)
    except OSError as error:
        return f"ssh cannot be started: {error.strerror}"
    except LateError:
        return f"no answer in {TIMEOUT:g} s"
    except TooMuchError as error:
        return f"ssh: {error}"
    said = done.errors.decode(errors="replace")
    if re.search(r"^debug1: Host '.*' is known and matches the ", said, re.MULTILINE):
        return ""
    if "Host key verification failed" in said:
        return "it is not the one that is pinned: somebody else answers, or it was changed"
    return f"ssh says: {(said.strip().splitlines() or ['nothing'])[-1]}"


def _pinned() -> set[str]:
    """The services whose key is pinned."""
    try:
        return {line.split()[0] for line in KNOWN_HOSTS.read_text().splitlines() if line.strip()}
    except OSError as error:
        raise CommandError(f"{KNOWN_HOSTS} cannot be read: {error.strerror}; run site.yml again") from error


# Releases -----------------------------------------------------------------------------------------------------------


def _releases(
    configuration: health.Configuration, up: set[str], said: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Compare what each service runs with what its bastion says, and with what it says itself over HTTP."""
    for entry in said:
        problem = entry["problem"] or _release_problem(configuration, up, entry)
        # While somebody changes from one release to another, nobody can tell.
        if problem and entry["held"] and entry["service"]:
            problem = ""
        yield {
            "service": entry["service"] or entry["bastion"],
            "check": "release",
            "ok": not problem,
            "detail": problem or f"{_named(entry['running'])}, as {entry['bastion']} says",
        }


def _devices(said: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Say of each device whether it is where its service is."""
    for entry in said:
        yield {
            "service": entry["device"] or entry["bastion"],
            "check": "device",
            "ok": not entry["problem"],
            "detail": entry["problem"] or f"{_named(entry['current'])}, as {entry['bastion']} says",
        }


def _links(said: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Say of each link to another Docker host whether it is up, and what is wrong with the audit logs there that this container has mirrors of."""
    for link in said["links"]:
        up = link["state"] == links.UP
        detail = link["state"] if up else f"is {link['state']}: {link['problem'] or 'it is not open yet'}"
        yield {"service": link["tunnel"], "check": "link", "ok": up, "detail": detail}
    if said["links"]:
        problem = "; ".join(said["problems"])
        yield {
            "service": "audit",
            "check": "logs of other servers",
            "ok": not problem,
            "detail": problem or "they come",
        }


def _release_problem(configuration: health.Configuration, up: set[str], entry: Mapping[str, Any]) -> str:
    service, running, current = entry["service"], entry["running"], entry["current"]
    if running != current:
        return (
            f"runs {_named(running)}, and {entry['bastion']} says {_named(current)}; see release-status there"
        )
    for _name, target in configuration.targets:
        if target.service == service and target.kind == "http" and service in up:
            page = next(iter(configuration.pages.get(service, ())), target.path)
            try:
                _status, shown = serving.asked(service, target.host, target.port, page)
            except (OSError, HTTPException, LateError, TooMuchError) as error:
                return f"does not answer {page}: {str(error) or type(error).__name__}"
            if shown != running:
                return f"answers {page} as {_named(shown)}, and {entry['bastion']} says {_named(current)}"
    return ""


def _named(release: str | None) -> str:
    if release is None:
        return "nobody knows what"
    return release or "what its image brought"


# Audit logs ---------------------------------------------------------------------------------------------------------


class Memory(NamedTuple):
    """What is remembered of a log.

    Attributes:
        head: how far it had come when it was sound.
        compared: its files that were the same as their copies (see `copies.compare`).
    """

    head: audit.Head
    compared: Mapping[str, list[int]] = {}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Memory:
        """Raises KeyError, TypeError, ValueError, AttributeError."""
        head = audit.Head(
            int(data["lines"]), str(data["hash"]), int(data.get("generation", 1)), int(data.get("offset", 0))
        )
        return cls(head, {str(key): list(state) for key, state in data.get("compared", {}).items()})

    def to_dict(self) -> dict[str, Any]:
        return {**self.head._asdict(), "compared": self.compared}


def _logs(expected: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Verify every log that is here or should be, and remember how far the sound ones have come."""
    memories, problems = _read_memories()
    names = sorted({*expected, *(path.stem for path in LOGS.glob("*.jsonl"))})
    found = []
    new = dict(memories)
    for name in names:
        log, memory = _log(name, memories.get(name))
        found.append(log)
        if memory is not None:
            new[name] = memory
    if not problems and new != memories:
        problems = _write_memories(new)
    return found, problems


def _log(name: str, seen: Memory | None) -> tuple[dict[str, Any], Memory | None]:
    path = LOGS / f"{name}.jsonl"
    log: dict[str, Any] = {"service": name, "file": str(path), "lines": 0, "torn": [], "problems": []}
    if not os.path.lexists(path) or (path.is_symlink() and not path.exists()):
        return log | {"problems": ["there is no log; it was removed, or its container never started"]}, None
    try:
        compared = copies.compare(path, COPIES / name, seen.compared if seen else None)
        chain = _chain(path, seen.head if seen else None, compared)
    except AuditError as error:
        return log | {"problems": [str(error)]}, None
    problems = [*compared.problems, *chain.problems]
    torn = list(chain.torn)
    if chain.unfinished:
        torn = [number for number in torn if number != chain.lines]
        problems.append(
            f"line {chain.lines} was cut off while it was written, and nothing has gone on from it"
        )
    memory = Memory(chain.head, compared.compared) if not (chain.problems or compared.problems) else None
    return log | {"lines": chain.lines, "torn": torn, "problems": problems}, memory


def _chain(path: Path, seen: audit.Head | None, compared: copies.Comparison) -> audit.Chain:
    """Follow a log's chain: what the copy vouches for is not read again."""
    vouched = (
        seen is not None and not compared.problems and compared.reaches >= (seen.generation, seen.offset)
    )
    chain = audit.verify(path, seen, resume=vouched)
    if chain.unfinished:
        time.sleep(PAUSE)
        chain = audit.verify(path, seen, resume=vouched)
    return chain


def _read_memories() -> tuple[dict[str, Memory], list[str]]:
    path = HEADS.expanduser()
    try:
        data = json.loads(path.read_bytes())
        return {name: Memory.from_dict(memory) for name, memory in data.items()}, []
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{path} cannot be read ({type(error).__name__})"
        return {}, [f"{reason}: how far the logs had come is unknown; remove it once you know why"]


def _write_memories(memories: Mapping[str, Memory]) -> list[str]:
    path = HEADS.expanduser()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = {service: memory.to_dict() for service, memory in sorted(memories.items())}
        atomic.replace(path, json.dumps(data, indent=2).encode(), mode=0o600)
    except OSError as error:
        return [f"{path} cannot be written: {error.strerror}; how far the logs have come is not remembered"]
    return []
