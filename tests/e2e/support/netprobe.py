"""Looks at the network from inside other processes' network namespaces. Runs as a program, as root.

``netprobe.py listening`` reads a list of pids and tells for each the TCP places its namespace listens on.
``netprobe.py connect`` reads ``{"pids": […], "targets": [[address, port], …]}`` and tells for each pid which targets
accept a connection. All connections are tried at once, and one that has no answer after a second has none.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import ipaddress
import json
import os
import resource
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TIMEOUT = 1.0
_LISTEN = "0A"  # see proc(5)
_CLONE_NEWNET = 0x40000000  # sched.h
_SOCKETS = 4000  # open at the same time, where the limits allow it


def listening(pid: int) -> list[tuple[str, int]]:
    """The TCP places a process's network namespace listens on."""
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                place, state = line.split()[1], line.split()[3]
                if state == _LISTEN:
                    address, _separator, port = place.partition(":")
                    found.add((_address(address), int(port, 16)))
    return sorted(found)


def _address(text: str) -> str:
    """The kernel prints addresses as 32-bit words in the machine's byte order."""
    words = (int(text[start : start + 8], 16) for start in range(0, len(text), 8))
    packed = b"".join(struct.pack("=I", word) for word in words)
    return str(ipaddress.ip_address(packed))


@contextlib.contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Sockets made inside belong to the process's network namespace, and stay there."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    with open("/proc/self/ns/net", "rb") as own, open(f"/proc/{pid}/ns/net", "rb") as other:
        enter(other.fileno())
        try:
            yield
        finally:
            enter(own.fileno())


def connect(pids: list[int], targets: list[tuple[str, int]]) -> dict[int, list[tuple[str, int]]]:
    """For each process the targets that accept a connection from its network namespace."""
    reached: dict[int, list[tuple[str, int]]] = {pid: [] for pid in pids}
    pairs = [(pid, target) for pid in pids for target in targets]
    size = _sockets()
    for start in range(0, len(pairs), size):
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            # Grouped by namespace: entering one is the expensive part.
            batch = pairs[start : start + size]
            for pid in dict.fromkeys(pid for pid, _target in batch):
                with network_of(pid):
                    for target in (target for owner, target in batch if owner == pid):
                        _begin(selector, stack, pid, target, reached)
            _collect(selector, reached)
    return reached


def _begin(
    selector: selectors.BaseSelector,
    stack: contextlib.ExitStack,
    pid: int,
    target: tuple[str, int],
    reached: dict[int, list[tuple[str, int]]],
) -> None:
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    try:
        probe = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return
        raise
    probe.setblocking(False)
    code = probe.connect_ex(target)
    if code == 0:
        reached[pid].append(target)
    elif code == errno.EINPROGRESS:
        selector.register(probe, selectors.EVENT_WRITE, (pid, target))


def _collect(selector: selectors.BaseSelector, reached: dict[int, list[tuple[str, int]]]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while selector.get_map() and (left := deadline - time.monotonic()) > 0:
        for key, _events in selector.select(left):
            probe = key.fileobj
            assert isinstance(probe, socket.socket)
            if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                pid, target = key.data
                reached[pid].append(target)
            selector.unregister(probe)


def _sockets() -> int:
    """Allow this process as many open files as it may have; returns how many of them can be sockets."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _SOCKETS + 100
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - 100


def main() -> None:
    request = json.load(sys.stdin)
    if sys.argv[1] == "listening":
        answer: dict[int, list[tuple[str, int]]] = {pid: listening(pid) for pid in request}
    else:
        answer = connect(request["pids"], [(address, port) for address, port in request["targets"]])
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
