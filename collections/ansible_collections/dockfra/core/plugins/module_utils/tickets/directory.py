# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The directory of the tickets: one JSON file each, written under a lock (Linux).

Layout (mode 0755, files 0644 unless noted)::

    T-0001.json   a ticket, see `codec`
    damaged/      files in a ticket's place that are none; each keeps its id from being used again
    .last-id      symbolic link whose target is the highest number ever given, for example ``42``
    .lock         held by a writer while it writes (mode 0600: a reader must not be able to stop writers)
    .new          what a writer is about to put in place; one that was killed may leave it, the next one replaces it

A reader takes no lock: every file appears whole, and is replaced whole. A writer returns when the change is on disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from ..errors import LockBusyError, TicketStorageFullError, TicketStoreError
from ..files import atomic
from ..locks import file_lock
from . import values
from .model import Ticket
from .reading import DIRECTORY_MODE, FILE_MODE, LOCK, NEW, highest_number, last_number, remember_number


class TicketDirectory:
    """Opens, locks and writes the directory; its errors are those of the store.

    Args:
        path: where the tickets are.
        lock_timeout: seconds to wait for another writer.
    """

    def __init__(self, path: str | os.PathLike[str], lock_timeout: float) -> None:
        self.path = os.fspath(path)
        self._lock_timeout = lock_timeout
        # What this object learned while it held the lock. It cannot become wrong: numbers only grow.
        self._highest: int | None = None

    def next_number(self, folder: int) -> int:
        """The number after every one that was ever given."""
        if self._highest is None:
            # Once in an object's life, in case the counter is missing or of an older backup than the tickets.
            self._highest = highest_number(folder)
        self._highest = max(self._highest, last_number(folder))
        number = self._highest + 1
        if _exists(folder, f"{values.ticket_id(number)}.json"):
            self._highest = highest_number(folder)
            number = self._highest + 1
        if number >= 10**18:
            raise TicketStoreError(f"{self.path} holds the ticket with the highest number there can be.")
        return number

    def add(self, folder: int, ticket: Ticket, number: int, data: bytes) -> None:
        """Write a new ticket: never over a file that is there, and its number remembered before it can be seen."""
        owner = atomic.inherited_owner(folder)
        with atomic.prepared(folder, data, mode=FILE_MODE, owner=owner, name=NEW):
            remember_number(folder, number, owner)
            self._highest = number
            os.link(NEW, f"{ticket.id}.json", src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.fsync(folder)

    def replace(self, folder: int, ticket: Ticket, data: bytes) -> None:
        owner = atomic.inherited_owner(folder)
        atomic.replace(f"{ticket.id}.json", data, mode=FILE_MODE, owner=owner, dir_fd=folder, temporary=NEW)

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        with self._explained(), atomic.opened_directory(self.path) as folder:
            yield folder

    @contextlib.contextmanager
    def writing(self, dry_run: bool, *, make: bool = False) -> Iterator[int]:
        """Open the directory under the lock, which a dry run does without."""
        if make and not dry_run and not os.path.lexists(self.path):
            with self._explained():
                _make_directory(self.path)
        with self.opened() as folder:
            if dry_run:
                yield folder
                return
            with self._locked(folder):
                yield folder

    @contextlib.contextmanager
    def _locked(self, folder: int) -> Iterator[None]:
        try:
            with file_lock.held(LOCK, self._lock_timeout, dir_fd=folder):
                yield
        except LockBusyError as error:
            raise TicketStoreError(
                f"{self.path} is locked by another writer for more than {self._lock_timeout:g} s; try again."
            ) from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the system says into errors of the store."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise TicketStorageFullError(
                    f"No space is left in {self.path}; free some and try again. Nothing was changed."
                ) from error
            if error.errno == errno.ENOENT:
                raise TicketStoreError(f"There is no ticket directory {self.path}.") from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise TicketStoreError(
                    f"{self.path} does not permit that here ({error.strerror}); tickets are changed by the "
                    "manager's side."
                ) from error
            raise TicketStoreError(f"{self.path} cannot be used: {error.strerror}.") from error


def _make_directory(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
        os.chmod(path, DIRECTORY_MODE)
        atomic.sync_directory(os.path.dirname(os.path.abspath(path)))


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
