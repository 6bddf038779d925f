# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the last synchronisation with a repository saw: one file of JSON lines beside the tickets.

The file is a journal: what became of a ticket is one more line, and the last line about something counts. A process that
is killed therefore leaves everything it did before, and at most one line by halves, which counts for nothing. Without the
file, everything is found again through the numbers in the tickets and the markers in the issues; only what was edited on
both sides in the meantime is then taken for a conflict.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import SyncBusyError, TicketStoreError
from ..files import atomic
from ..locks import file_lock

# Directory beside the tickets; the store looks at no name that begins with a dot.
DIRECTORY = ".github"
LOCK_TIMEOUT = 10.0

# Lines that may be superfluous before the file is written anew.
_MOST_OLD_LINES = 1000


@dataclass(slots=True)
class Entry:
    """A ticket and its issue when both were last the same.

    Attributes:
        number, id: of the issue; 0 before it is known that there is one.
        local, remote: values of both sides by field, long ones as a digest. A field that is missing was never the same.
        local_labels, remote_labels: labels of both sides.
        sent: values of both sides as they are once the change under way has happened, by field.
        comments: ids of the comments on GitHub that were written for comments of the ticket, by their keys.
        seen_at, seen_comments: ``updated_at`` and number of comments of the issue that were taken into account.
        tail: marker in the issue's body.
        elsewhere: number in the ticket that is not one of this repository.
    """

    number: int = 0
    id: int = 0
    local: dict[str, Any] = field(default_factory=dict)
    remote: dict[str, Any] = field(default_factory=dict)
    local_labels: list[str] = field(default_factory=list)
    remote_labels: list[str] = field(default_factory=list)
    sent: dict[str, list[Any]] = field(default_factory=dict)
    comments: dict[str, int] = field(default_factory=dict)
    seen_at: str = ""
    seen_comments: int = 0
    tail: str = ""
    elsewhere: int = 0

    @property
    def being_made(self) -> bool:
        """Whether an issue was asked for, and it is not known which it became."""
        return bool(self.remote) and not self.number and not self.elsewhere


_ENTRY_TYPES = {"number": int, "id": int, "seen_comments": int, "elsewhere": int, "seen_at": str, "tail": str}
_ENTRY_TYPES |= {"local": dict, "remote": dict, "sent": dict, "comments": dict}
_ENTRY_TYPES |= {"local_labels": list, "remote_labels": list}


def path_for(directory: str | os.PathLike[str], api_url: str, repo: str) -> str:
    """Return where the state for a directory of tickets and a repository is."""
    server = urllib.parse.urlsplit(api_url)
    name = re.sub(r"[^a-z0-9.-]", "_", f"{server.netloc}{server.path}--{repo.replace('/', '--')}".lower())
    return os.path.join(os.fspath(directory), DIRECTORY, f"{name}.jsonl")


class SyncState:
    """The journal of one repository; use `opened`.

    Attributes:
        entries: by ticket id.
        cursor: time up to which everything on GitHub has been taken into account, or None.
        comments_cursor: the same of comments.
        interrupted: whether the last run was cut short.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._lines = 0
        self.entries: dict[str, Entry] = {}
        self.cursor: str | None = None
        self.comments_cursor: str | None = None
        self.interrupted = False

    def save(self, ticket_id: str) -> None:
        """Remember the entry of a ticket, or that there is none.

        Not forced to the disk: after a power cut the entry before counts, and GitHub is looked at again.
        """
        entry = self.entries.get(ticket_id)
        self._append({"ticket": ticket_id, **({"gone": True} if entry is None else asdict(entry))})

    def finish(self) -> None:
        """Remember the cursors, and that a run came to its end."""
        self._append({"cursor": self.cursor, "comments_cursor": self.comments_cursor, "done": True})
        if self._descriptor < 0:
            return
        if self._lines > 2 * len(self.entries) + _MOST_OLD_LINES:
            self._rewrite()
        else:
            with _explained(self._path):
                os.fsync(self._descriptor)

    def _append(self, values: dict[str, Any]) -> None:
        if self._descriptor < 0:
            return  # a dry run
        with _explained(self._path):
            atomic.write_all(self._descriptor, _line(values))
        self._lines += 1

    def _rewrite(self) -> None:
        lines = [_line({"ticket": key, **asdict(entry)}) for key, entry in self.entries.items()]
        lines.append(_line({"cursor": self.cursor, "comments_cursor": self.comments_cursor, "done": True}))
        with _explained(self._path), atomic.opened_directory(os.path.dirname(self._path)) as folder:
            atomic.replace(
                self._path,
                b"".join(lines),
                mode=0o644,
                owner=atomic.inherited_owner(folder),
                temporary=f"{os.path.basename(self._path)}.new",
            )

    def _load(self) -> None:
        with _explained(self._path):
            try:
                with open(self._path, "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                return
        done = True
        for line in data.split(b"\n"):
            values = _parsed(line)
            if values is None:
                continue
            self._lines += 1
            done = values.get("done") is True
            if done:
                self.cursor = _time(values.get("cursor"))
                self.comments_cursor = _time(values.get("comments_cursor"))
            elif values.get("gone") is True:
                self.entries.pop(values["ticket"], None)
            elif (entry := _entry(values)) is not None:
                self.entries[values["ticket"]] = entry
        self.interrupted = not done

    def _open(self) -> None:
        """Make the file ready to be added to."""
        with _explained(self._path):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o644)
            _give_to_owner(self._path, self._descriptor)
            size = os.fstat(self._descriptor).st_size
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                atomic.write_all(
                    self._descriptor, b"\n"
                )  # what was written by halves stays a line of its own


@contextlib.contextmanager
def opened(path: str, *, dry_run: bool = False, lock_timeout: float = LOCK_TIMEOUT) -> Iterator[SyncState]:
    """Have the state for oneself; a dry run reads it only, and waits for nobody.

    Raises:
        SyncBusyError: another process has it for longer than ``lock_timeout`` seconds.
        TicketStoreError: the system does not permit it.
    """
    state = SyncState(path)
    if dry_run:
        state._load()
        yield state
        return
    with _locked(path, lock_timeout):
        state._load()
        state._open()
        try:
            yield state
        finally:
            os.close(state._descriptor)


@contextlib.contextmanager
def _locked(path: str, timeout: float) -> Iterator[None]:
    folder = os.path.dirname(path)
    with _explained(path):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o755)
            with atomic.opened_directory(folder) as descriptor:
                _give_to_owner(folder, descriptor)
        lock = file_lock.open_file(f"{path}.lock")
    try:
        if not file_lock.take(lock, timeout):
            raise SyncBusyError("Another synchronisation with this repository is under way; try again later.")
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TicketStoreError(
            f"The state of the synchronisation in {os.path.dirname(path)} cannot be used: {error.strerror}."
        ) from error


def _give_to_owner(path: str, descriptor: int) -> None:
    """Where root writes, it belongs to the owner of the directory above, as with the tickets themselves."""
    with atomic.opened_directory(os.path.dirname(path)) as folder:
        owner = atomic.inherited_owner(folder)
    if owner is not None:
        os.fchown(descriptor, *owner)


def _line(values: dict[str, Any]) -> bytes:
    return f"{json.dumps(values, ensure_ascii=True, separators=(',', ':'))}\n".encode()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not (
        values.get("done") is True or isinstance(values.get("ticket"), str)
    ):
        return None
    return values


def _entry(values: dict[str, Any]) -> Entry | None:
    known = {item.name: values[item.name] for item in fields(Entry) if item.name in values}
    if any(not isinstance(value, _ENTRY_TYPES[name]) for name, value in known.items()):
        return None
    return Entry(**known)


def _time(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"[0-9-]{10}T[0-9:]{8}Z", value) else None
