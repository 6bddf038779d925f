# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Locks for work that takes a while and must not be done twice at once: they say who does what since when (Linux).

A lock is a file in a directory of its owner, at the place where the work happens, so that everybody who works there
sees it: operator, monitor and autopilot. It ends with its holder, however that ends:

* `WorkLock.hold` is for a process that does the work itself. The kernel frees its lock.
* `WorkLock.register` is for work of another process, which outlives the caller. That process is known by its number and
  its start, so that a number given to another process later does not count.

What a file says of its holder is only as good as who can write it: a directory in which others can write is refused.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import LockBusyError, LockError
from . import file_lock

# Where the locks of the platforms on a Docker host are, beside their data, and by default. No project's name begins with a dot.
FOLDER = ".locks"
DIRECTORY = f"/var/lib/dockfra/{FOLDER}"

# Who removes images holds this one, and waits for nobody: others wait until that is done.
IMAGES = "images"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SUFFIX = ".lock"
_START_TIME = 19  # field "starttime" of /proc/<pid>/stat, counted behind the command name; see proc(5)
_MAX_RECORD = 4096
# In a lock's file: whether its holder has the kernel's lock for as long as it works.
_HELD = "held"
_MAX_TEXT = 200

# Seconds between two looks at a lock that somebody else has.
_INTERVAL = 0.5

# Seconds for which a process counts as alive that cannot be seen from here, because it runs on another machine.
LEASE = 7200

Waiting = Callable[["Holder"], None]


@dataclass(frozen=True)
class Holder:
    """Who does what since when.

    Attributes:
        who: a person or a role.
        what: what is done, and where from.
        since: seconds since the epoch.
        pid: the process that does it.
        started: when that process started, see `process_start`.
        machine: where its number counts, see `machine`.
    """

    who: str
    what: str
    since: float
    pid: int
    started: str
    machine: str

    @classmethod
    def of(cls, pid: int, who: str, what: str) -> Holder:
        """Return the holder that a process of this machine is from now on."""
        return cls(who[:_MAX_TEXT], what[:_MAX_TEXT], time.time(), pid, process_start(pid), machine())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Holder | None:
        """Return the holder that `to_dict` made plain data of; None for anything else."""
        kinds: dict[str, type | tuple[type, ...]] = {"since": (int, float), "pid": int}
        known = {field.name for field in fields(cls)}
        if set(values) != known or any(not isinstance(values[name], kinds.get(name, str)) for name in known):
            return None
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the holder as plain data."""
        return asdict(self)

    @property
    def here(self) -> bool:
        """Whether the process can be seen from here."""
        return self.machine == machine()

    @property
    def alive(self) -> bool:
        """Whether the process goes on; of one that cannot be seen that is assumed for a while."""
        if not self.here:
            return 0 <= time.time() - self.since < LEASE
        return bool(self.started) and process_start(self.pid) == self.started

    def same_process(self, other: Holder) -> bool:
        """Whether both are one process."""
        return (self.pid, self.started, self.machine) == (other.pid, other.started, other.machine)

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"{self.who} since {since} (pid {self.pid}: {self.what})"


def process_start(pid: int) -> str:
    """Return when a process started, in clock ticks since boot, or an empty string when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            found = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if found[0] == "Z" else found[_START_TIME]


@functools.cache
def machine() -> str:
    """Return what tells apart where process numbers count: the running system and the container in it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError as error:
        raise LockError(
            f"/proc cannot be read: {error.strerror}; without it nobody can be locked out."
        ) from error


class WorkLock:
    """A named lock.

    Args:
        directory: where lock files live, on the machine where the work happens; made (0700) when missing.
        name: what is locked: letters, digits, ``-``, ``_`` and ``.``.
        subject: how messages call it, like "the platform 'dockfra'".
        interval: seconds between two looks.

    Raises:
        LockError: the name cannot name a lock.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        name: str,
        subject: str = "",
        interval: float = _INTERVAL,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise LockError(f"'{name}' cannot name a lock; use letters, digits, '-', '_' and '.'.")
        self._directory = os.fspath(directory)
        self._path = os.path.join(self._directory, name + _SUFFIX)
        self._subject = subject or f"'{name}'"
        self._interval = interval

    def holder(self) -> Holder | None:
        """Return who has the lock, without taking it; None when it is free.

        Raises:
            LockError: the lock cannot be looked at.
        """
        with self._explained():
            if not os.path.lexists(self._path):
                return None
            self._check_directory()
            descriptor = file_lock.open_file(self._path)
            try:
                return self._other(descriptor)
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def hold(
        self, who: str, what: str, wait: float = 0.0, waiting: Waiting | None = None
    ) -> Iterator[Holder]:
        """Have the lock for the work that this process does inside.

        Args:
            who: a person or a role.
            what: what is done.
            wait: seconds to wait for somebody else.
            waiting: called once with the other holder when there is one.

        Raises:
            LockBusyError: the other has not ended in time.
            LockError: the lock cannot be used.
        """
        holder = Holder.of(os.getpid(), who, what)
        descriptor, _waited = self._take(holder, wait, waiting, held=True)
        try:
            yield holder
        finally:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def register(
        self, holder: Holder, wait: float = 0.0, waiting: Waiting | None = None, gone: Holder | None = None
    ) -> float:
        """Take the lock for another process, until that ends; returns the seconds waited.

        A process that has the lock already may take it again.

        Args:
            holder: that process.
            wait: seconds to wait for somebody else.
            waiting: called once with the other holder when there is one.
            gone: a holder that is known to have ended, where that cannot be seen from here.

        Raises:
            LockBusyError: the other has not ended in time.
            LockError: the lock cannot be used.
        """
        descriptor, waited = self._take(holder, wait, waiting, gone)
        os.close(descriptor)
        return waited

    def release(self, holder: Holder) -> None:
        """Give a registered lock back before its holder ends; one of somebody else stays.

        Raises:
            LockError: the lock cannot be used.
        """
        with self._explained():
            if not os.path.lexists(self._path):
                return
            self._check_directory()
            descriptor = file_lock.open_file(self._path)
            try:
                other = self._other(descriptor)
                if other is not None and other.same_process(holder):
                    os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    def wait_free(self, wait: float, waiting: Waiting | None = None) -> None:
        """Wait until nobody has the lock; raises as `register` does."""
        self._wait(lambda: (None, self.holder()), wait, waiting)

    def _take(
        self,
        holder: Holder,
        wait: float,
        waiting: Waiting | None,
        gone: Holder | None = None,
        held: bool = False,
    ) -> tuple[int, float]:
        with self._explained():
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._check_directory()
        descriptor, waited = self._wait(lambda: self._try(holder, gone, held), wait, waiting)
        if descriptor is None:
            raise AssertionError("waiting ends with the lock or with an error")
        return descriptor, waited

    def _wait(
        self,
        attempt: Callable[[], tuple[int | None, Holder | None]],
        wait: float,
        waiting: Waiting | None,
    ) -> tuple[int | None, float]:
        """Try until nobody else has the lock; returns what the attempt did and the seconds waited."""
        begin = time.monotonic()
        told = False
        while True:
            with self._explained():
                descriptor, other = attempt()
            waited = time.monotonic() - begin
            if other is None:
                return descriptor, waited
            if waited >= wait:
                raise LockBusyError(
                    f"Somebody else works on {self._subject}: {other}. Waited {waited:.0f} s; "
                    f"try again when that has ended, or stop it.{self._unseen(other)}",
                    other.to_dict(),
                )
            if waiting and not told:
                waiting(other)
                told = True
            time.sleep(min(self._interval, wait - waited))

    def _unseen(self, other: Holder) -> str:
        """What a person can do who knows that a holder is gone of whom that cannot be seen, as after a crash of its machine."""
        if other.here:
            return ""
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(other.since + LEASE))
        return (
            f" It runs on another machine than this lock is on, or ran before that was started, so that its end cannot be seen here; it counts until {until}. "
            f"If you know that it has ended, remove {self._path} there."
        )

    def _try(self, holder: Holder, gone: Holder | None, held: bool) -> tuple[int | None, Holder | None]:
        """Return a descriptor that is locked and says who holds it, or else the other holder."""
        descriptor = file_lock.open_file(self._path)
        try:
            other = self._other(descriptor)
            if other is not None and not other.same_process(holder) and other != gone:
                return None, other
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({**holder.to_dict(), _HELD: held}).encode(), 0)
            kept, descriptor = descriptor, -1
            return kept, None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _other(self, descriptor: int) -> Holder | None:
        """Return who has the lock; when nobody has, it is locked by this descriptor."""
        # Whoever registers or looks has it for a moment only.
        free = file_lock.take(descriptor, timeout=0.1)
        found, held = _parsed(os.pread(descriptor, _MAX_RECORD, 0))
        if free and held:
            return None  # who had it has ended, wherever that was
        if not free:
            return found or Holder("somebody", "does not say what", time.time(), 0, "", machine())
        return found if found and found.alive else None

    def _check_directory(self) -> None:
        info = os.lstat(self._directory)
        if not stat.S_ISDIR(info.st_mode):
            raise LockError(f"{self._directory} is no directory; locks are kept there. Remove it.")
        if info.st_uid not in (0, os.geteuid()) or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise LockError(
                f"{self._directory} cannot be trusted: others (uid {info.st_uid}, mode {stat.S_IMODE(info.st_mode):04o}) "
                "could write locks there. Remove it, it is made anew."
            )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LockError(
                f"The lock {self._path} cannot be used: {error.strerror}. "
                "Run this as root or with sudo, or check the owner of the directory."
            ) from error


def run_lock_name(project: str) -> str:
    """Return the name of a platform's lock, which is no other lock's."""
    return f"project-{project}"


def for_run(
    directory: str | os.PathLike[str],
    project: str,
    holder: Holder,
    *,
    free: Collection[str] = (),
    wait: float,
    waiting: Waiting | None = None,
    gone: Holder | None = None,
    interval: float = _INTERVAL,
) -> float:
    """Take a platform's lock for a run of a playbook; returns the seconds waited.

    Args:
        directory: see `WorkLock`.
        project: the platform.
        holder: the process of the run.
        free: names of locks that have to be free too, and are not taken.
        wait: seconds to wait for somebody else, for each of the locks.
        waiting: called with each other holder that is waited for.
        gone: see `WorkLock.register`.
        interval: see `WorkLock`.

    Raises:
        LockBusyError: another has not ended in time.
        LockError: a lock cannot be used.
    """
    begin = time.monotonic()
    lock = _run_lock(directory, project, interval)
    lock.register(holder, wait, waiting, gone)
    for name in free:
        WorkLock(directory, name, interval=interval).wait_free(wait, waiting)
    return time.monotonic() - begin


def try_for_run(lock: Mapping[str, Any]) -> None:
    """Take a platform's lock for a run of a playbook, or leave it at once.

    Args:
        lock: the project's ``name``, and ``directory``, ``free``, ``holder`` and ``gone`` as in `for_run`, the last two as plain data.

    Raises:
        LockBusyError: somebody else has it.
        LockError: a lock cannot be used.
    """
    gone = Holder.from_dict(lock.get("gone") or {})
    for_run(
        lock["directory"], lock["name"], given_holder(lock["holder"]), free=lock["free"], wait=0, gone=gone
    )


def given_holder(values: Mapping[str, Any] | None) -> Holder:
    """Return the holder that a module was given as plain data; raises LockError where that is none."""
    holder = Holder.from_dict(values or {})
    if holder is None:
        raise LockError("The lock needs a holder; use this through its action plugin.")
    return holder


def end_run(directory: str | os.PathLike[str], project: str, holder: Holder) -> None:
    """Give a platform's lock back that `for_run` took for a run which goes on; raises LockError."""
    _run_lock(directory, project).release(holder)


def _run_lock(directory: str | os.PathLike[str], project: str, interval: float = _INTERVAL) -> WorkLock:
    if os.sep in project or "\0" in project:
        raise LockError(
            f"'{project}' cannot be locked: a platform's name has no '/'. Correct dockfra_project."
        )
    return WorkLock(directory, run_lock_name(project), f"the platform '{project}'", interval)


def holders(directory: str | os.PathLike[str]) -> dict[str, Holder]:
    """Return who has which of the locks in a directory, by the locks' names; raises LockError."""
    try:
        names = [name.removesuffix(_SUFFIX) for name in os.listdir(directory) if name.endswith(_SUFFIX)]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LockError(f"The locks in {os.fspath(directory)} cannot be read: {error.strerror}.") from error
    found = {name: WorkLock(directory, name).holder() for name in sorted(names) if _NAME.fullmatch(name)}
    return {name: holder for name, holder in found.items() if holder is not None}


def _parsed(record: bytes) -> tuple[Holder | None, bool]:
    """Return who has a lock, and whether the kernel's lock says whether that still is so."""
    try:
        values = json.loads(record)
    except (ValueError, RecursionError):
        return None, False  # empty or damaged: nobody has it
    if not isinstance(values, dict):
        return None, False
    held = values.pop(_HELD, False) is True
    return Holder.from_dict(values), held
