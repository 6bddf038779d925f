# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The tickets of a platform: one JSON file each in one directory (Linux).

Layout of the directory (mode 0755, files 0644 unless noted)::

    T-0001.json   a ticket, see `model`
    damaged/      files in a ticket's place that are none; each keeps its id from being used again
    .last-id      symbolic link whose target is the highest number ever given, for example ``42``
    .lock         held by a writer while it writes (mode 0600: a reader must not be able to stop writers)
    .new          what a writer is about to put in place; one that was killed may leave it, the next one replaces it

A reader takes no lock: every file appears whole, and is replaced whole. A writer returns when the change is on disk.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import gc
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from ..errors import (
    LockBusyError,
    TicketConflictError,
    TicketDamagedError,
    TicketError,
    TicketInvalidError,
    TicketNewerError,
    TicketNotFoundError,
    TicketStorageFullError,
    TicketStoreError,
)
from ..files import atomic
from ..locks import file_lock
from ..text import shown
from . import model, rules
from .model import Comment, Ticket

DIRECTORY = "/shared/tickets"
LOCK_TIMEOUT = 30.0
SORTS = ("id", "updated", "created", "priority", "status")

_LOCK = ".lock"
_LAST_ID = ".last-id"
_NEW = ".new"
_DAMAGED = "damaged"
_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
_FILE = re.compile(r"(T-(?:[0-9]{4}|[1-9][0-9]{4,17}))\.json")
# What somebody may have meant to be a ticket.
_LOOKS_LIKE_FILE = re.compile(r"t-.*\.json", re.IGNORECASE | re.DOTALL)
_SET_APART = re.compile(r"T-([0-9]{4,18})\.json(\.[0-9]+)?")
# A reader looks once more for this many tickets that a directory listing did not name.
_MAX_GAPS = 1000

# Set by whoever creates a ticket, and what is for importing alone.
_CREATED = frozenset({"title", "description", "priority", "assigned_to", "labels", "external_key"})
_EDITED = frozenset({"title", "description", "priority", "assigned_to", "labels"})
_IMPORTED = frozenset({"created_by", "created_at", "comments", "github_issue_number", "extra"})


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
        return self.name.startswith(f"{_DAMAGED}/")

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "reason": self.reason, "set_apart": self.apart}


class Listing(NamedTuple):
    """The tickets asked for, and all files that are none."""

    tickets: list[Ticket]
    damaged: list[BadFile]


class Change(NamedTuple):
    """A ticket before and after; ``before`` is None for a new one."""

    before: Ticket | None
    after: Ticket

    @property
    def changed(self) -> bool:
        return self.before != self.after


class Filter:
    """Which tickets to list; a criterion that is not given admits all.

    Args:
        status: any of these statuses.
        priority: any of these priorities.
        assigned_to: any of these roles; None stands for tickets assigned to nobody.
        labels: all of these labels.
        text: occurs in title, description or a comment, upper and lower case alike.
        updated_since: changed at this time or later (RFC 3339).

    Raises:
        TicketInvalidError: a criterion can match nothing.
    """

    def __init__(
        self,
        *,
        status: Collection[str] = (),
        priority: Collection[str] = (),
        assigned_to: Collection[str | None] = (),
        labels: Collection[str] = (),
        text: str = "",
        updated_since: str | None = None,
    ) -> None:
        self.status = frozenset(map(model.clean_status, status))
        self.priority = frozenset(map(model.clean_priority, priority))
        self.assigned_to = frozenset(map(model.clean_assignee, assigned_to))
        self.labels = frozenset(model.clean_labels(list(labels)))
        self.text = text.casefold()
        self.updated_since = None if updated_since is None else model.clean_timestamp(updated_since)

    def admits(self, ticket: Ticket) -> bool:
        return (
            (not self.status or ticket.status in self.status)
            and (not self.priority or ticket.priority in self.priority)
            and (not self.assigned_to or ticket.assigned_to in self.assigned_to)
            and (not self.labels or set(ticket.labels).issuperset(self.labels))
            and (self.updated_since is None or ticket.updated_at >= self.updated_since)
            and (not self.text or self._mentioned(ticket))
        )

    def _mentioned(self, ticket: Ticket) -> bool:
        texts = (ticket.title, ticket.description, *(comment.text for comment in ticket.comments))
        return any(self.text in text.casefold() for text in texts)


class TicketStore:
    """Reads and changes the tickets in a directory.

    Every method raises a `TicketError` of one line, and a change that raises has not happened. One object may be used by
    several threads, and any number of processes may work on one directory.

    Args:
        directory: where the tickets are.
        lock_timeout: seconds to wait for another writer.
        now: the clock.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] = DIRECTORY,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._directory = os.fspath(directory)
        self._lock_timeout = lock_timeout
        self._now = now
        # What this object learned while it held the lock. Neither can become wrong: numbers only grow, and a ticket
        # keeps the external key it was created with.
        self._highest: int | None = None
        self._keys: dict[str, str | None] = {}

    # -- reading --

    def get(self, ticket_id: str) -> Ticket:
        """Return one ticket; raises TicketNotFoundError, TicketDamagedError, TicketNewerError or TicketInvalidError."""
        ticket_id = model.clean_id(ticket_id)
        with self._opened() as folder:
            return self._get(folder, ticket_id)

    def find(self, external_key: str) -> Ticket | None:
        """Return the ticket that was created with an external key."""
        key = model.clean_external_key(external_key)
        with self._opened() as folder:
            tickets, _bad = self._read_all(folder)
        return next((ticket for ticket in tickets if ticket.external_key == key), None)

    def select(self, wanted: Filter | None = None, sort: str = "id", *, reverse: bool = False) -> Listing:
        """Return the tickets that a filter admits, and the files that are no tickets.

        Args:
            wanted: by default all.
            sort: one of SORTS; by priority and status means the most urgent first. Equal ones are in order of their ids.
            reverse: turn the order round.
        """
        if sort not in SORTS:
            raise TicketInvalidError(f"{shown(sort)} is no order; orders are {', '.join(SORTS)}.")
        with self._opened() as folder:
            tickets, bad = self._read_all(folder)
            bad += self._set_apart_before(folder)
        if wanted is not None:
            tickets = [ticket for ticket in tickets if wanted.admits(ticket)]
        tickets.sort(key=lambda ticket: ticket.number)
        if sort == "updated":
            tickets.sort(key=lambda ticket: ticket.updated_at)
        elif sort == "created":
            tickets.sort(key=lambda ticket: ticket.created_at)
        elif sort == "priority":
            tickets.sort(key=lambda ticket: -model.PRIORITIES.index(ticket.priority))
        elif sort == "status":
            tickets.sort(key=lambda ticket: _URGENCY[ticket.status])
        if reverse:
            tickets.reverse()
        return Listing(tickets, sorted(bad, key=lambda file: file.name))

    # -- changing --

    def create(
        self, actor: str, fields: Mapping[str, Any], *, comment: str | None = None, dry_run: bool = False
    ) -> Change:
        """Create a ticket, unless there is one with the same external key: that one is returned as it is.

        Args:
            actor: the role that asks; it becomes ``created_by``.
            fields: ``title``, and as wanted ``description``, ``priority``, ``assigned_to`` (by default the developer),
                ``labels``, ``external_key``; for the manager also ``status``, ``created_by``, ``created_at``, ``comments``, ``github_issue_number``
                and ``extra``.
            comment: text of a first comment by the actor.
            dry_run: change nothing; the returned id is the one that would be given now.

        Raises:
            TicketDeniedError, TicketInvalidError, TicketStoreError.
        """
        rules.check(actor, "create")
        if fields.keys() & _IMPORTED:
            rules.check(actor, "import")
        cleaned = _clean(fields, _CREATED | _IMPORTED | {"status"})
        if "title" not in cleaned:
            raise TicketInvalidError("A ticket needs a title.")
        if cleaned.get("status", "open") != "open":
            rules.check(actor, "import")
        if comment is not None:
            new = model.clean_comment({"author": actor, "text": comment, "timestamp": self._time()})
            cleaned["comments"] = (*cleaned.get("comments", ()), new)
        if dry_run and not os.path.lexists(self._directory):
            return Change(None, self._made(1, actor, cleaned))
        with self._writing(dry_run, make=True) as folder:
            if (key := cleaned.get("external_key")) and (known := self._known(folder, key, dry_run)):
                return Change(known, known)
            number = self._next_number(folder)
            ticket = self._made(number, actor, cleaned)
            data = model.encode(ticket)
            if not dry_run:
                self._add(folder, ticket, number, data)
                self._keys[ticket.id] = ticket.external_key
            return Change(None, ticket)

    def update(
        self,
        actor: str,
        ticket_id: str,
        changes: Mapping[str, Any],
        *,
        comment: str | None = None,
        comment_once: bool = False,
        expected: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Change some fields of a ticket, add a comment, or both at once.

        Args:
            actor: the role that asks.
            ticket_id: the ticket.
            changes: any of ``title description status priority assigned_to labels``; for the manager also
                ``github_issue_number``, ``extra`` (only the fields it names change, None removes one) and ``comments``
                (all of them; needs ``expected``, so that none gets lost).
            comment: text of a comment by the actor.
            comment_once: leave the comment out where the actor has made the same one.
            expected: the ``updated_at`` the changes were made for.
            dry_run: only return what would change.

        Raises:
            TicketConflictError: the ticket was changed since ``expected``, or its status cannot become the wanted one.
            TicketDamagedError: the file was no ticket; it has been set apart.
            TicketNotFoundError, TicketDeniedError, TicketInvalidError, TicketNewerError, TicketStoreError.
        """
        ticket_id = model.clean_id(ticket_id)
        cleaned = _clean(changes, _EDITED | {"status", "comments", "github_issue_number", "extra"})
        if "comments" in cleaned and expected is None:
            raise TicketInvalidError("To replace all comments, say which updated_at is expected.")
        if expected is not None:
            expected = model.clean_timestamp(expected, "The expected updated_at")
        if comment is not None:
            # Its time is that of the change.
            comment = model.clean_comment({"author": actor, "text": comment, "timestamp": self._time()}).text
        with self._writing(dry_run) as folder:
            before = self._get(folder, ticket_id, set_apart=not dry_run)
            if "status" in cleaned:
                rules.check_status(actor, before, cleaned["status"])
            if cleaned.keys() & _EDITED:
                rules.check(actor, "edit", before)
            if cleaned.keys() & _IMPORTED:
                rules.check(actor, "import", before)
            if comment is not None:
                rules.check(actor, "comment", before)
            if expected is not None and expected != before.updated_at:
                raise TicketConflictError(
                    f"{ticket_id} was changed at {before.updated_at}, after {expected}; read it again."
                )
            time_now = model.next_time(self._now(), before.updated_at)
            after = model.changed(before, cleaned)
            if comment is not None and not (
                comment_once and any((c.author, c.text) == (actor, comment) for c in before.comments)
            ):
                if len(after.comments) >= model.MAX_COMMENTS:
                    raise TicketInvalidError(
                        f"{ticket_id} has {model.MAX_COMMENTS} comments, the most there may be; go on in a new ticket."
                    )
                comments = (*after.comments, Comment(actor, comment, time_now))
                after = model.changed(after, {"comments": comments})
            if after == before:
                return Change(before, before)
            after = model.changed(after, {"updated_at": time_now})
            data = model.encode(after)
            if not dry_run:
                self._replace(folder, after, data)
            return Change(before, after)

    def set_apart_damaged(self) -> list[BadFile]:
        """Move every damaged file to ``damaged/`` and return those moved, by their new names."""
        with self._writing(dry_run=False) as folder:
            _tickets, bad = self._read_all(folder)
            return [self._set_apart(folder, file.name, file.reason) for file in bad if file.kind == "damaged"]

    def _made(self, number: int, actor: str, cleaned: Mapping[str, Any]) -> Ticket:
        now = self._time()
        given = {"created_by": actor, "created_at": now, "updated_at": now}
        values = {**given, "assigned_to": model.DEFAULT_ASSIGNEE, **cleaned}
        return Ticket(id=model.ticket_id(number), **values)

    def _time(self) -> str:
        return model.format_time(self._now())

    # -- reading files --

    def _get(self, folder: int, ticket_id: str, *, set_apart: bool = False) -> Ticket:
        name = f"{ticket_id}.json"
        try:
            data = _read(folder, name)
            ticket = None if data is None else model.decode(data, ticket_id)
        except TicketDamagedError as error:
            file = self._set_apart(folder, name, str(error)).name if set_apart else name
            raise TicketDamagedError(
                f"{ticket_id} is damaged: {error}; see {self._directory}/{file}."
            ) from error
        except TicketNewerError as error:
            raise TicketNewerError(
                f"{ticket_id} is of a later version: {error}; update this platform."
            ) from error
        if ticket is not None:
            return ticket
        for earlier in self._set_apart_before(folder):
            if earlier.name.startswith(f"{_DAMAGED}/{name}"):
                raise TicketDamagedError(f"{ticket_id} is damaged; see {self._directory}/{earlier.name}.")
        raise TicketNotFoundError(f"There is no ticket {ticket_id}; list the tickets to find the right one.")

    def _read_all(self, folder: int) -> tuple[list[Ticket], list[BadFile]]:
        """Every ticket, in no order, and what is none."""
        last = _last_number(folder)
        names = set(os.listdir(folder))
        tickets: list[Ticket] = []
        bad: list[BadFile] = []
        # Many small objects that all stay: looking for garbage among them takes longer than reading them.
        collecting = gc.isenabled()
        gc.disable()
        try:
            for name in names:
                self._read_into(folder, name, tickets, bad)
            # Some file systems may not name a file that is replaced while they list it.
            if 0 < last - len(tickets) - len(bad) <= _MAX_GAPS:
                for ticket_id in map(model.ticket_id, range(1, last + 1)):
                    if (name := f"{ticket_id}.json") not in names:
                        self._read_into(folder, name, tickets, bad)
        finally:
            if collecting:
                gc.enable()
        return tickets, bad

    def _read_into(self, folder: int, name: str, tickets: list[Ticket], bad: list[BadFile]) -> None:
        match = _FILE.fullmatch(name)
        if match is None or match[1] == "T-0000":
            if _LOOKS_LIKE_FILE.fullmatch(name):
                bad.append(BadFile(_printable(name), "foreign", "its name is no ticket's, like T-0001.json"))
            return
        try:
            if (data := _read(folder, name)) is not None:
                tickets.append(model.decode(data, match[1]))
        except TicketDamagedError as error:
            bad.append(BadFile(name, "damaged", str(error)))
        except TicketNewerError as error:
            bad.append(BadFile(name, "newer", str(error)))
        except TicketStoreError as error:
            bad.append(BadFile(name, "unreadable", str(error)))

    def _set_apart_before(self, folder: int) -> list[BadFile]:
        """What earlier writers set apart."""
        try:
            apart = os.open(_DAMAGED, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        except OSError:
            return []
        bad = []
        try:
            for name in os.listdir(apart):
                match = _SET_APART.fullmatch(name)
                try:
                    data = _read(apart, name)
                    model.decode(data or b"", f"T-{match[1]}" if match else "")
                    reason = "it was set apart and can be read again; see whether to move it back"
                except TicketError as error:
                    reason = str(error)
                bad.append(BadFile(f"{_DAMAGED}/{_printable(name)}", "damaged", reason))
        finally:
            os.close(apart)
        return bad

    def _known(self, folder: int, key: str, dry_run: bool) -> Ticket | None:
        """The ticket with an external key; a writer sets apart what turns out to be damaged."""
        names = os.listdir(folder)
        unseen = [name for name in names if name[:-5] not in self._keys and _FILE.fullmatch(name)]
        tickets: list[Ticket] = []
        bad: list[BadFile] = []
        for name in unseen:
            self._read_into(folder, name, tickets, bad)
        self._keys.update((ticket.id, ticket.external_key) for ticket in tickets)
        for file in bad:
            if file.kind == "damaged" and not dry_run:
                self._set_apart(folder, file.name, file.reason)
        found = [ticket_id for ticket_id, known in self._keys.items() if known == key]
        return next(
            (self._get(folder, ticket_id) for ticket_id in found if f"{ticket_id}.json" in names), None
        )

    # -- writing files, under the lock --

    def _next_number(self, folder: int) -> int:
        """The number after every one that was ever given."""
        if self._highest is None:
            # Once in an object's life, in case the counter is missing or of an older backup than the tickets.
            self._highest = _highest_number(folder)
        self._highest = max(self._highest, _last_number(folder))
        number = self._highest + 1
        if _exists(folder, f"{model.ticket_id(number)}.json"):
            self._highest = _highest_number(folder)
            number = self._highest + 1
        if number >= 10**18:
            raise TicketStoreError(
                f"{self._directory} holds the ticket with the highest number there can be."
            )
        return number

    def _add(self, folder: int, ticket: Ticket, number: int, data: bytes) -> None:
        """Write a new ticket: never over a file that is there, and its number remembered before it can be seen."""
        owner = atomic.inherited_owner(folder)
        with atomic.prepared(folder, data, mode=_FILE_MODE, owner=owner, name=_NEW):
            _remember_number(folder, number, owner)
            self._highest = number
            os.link(_NEW, f"{ticket.id}.json", src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.fsync(folder)

    def _replace(self, folder: int, ticket: Ticket, data: bytes) -> None:
        owner = atomic.inherited_owner(folder)
        atomic.replace(f"{ticket.id}.json", data, mode=_FILE_MODE, owner=owner, dir_fd=folder, temporary=_NEW)

    def _set_apart(self, folder: int, name: str, reason: str) -> BadFile:
        """Move a damaged file to ``damaged/``, never over another one; where that fails it stays and keeps its id."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(_DAMAGED, _DIRECTORY_MODE, dir_fd=folder)
        try:
            apart = os.open(_DAMAGED, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        except OSError:
            return BadFile(name, "damaged", reason)  # something else has that name
        try:
            owner = _give_to_owner(folder, apart)
            # Its number counts as given, for objects too that have looked at all files before it was there.
            if (number := model.parse_id(name.removesuffix(".json"))) > _last_number(folder):
                _remember_number(folder, number, owner)
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
        return BadFile(f"{_DAMAGED}/{target}", "damaged", reason)

    # -- directory and lock --

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        with self._explained(), atomic.opened_directory(self._directory) as folder:
            yield folder

    @contextlib.contextmanager
    def _writing(self, dry_run: bool, *, make: bool = False) -> Iterator[int]:
        """Open the directory under the lock, which a dry run does without."""
        if make and not dry_run and not os.path.lexists(self._directory):
            with self._explained():
                _make_directory(self._directory)
        with self._opened() as folder:
            if dry_run:
                yield folder
                return
            with self._locked(folder):
                yield folder

    @contextlib.contextmanager
    def _locked(self, folder: int) -> Iterator[None]:
        try:
            with file_lock.held(_LOCK, self._lock_timeout, dir_fd=folder):
                yield
        except LockBusyError as error:
            raise TicketStoreError(
                f"{self._directory} is locked by another writer for more than {self._lock_timeout:g} s; "
                "try again."
            ) from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the system says into errors of the store."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise TicketStorageFullError(
                    f"No space is left in {self._directory}; free some and try again. Nothing was changed."
                ) from error
            if error.errno == errno.ENOENT:
                raise TicketStoreError(f"There is no ticket directory {self._directory}.") from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise TicketStoreError(
                    f"{self._directory} does not permit that here ({error.strerror}); tickets are changed by the "
                    "manager's side."
                ) from error
            raise TicketStoreError(f"{self._directory} cannot be used: {error.strerror}.") from error


# What somebody works on, then what waits, then what is done.
_URGENCY = {"in_progress": 0, "open": 1, "closed": 2}


def _clean(fields: Mapping[str, Any], allowed: Collection[str]) -> dict[str, Any]:
    for name in fields:
        if name not in allowed:
            raise TicketInvalidError(f"A ticket has no field {shown(name)} that could be set.")
    return model.clean_fields(fields)


def _read(folder: int, name: str) -> bytes | None:
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
        return os.read(descriptor, min(status.st_size, model.MAX_FILE_BYTES) + 1)
    except OSError as error:
        raise TicketStoreError(f"{name} cannot be read: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def _last_number(folder: int) -> int:
    """The number that was given last, as far as is remembered."""
    try:
        target = os.readlink(_LAST_ID, dir_fd=folder)
    except OSError:
        return 0
    return int(target) if re.fullmatch(r"[0-9]{1,18}", target) else 0


def _remember_number(folder: int, number: int, owner: tuple[int, int] | None) -> None:
    # A link and no file, because its target cannot be half written and needs no fsync beside that of the directory.
    temporary = f"{_LAST_ID}.new"
    atomic.remove(temporary, dir_fd=folder)
    try:
        os.symlink(str(number), temporary, dir_fd=folder)
        if owner is not None:
            os.chown(temporary, *owner, dir_fd=folder, follow_symlinks=False)
        os.rename(temporary, _LAST_ID, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        atomic.remove(temporary, dir_fd=folder)


def _highest_number(folder: int) -> int:
    """The highest number that any file in the directory or in damaged/ has."""
    names = os.listdir(folder)
    with contextlib.suppress(OSError):
        apart = os.open(_DAMAGED, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            names += os.listdir(apart)
        finally:
            os.close(apart)
    return max((int(match[1]) for match in map(_SET_APART.fullmatch, names) if match), default=0)


def _give_to_owner(folder: int, descriptor: int) -> tuple[int, int] | None:
    """Where root writes, files belong to the directory's owner as if that one had written; returns whom, if so."""
    owner = atomic.inherited_owner(folder)
    if owner is not None:
        os.fchown(descriptor, *owner)
    return owner


def _make_directory(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
        os.chmod(path, _DIRECTORY_MODE)
        atomic.sync_directory(os.path.dirname(os.path.abspath(path)))


def _printable(name: str) -> str:
    return ascii(name)[1:-1]


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
