# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands in the directory of the tickets: reading it, and setting apart what is no ticket.

Every function takes the descriptor of the open directory. See `directory` for what is in it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import stat
from typing import Any, Literal, NamedTuple

from ..errors import TicketDamagedError, TicketError, TicketNewerError, TicketStoreError
from ..files import atomic
from . import codec, values
from .model import Ticket

LOCK = ".lock"
LAST_ID = ".last-id"
NEW = ".new"
DAMAGED = "damaged"
DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
FILE = re.compile(r"(T-(?:[0-9]{4}|[1-9][0-9]{4,17}))\.json")
# What somebody may have meant to be a ticket.
_LOOKS_LIKE_FILE = re.compile(r"t-.*\.json", re.IGNORECASE | re.DOTALL)
_SET_APART = re.compile(r"T-([0-9]{4,18})\.json(\.[0-9]+)?")
# A reader looks once more for this many tickets that a directory listing did not name.
_MAX_GAPS = 1000


class BadFile(NamedTuple):
    """A file in the directory that is no ticket this version can read.

    Attributes:
        name: relative to the directory, for example ``T-0001.json`` or ``damaged/T-0001.json``.
        kind: ``damaged`` (a writer sets it apart), ``newer`` (of a later version; left alone, and never written),
            ``foreign`` (its name is no ticket's; left alone) or ``unreadable`` (the system refuses; left alone).
        reason: why.
    """

    name: str
    kind: Literal["damaged", "newer", "foreign", "unreadable"]
    reason: str

    @property
    def apart(self) -> bool:
        return self.name.startswith(f"{DAMAGED}/")

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "reason": self.reason, "set_apart": self.apart}


def read_all(folder: int) -> tuple[list[Ticket], list[BadFile]]:
    """Every ticket, in no order, and what is none."""
    last = last_number(folder)
    names = set(os.listdir(folder))
    tickets: list[Ticket] = []
    bad: list[BadFile] = []
    # Many small objects that all stay: looking for garbage among them takes longer than reading them.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for name in names:
            read_into(folder, name, tickets, bad)
        # Some file systems may not name a file that is replaced while they list it.
        if 0 < last - len(tickets) - len(bad) <= _MAX_GAPS:
            for ticket_id in map(values.ticket_id, range(1, last + 1)):
                if (name := f"{ticket_id}.json") not in names:
                    read_into(folder, name, tickets, bad)
    finally:
        if collecting:
            gc.enable()
    return tickets, bad


def read_into(folder: int, name: str, tickets: list[Ticket], bad: list[BadFile]) -> None:
    match = FILE.fullmatch(name)
    if match is None or match[1] == "T-0000":
        if _LOOKS_LIKE_FILE.fullmatch(name):
            bad.append(BadFile(_printable(name), "foreign", "its name is no ticket's, like T-0001.json"))
        return
    try:
        if (data := read(folder, name)) is not None:
            tickets.append(codec.decode(data, match[1]))
    except TicketDamagedError as error:
        bad.append(BadFile(name, "damaged", str(error)))
    except TicketNewerError as error:
        bad.append(BadFile(name, "newer", str(error)))
    except TicketStoreError as error:
        bad.append(BadFile(name, "unreadable", str(error)))


def set_apart_before(folder: int) -> list[BadFile]:
    """What earlier writers set apart."""
    try:
        apart = os.open(DAMAGED, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return []
    bad = []
    try:
        for name in os.listdir(apart):
            match = _SET_APART.fullmatch(name)
            try:
                data = read(apart, name)
                codec.decode(data or b"", f"T-{match[1]}" if match else "")
                reason = "it was set apart and can be read again; see whether to move it back"
            except TicketError as error:
                reason = str(error)
            bad.append(BadFile(f"{DAMAGED}/{_printable(name)}", "damaged", reason))
    finally:
        os.close(apart)
    return bad


def set_apart(folder: int, name: str, reason: str) -> BadFile:
    """Move a damaged file to ``damaged/``, never over another one; where that fails it stays and keeps its id."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(DAMAGED, DIRECTORY_MODE, dir_fd=folder)
    try:
        apart = os.open(DAMAGED, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return BadFile(name, "damaged", reason)  # something else has that name
    try:
        owner = give_to_owner(folder, apart)
        # Its number counts as given, for objects too that have looked at all files before it was there.
        if (number := values.parse_id(name.removesuffix(".json"))) > last_number(folder):
            remember_number(folder, number, owner)
        taken = set(os.listdir(apart))
        target, count = name, 1
        while target in taken:
            count += 1
            target = f"{name}.{count}"
        try:
            os.rename(name, target, src_dir_fd=folder, dst_dir_fd=apart)
        except PermissionError:
            return BadFile(name, "damaged", reason)  # a directory of somebody else
        os.fsync(apart)
        os.fsync(folder)
    finally:
        os.close(apart)
    return BadFile(f"{DAMAGED}/{target}", "damaged", reason)


def read(folder: int, name: str) -> bytes | None:
    """A file's content, or None when there is none; raises TicketDamagedError where there is something else."""
    try:
        # A named pipe must not make anybody wait, and a link leads out of the directory.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link, a socket
            raise TicketDamagedError("it is no regular file") from error
        raise TicketStoreError(f"{name} cannot be read: {error.strerror}.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise TicketDamagedError("it is no regular file")
        return os.read(descriptor, min(status.st_size, values.MAX_FILE_BYTES) + 1)
    except OSError as error:
        raise TicketStoreError(f"{name} cannot be read: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def last_number(folder: int) -> int:
    """The number that was given last, as far as is remembered."""
    try:
        target = os.readlink(LAST_ID, dir_fd=folder)
    except OSError:
        return 0
    return int(target) if re.fullmatch(r"[0-9]{1,18}", target) else 0


def remember_number(folder: int, number: int, owner: tuple[int, int] | None) -> None:
    # A link and no file, because its target cannot be half written and needs no fsync beside that of the directory.
    temporary = f"{LAST_ID}.new"
    atomic.remove(temporary, dir_fd=folder)
    try:
        os.symlink(str(number), temporary, dir_fd=folder)
        if owner is not None:
            os.chown(temporary, *owner, dir_fd=folder, follow_symlinks=False)
        os.rename(temporary, LAST_ID, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        atomic.remove(temporary, dir_fd=folder)


def highest_number(folder: int) -> int:
    """The highest number that any file in the directory or in damaged/ has."""
    names = os.listdir(folder)
    with contextlib.suppress(OSError):
        apart = os.open(DAMAGED, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            names += os.listdir(apart)
        finally:
            os.close(apart)
    return max((int(match[1]) for match in map(_SET_APART.fullmatch, names) if match), default=0)


def give_to_owner(folder: int, descriptor: int) -> tuple[int, int] | None:
    """Where root writes, files belong to the directory's owner as if that one had written; returns whom, if so."""
    owner = atomic.inherited_owner(folder)
    if owner is not None:
        os.fchown(descriptor, *owner)
    return owner


def _printable(name: str) -> str:
    return ascii(name)[1:-1]
