# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The releases of one service at its bastion: ``/srv/releases/<service>``, which the service sees read-only.

```text
<id>/release.json     what it is, see record
<id>/content/         what the archive had: spec.json, packages/, the service's files
<id>/unserved         until it serves for the first time; one from before there were such marks counts as served
current, previous     links to ids: what serves, and what served before
next                  a link too, while a switch is asked for
.new-…                half-written, of a process that was killed; the next one removes it
.lock/                who works here
```

A release appears by one rename, when all of it is on the disk. Every step may be killed at any point, and done again
brings the same. Whoever changes something holds the lock.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import (
    LateError,
    ReleaseDamagedError,
    ReleaseNotFoundError,
    ReleaseSpaceError,
    ReleaseStoreError,
)
from ..files import atomic
from ..locks.work_lock import Holder, Waiting, WorkLock
from . import archive, links, spec
from . import record as records
from .ids import checked_id, checked_service, valid_id
from .links import CONTENT, CURRENT, NEXT, PREVIOUS, ROOT
from .record import Record

# So many releases are kept, those that are needed among them.
KEPT = 5
# Bytes that stay free for everything else on the file system.
RESERVE = 64 * 1024 * 1024
# Seconds until all of a release is on the disk, at most.
_SYNC_SECONDS = 120.0

_HALF = ".new-"
_UNSERVED = "unserved"
_LOCKS = ".lock"
# No service has such a name.
_DEPLOY = "deploy_"
_DEVICE = "device_"


@dataclass(frozen=True)
class Announced:
    """What the monitor says of an archive before it comes.

    Attributes:
        size: bytes of the archive.
        content: bytes unpacked.
    """

    size: int
    content: int

    def within(self, limits: archive.Limits) -> bool:
        """Whether that is allowed."""
        return 0 < self.size <= limits.archive and 0 <= self.content <= limits.content


class Store:
    """The releases of a service.

    Args:
        service: its name.
        root: where those of all services are.
        limits: what an archive may have.

    Raises:
        ReleaseInvalidError: that is no service's name.
        ReleaseStoreError: it has no directory for releases here.
    """

    def __init__(
        self,
        service: str,
        root: str | os.PathLike[str] = ROOT,
        limits: archive.Limits = archive.LIMITS,
    ) -> None:
        self.service = checked_service(service)
        self.folder = os.path.join(os.fspath(root), self.service)
        self._limits = limits
        if not os.path.isdir(self.folder) or os.path.islink(self.folder):
            raise ReleaseStoreError(f"{self.folder} is no directory: {service} has no releases here.")
        self._locks = locks = os.path.join(self.folder, _LOCKS)
        self._lock = WorkLock(locks, self.service, f"the releases of {service}", interval=0.1)
        self._deploys = WorkLock(locks, _DEPLOY, f"a deploy of {service}", interval=0.1)

    # Who works ------------------------------------------------------------------------------------------------------

    def holder(self) -> Holder | None:
        """Return who deploys, or else who changes something right now; None where nobody does. Raises LockError."""
        return self._deploys.holder() or self._lock.holder()

    @contextlib.contextmanager
    def deployed(self, who: str, what: str) -> Iterator[Holder]:
        """Be the one who deploys this service, for a whole deploy: many changes and the time between them.

        Args: see `WorkLock.hold`.

        Raises:
            LockBusyError: somebody else deploys, and says what and since when.
            LockError: the lock cannot be used.
        """
        with self._deploys.hold(who, what) as holder:
            yield holder

    @contextlib.contextmanager
    def device(self, name: str, who: str, what: str) -> Iterator[Holder]:
        """Be the one who brings a device from release to release.

        Args:
            name: the device.
            who, what: see `WorkLock.hold`.

        Raises:
            LockBusyError: somebody else does, and says what for and since when.
            LockError: the lock cannot be used.
        """
        lock = WorkLock(self._locks, f"{_DEVICE}{checked_service(name)}", name, interval=0.1)
        with lock.hold(who, what) as holder:
            yield holder

    @contextlib.contextmanager
    def locked(
        self, who: str, what: str, wait: float = 0.0, waiting: Waiting | None = None
    ) -> Iterator[Holder]:
        """Have the releases alone; what a killed predecessor left half-done is put right first.

        Args: see `WorkLock.hold`.

        Raises:
            LockBusyError: somebody else has them, and says what for and since when.
            LockError: the lock cannot be used.
            ReleaseStoreError: what was left cannot be removed.
        """
        with self._lock.hold(who, what, wait, waiting) as holder:
            with self._explained():
                self._put_right()
            yield holder

    def _put_right(self) -> None:
        for name in os.listdir(self.folder):
            if name.startswith(_HALF):
                shutil.rmtree(os.path.join(self.folder, name))
            elif name.startswith(".") and name.endswith(".new"):
                atomic.remove(os.path.join(self.folder, name))
        # Nobody waits for the answer any more.
        if self._has(NEXT):
            links.remove(self.folder, NEXT)

    def _has(self, name: str) -> bool:
        return os.path.lexists(os.path.join(self.folder, name))

    # What is there --------------------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """Return the ids of all releases, the oldest first; raises ReleaseStoreError."""
        with self._explained():
            return sorted(
                name
                for name in os.listdir(self.folder)
                if valid_id(name) and stat.S_ISDIR(os.lstat(os.path.join(self.folder, name)).st_mode)
            )

    def current(self) -> str:
        """Return the id of what serves; empty before the first release."""
        return self._link(CURRENT)

    def previous(self) -> str:
        """Return the id of what served before; empty where there is none."""
        return self._link(PREVIOUS)

    def _link(self, name: str) -> str:
        found = links.read(self.folder, name)
        return found.release if found else ""

    def served(self, release: str) -> bool:
        """Whether a release is, or was, the current one: what came and did not serve is nothing to go back to."""
        if release in (self.current(), self.previous()):
            return True
        return not os.path.lexists(os.path.join(self._existing(release), _UNSERVED))

    def record(self, release: str) -> Record:
        """Return what a release is.

        Raises:
            ReleaseInvalidError: that is no id.
            ReleaseNotFoundError: there is no such release.
            ReleaseDamagedError: its record cannot be read, or is another's.
        """
        path = os.path.join(self._existing(release), records.NAME)
        try:
            with open(path, "rb") as file:
                found = Record.from_json(file.read(records.MAX_RECORD))
        except OSError as error:
            raise ReleaseDamagedError(f"{path} cannot be read: {error.strerror}.") from error
        if (found.id, found.service) != (release, self.service):
            raise ReleaseDamagedError(f"{path} is the record of {found.id} of {found.service}.")
        return found

    def spec(self, release: str) -> spec.Spec:
        """Return how a release runs; raises as `record` does."""
        return spec.load(os.path.join(self._existing(release), CONTENT))

    def _existing(self, release: str) -> str:
        folder = os.path.join(self.folder, checked_id(release))
        if os.path.isdir(folder) and not os.path.islink(folder):
            return folder
        known = ", ".join(self.ids()[-KEPT:]) or "none"
        raise ReleaseNotFoundError(f"{self.service} has no release {release} here; there are: {known}.")

    # A new one ------------------------------------------------------------------------------------------------------

    def check_room(self, announced: Announced) -> None:
        """See that a release fits, before it is sent.

        Raises:
            ReleaseSpaceError: it does not, or is larger than any may be.
        """
        if not announced.within(self._limits):
            raise ReleaseSpaceError(
                f"A release of {announced.size} bytes, {announced.content} unpacked, is not taken; the most are "
                f"{self._limits.archive} and {self._limits.content}."
            )
        with self._explained():
            found = os.statvfs(self.folder)
        free, wanted = found.f_bavail * found.f_frsize, announced.size + announced.content + RESERVE
        if free < wanted:
            raise ReleaseSpaceError(
                f"The releases of {self.service} have {free >> 20} MiB free, and {wanted >> 20} MiB are needed; "
                "make room on the Docker host."
            )

    def used(self) -> int:
        """Return to how many percent the disk is full on which the releases lie, as df(1) counts; raises ReleaseStoreError."""
        with self._explained():
            found = os.statvfs(self.folder)
        taken = found.f_blocks - found.f_bfree
        return math.ceil(100 * taken / max(1, taken + found.f_bavail))

    def add(self, record: Record, announced: Announced, descriptor: int, seconds: float) -> bool:
        """Receive a release; returns False where it is there already, and nothing was read.

        The caller holds the lock.

        Args:
            record: what it is. Only the monitor says its SHA-256: whatever else comes is refused.
            announced: how large it is.
            descriptor: where the archive comes from.
            seconds: how long that may take.

        Raises:
            ReleaseSpaceError: there is no room.
            ReleaseDamagedError: it is not that archive, or nothing that could serve.
            TooMuchError: it is larger than announced or allowed.
            LateError: it did not come in time.
            ReleaseStoreError: it cannot be written.
        """
        if record.service != self.service:
            raise ReleaseDamagedError(f"{record.id} is a release of {record.service}, not of {self.service}.")
        if record.id in self.ids():
            if self.record(record.id).sha256 != record.sha256:
                raise ReleaseDamagedError(f"{self.service} has another release {record.id} already.")
            return False
        self.check_room(announced)
        deadline = time.monotonic() + seconds
        half = os.path.join(self.folder, _HALF + record.id)
        with self._explained():
            try:
                os.mkdir(half, 0o700)
                self._fill(half, record, announced, descriptor, deadline)
                os.rename(half, os.path.join(self.folder, record.id))
                atomic.sync_directory(self.folder)
            except BaseException:
                shutil.rmtree(half, ignore_errors=True)
                raise
        return True

    def _fill(
        self, half: str, record: Record, announced: Announced, descriptor: int, deadline: float
    ) -> None:
        packed, content = os.path.join(half, "archive"), os.path.join(half, CONTENT)
        found = archive.receive(descriptor, packed, announced.size, deadline)
        if found != record.sha256:
            raise ReleaseDamagedError(
                f"The archive of {record.id} has the SHA-256 {found}, not {record.sha256}; nothing was changed."
            )
        os.mkdir(content, 0o755)
        os.chmod(content, 0o755)  # noqa: S103  the service reads it as another user
        limits = self._limits._replace(content=announced.content)
        archive.unpack(packed, content, limits)
        os.unlink(packed)
        spec.load(content)  # what cannot serve is refused before anybody asks for it
        atomic.create(os.path.join(half, records.NAME), record.to_json(), mode=0o644)
        atomic.create(os.path.join(half, _UNSERVED), b"", mode=0o644)
        os.chmod(half, 0o755)  # noqa: S103  the service reads it as another user
        _sync(half)

    # Links ----------------------------------------------------------------------------------------------------------

    def ask(self, release: str) -> links.Link:
        """Ask the service for a release, or for what its image brought; returns the link by which its answer is known.

        Raises as `record` does.
        """
        if release:
            self.record(release)
        with self._explained():
            return links.point(self.folder, NEXT, release)

    def confirm(self, release: str) -> None:
        """Let what serves, a release or what the image brought, be the current one, and the current one the previous."""
        with self._explained():
            before = self.current()
            if before and before != release:
                links.point(self.folder, PREVIOUS, before)
            if release:
                links.point(self.folder, CURRENT, release)
            else:
                links.remove(self.folder, CURRENT)
            # One before whose confirmation was cut here, too.
            for served in filter(None, (before, release)):
                atomic.remove(os.path.join(self.folder, served, _UNSERVED))
            links.remove(self.folder, NEXT)

    def take_back(self) -> None:
        """Ask for nothing any more: the service goes back to the current release, if it had left it."""
        with self._explained():
            links.remove(self.folder, NEXT)

    def spare(self, running: str) -> list[str]:
        """Return the releases that `prune` would remove."""
        there = self.ids()
        needed = {running, *(self._link(name) for name in (CURRENT, PREVIOUS, NEXT))}
        free = [release for release in there if release not in needed]
        return free[: max(0, len(there) - KEPT)]

    def prune(self, running: str) -> list[str]:
        """Remove the oldest releases but for `KEPT`, and none that is linked or runs; returns those removed.

        The caller holds the lock.

        Args:
            running: what the service says it runs.
        """
        gone = self.spare(running)
        with self._explained():
            for release in gone:
                # Half a release is none: it loses its name first.
                half = os.path.join(self.folder, _HALF + release)
                os.rename(os.path.join(self.folder, release), half)
                shutil.rmtree(half)
        return gone

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = error.filename or self.folder
            raise ReleaseStoreError(
                f"The releases of {self.service} cannot be kept: {place}: {error.strerror or error}."
            ) from error


def _sync(folder: str) -> None:
    """Force the file system of a directory to the disk: thousands of files at once instead of one by one."""
    try:
        # No AnsibleModule is there, with its run_command.
        subprocess.run(  # pylint: disable=ansible-bad-function
            ["/usr/bin/sync", "-f", folder], check=True, timeout=_SYNC_SECONDS, capture_output=True
        )
    except subprocess.TimeoutExpired as error:
        raise LateError(f"The disk did not take the release within {_SYNC_SECONDS:g} s.") from error
    except subprocess.CalledProcessError as error:
        raise ReleaseStoreError(f"{folder} cannot be forced to the disk: {error.stderr[:200]!r}.") from error
