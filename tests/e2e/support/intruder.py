"""What somebody with a full shell in a container can try against the rights of others. Runs inside the container.

Reads a request as JSON from standard input and prints what was possible. It knows no pinned host keys, uses every private key
it can read, and tries every server under every address. What is its own it must find by the same means: a search that finds
nothing proves nothing otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_SKIP = ("/proc", "/sys", "/dev", "/usr", "/lib", "/var/lib/dpkg")
_MAX_FILE = 4 * 1024 * 1024


def files() -> Iterator[str]:
    """Every regular file that is not part of the distribution."""
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if not os.path.join(folder, name).startswith(_SKIP)]
        for name in names:
            yield os.path.join(folder, name)


def readable(needles: list[bytes]) -> tuple[list[str], list[list[str]], list[str]]:
    """Return (private keys, files with the needles in them, Unix sockets) among all that can be read."""
    keys: list[str] = []
    found: list[list[str]] = []
    sockets: list[str] = []
    for path in files():
        try:
            status = os.lstat(path)
            if stat.S_ISSOCK(status.st_mode):
                sockets.append(path)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE:
                continue
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        if content.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----"):
            keys.append(path)
        found += [[needle.decode(), path] for needle in needles if needle in content]
    return keys, found, sockets


def environments(needles: list[bytes]) -> list[list[str]]:
    """Processes whose environment or arguments can be read, with the needles in them."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("environ", "cmdline"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    content = file.read()
            except OSError:
                continue
            found += [[needle.decode(), f"/proc/{pid}/{name}"] for needle in needles if needle in content]
    return found


@contextlib.contextmanager
def decoys(canary: str) -> Iterator[dict[str, str]]:
    """A socket and a process of one's own, to be found like those of others: by kind, where they are."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/decoy")
        with subprocess.Popen(
            ["sleep", "600"], env={"CANARY": canary, "PATH": os.environ["PATH"]}
        ) as process:
            try:
                yield {"socket": f"{folder}/decoy", "environment": f"/proc/{process.pid}/environ"}
            finally:
                process.kill()


def opens(address: str, port: int) -> bool:
    """Whether a TCP connection can be made."""
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def open_among(places: list[list[Any]]) -> list[list[Any]]:
    """Those of the addresses and ports to which a connection can be made, all tried at the same time."""
    with ThreadPoolExecutor(64) as pool:
        answers = pool.map(lambda place: opens(*place), places)
        return [place for place, answer in zip(places, answers, strict=True) if answer]


def ssh(key: str, server: dict[str, Any], line: str, folder: str) -> tuple[int, str]:
    """Return (exit status, last line of what went wrong) of a command on a server; connections are shared."""
    done = subprocess.run(
        [
            *("ssh", "-F", "none", "-T", "-i", key, "-l", server["user"], "-p", str(server["port"])),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=5"),
            *("-o", f"UserKnownHostsFile={folder}/known", "-o", "StrictHostKeyChecking=accept-new"),
            *("-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/%C", "-o", "ControlPersist=5"),
            *("-o", "LogLevel=ERROR", "--", server["address"], line),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
    )
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def attempt_all(keys: list[str], servers: list[dict[str, Any]], lines: list[str]) -> list[dict[str, Any]]:
    """Try every line on every server with every key; where a key is refused once, it is not tried again.

    A server to which no connection can be made counts as one that refuses.
    """
    answering = open_among([[server["address"], server["port"]] for server in servers])
    results = [
        {"key": key, "server": server["name"], "line": lines[0], "code": 255, "error": "no connection"}
        for key, server in itertools.product(keys, servers)
        if [server["address"], server["port"]] not in answering
    ]
    servers = [server for server in servers if [server["address"], server["port"]] in answering]
    # No more at once than a caller may have under way at a gate.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, ThreadPoolExecutor(6) as pool:
        # Keys that others may read would be refused by ssh itself.
        copies = []
        for number, key in enumerate(keys):
            copy = os.path.join(folder, str(number))
            with (
                open(key, "rb") as source,
                open(os.open(copy, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as target,
            ):
                target.write(source.read())
            copies.append((key, copy))
        pairs = list(itertools.product(copies, servers))
        first = pool.map(lambda pair: ssh(pair[0][1], pair[1], lines[0], folder), pairs)
        admitted: dict[tuple[str, str], Any] = {}
        for pair, (code, error) in zip(pairs, first, strict=True):
            results.append(
                {"key": pair[0][0], "server": pair[1]["name"], "line": lines[0], "code": code, "error": error}
            )
            if code != 255:
                admitted.setdefault((pair[0][0], pair[1]["name"]), pair)
        # The gate behind every address of a server is the same one.
        further = list(itertools.product(admitted.values(), lines[1:]))
        for (pair, line), (code, error) in zip(
            further, pool.map(lambda job: ssh(job[0][0][1], job[0][1], job[1], folder), further), strict=True
        ):
            results.append(
                {"key": pair[0][0], "server": pair[1]["name"], "line": line, "code": code, "error": error}
            )
    return results


def writable(paths: list[str]) -> list[str]:
    """Directories in which a file can be made, and files that can be opened for writing."""
    found = []
    for path in paths:
        try:
            if os.path.isdir(path):
                with tempfile.NamedTemporaryFile(dir=path):
                    found.append(path)
            else:
                # One that is not there is not made: the directory that it would be made in is asked about itself.
                os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
                found.append(path)
        except OSError:
            continue
    return found


def main() -> None:
    request = json.load(sys.stdin)
    needles = [needle.encode() for needle in [request["own"], *request["needles"]]]
    with decoys(request["own"]) as own:
        keys, found, sockets = readable(needles)
        found += environments(needles)
    answer = {
        "own": own,
        "keys": keys,
        "found": found,
        "sockets": sockets,
        "open": open_among(request["targets"]),
        "writable": writable(request["paths"]),
        "attempts": attempt_all(keys, request["servers"], request["lines"]),
    }
    json.dump(answer, sys.stdout)


main()
