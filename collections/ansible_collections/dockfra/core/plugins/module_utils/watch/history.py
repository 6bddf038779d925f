# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How the services were, for `AGE`: each change of a state, how often each worked, and what was told to people.

It is one SQLite file with one writer. Whatever happens it stays below `ROOM` bytes, together with what SQLite keeps beside it
and one damaged file that was set apart: old rows go first. What is on the disk survives the end of its writer at any moment.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import HistoryError
from .damping import WRONG, Damper

# Seconds that are kept.
AGE = 30 * 86400.0

# Bytes of the file, and of the journal beside it; a file that was damaged may be there once more.
MAX_FILE = 20 * 1024 * 1024
MAX_JOURNAL = 6 * 1024 * 1024
ROOM = 50 * 1024 * 1024

# A service that changes all the time must not push out the others: rows of its changes that are kept.
MAX_CHANGES = 5000

# Rows of alerts that are kept.
MAX_ALERTS = 5000

# Part of the file's room from which on old rows are removed, and part of the rows that go at once.
_FULL = 0.9
_SHARE = 0.1

_PAGE = 4096
_VERSION = 1
_TABLES = """
CREATE TABLE changes (time REAL NOT NULL, service TEXT NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX changes_of_service ON changes (service, time);
CREATE TABLE samples (service TEXT NOT NULL, time REAL NOT NULL, looks INTEGER NOT NULL, up INTEGER NOT NULL,
  milliseconds INTEGER NOT NULL, PRIMARY KEY (service, time)) WITHOUT ROWID;
CREATE TABLE alerts (id TEXT NOT NULL UNIQUE, time REAL NOT NULL, service TEXT NOT NULL, kind TEXT NOT NULL,
  state TEXT NOT NULL, detail TEXT NOT NULL, told INTEGER NOT NULL);
"""
_AGED = (
    # What a service is in now stays, however long it has been.
    "DELETE FROM changes WHERE (time < ? OR time > ?) AND rowid NOT IN (SELECT max(rowid) FROM changes GROUP BY service)",
    "DELETE FROM samples WHERE time < ? OR time > ?",
    "DELETE FROM alerts WHERE (time < ? OR time > ?) AND rowid NOT IN (SELECT max(rowid) FROM alerts GROUP BY service)",
)
_MANY_CHANGES = """
DELETE FROM changes WHERE rowid IN (SELECT rowid FROM
  (SELECT rowid, row_number() OVER (PARTITION BY service ORDER BY rowid DESC) AS number FROM changes) WHERE number > ?)
"""
_MANY_ALERTS = "DELETE FROM alerts WHERE rowid <= (SELECT max(rowid) FROM alerts) - ?"
_OLDEST = (
    (
        "SELECT count(*) FROM changes",
        "SELECT time FROM changes ORDER BY time LIMIT 1 OFFSET ?",
        "DELETE FROM changes WHERE time <= ?",
    ),
    (
        "SELECT count(*) FROM samples",
        "SELECT time FROM samples ORDER BY time LIMIT 1 OFFSET ?",
        "DELETE FROM samples WHERE time <= ?",
    ),
)
_LATEST = "SELECT time, service, state, detail FROM changes WHERE service = ? AND time >= ? ORDER BY time DESC LIMIT ?"
_BEFORE = "SELECT time, service, state, detail FROM changes WHERE service = ? AND time < ? ORDER BY time DESC LIMIT 1"
# Counted backwards, so that the last part ends now; a sample lies where its own time ends.
_PARTS = """
SELECT known.service, CAST((? - time) / ? AS INTEGER) AS part, sum(looks), sum(up)
FROM (SELECT service FROM changes GROUP BY service ORDER BY service LIMIT ?) AS known
CROSS JOIN samples ON samples.service = known.service AND time > ? AND time <= ?
GROUP BY known.service, part
"""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)

# Seconds to wait for somebody else who has the file.
_PATIENCE = 1.0


class Change(NamedTuple):
    """A state that a service came into.

    Attributes:
        time: when, seconds since the epoch.
        service: which.
        state: one of those of `status`.
        detail: what it answered, or what was wrong.
    """

    time: float
    service: str
    state: str
    detail: str


class Sample(NamedTuple):
    """How a service was for some minutes.

    Attributes:
        service: which.
        time: when they ended.
        looks: how often it was asked.
        up: how often it worked.
        milliseconds: how long its slowest answer took.
    """

    service: str
    time: float
    looks: int
    up: int
    milliseconds: int


class Alert(NamedTuple):
    """What people are told.

    Attributes:
        id: no other has it.
        time: when it arose, seconds since the epoch.
        service: of what.
        kind: ``damping.WRONG`` or ``damping.BACK``.
        state: the service's.
        detail: what was wrong.
    """

    id: str
    time: float
    service: str
    kind: str
    state: str
    detail: str


class History:
    """The file, for its one writer. After an error it is given up and opened anew, which finds what is damaged.

    Args:
        path: the file; its directory is made.

    Attributes:
        damage: why an earlier file was set apart; empty where it was not.

    Raises:
        HistoryError: it cannot be used now.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""
        self._database = self._opened()

    def close(self) -> None:
        """Give the file up."""
        self._database.close()

    def last(self) -> dict[str, Change]:
        """Return for each service the state that it came into last."""
        with self._explained():
            rows = self._database.execute(
                "SELECT time, service, state, detail FROM changes "
                "WHERE rowid IN (SELECT max(rowid) FROM changes GROUP BY service)"
            )
            return {row[1]: Change(*row) for row in rows}

    def dampers(self) -> dict[str, Damper]:
        """Return for each service that people were told of how far that is."""
        with self._explained():
            found: dict[str, Damper] = {}
            for service, kind, moment in self._database.execute(
                "SELECT service, kind, time FROM alerts ORDER BY rowid"
            ):
                before = found[service].told if service in found else 0.0
                found[service] = Damper(kind == WRONG, moment if kind == WRONG else before)
            return found

    def add(self, changes: Sequence[Change], samples: Sequence[Sample] = ()) -> None:
        """Keep changes and samples, all or none."""
        with self._explained(), self._database:
            self._database.executemany("INSERT INTO changes VALUES (?, ?, ?, ?)", changes)
            self._database.executemany("INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?)", samples)

    def add_alert(self, alert: Alert) -> None:
        """Keep an alert that nobody was told of yet."""
        with self._explained(), self._database:
            self._database.execute("INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, 0)", alert)

    def told(self, alert: Alert) -> None:
        """Take note that an alert stands in the audit log."""
        with self._explained(), self._database:
            self._database.execute("UPDATE alerts SET told = 1 WHERE id = ?", (alert.id,))

    def untold(self) -> list[Alert]:
        """Return the alerts that are to be told yet, the first ones first."""
        with self._explained():
            rows = self._database.execute(
                "SELECT id, time, service, kind, state, detail FROM alerts WHERE told = 0 ORDER BY rowid"
            )
            return [Alert(*row) for row in rows]

    def prune(self, now: float) -> None:
        """Remove what is too old or too much."""
        with self._explained():
            with self._database:
                for statement in _AGED:
                    # A clock that was wrong leaves what would never become old.
                    self._database.execute(statement, (now - AGE, now + 86400.0))
                self._database.execute(_MANY_CHANGES, (MAX_CHANGES,))
                self._database.execute(_MANY_ALERTS, (MAX_ALERTS,))
            if self._used() > MAX_FILE * _FULL:
                self._make_room()
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _make_room(self) -> None:
        """Remove the oldest rows of the two tables that grow."""
        with self._database:
            for count, oldest, remove in _OLDEST:
                (rows,) = self._database.execute(count).fetchone()
                moment = self._database.execute(oldest, (int(rows * _SHARE),)).fetchone()
                if moment:
                    self._database.execute(remove, moment)

    def _used(self) -> int:
        """Bytes of the file that hold something."""
        (pages,) = self._database.execute("PRAGMA page_count").fetchone()
        (free,) = self._database.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * _PAGE

    def _opened(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._connected()
        except OSError as error:
            raise HistoryError(
                f"The history {self.path} cannot be made: {error.strerror}; what is seen is not kept."
            ) from error
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise _unusable(self.path, error) from error
            self._set_apart(str(error))
        try:
            return self._connected()
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=_PATIENCE)
        try:
            os.chmod(self.path, 0o600)
            database.execute(f"PRAGMA page_size = {_PAGE}")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA max_page_count = {MAX_FILE // _PAGE}")
            database.execute("PRAGMA wal_autocheckpoint = 250")
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise _damage(str(found).splitlines()[-1])
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise _damage(f"it was written by another version of this program ({version})")
            if version == 0:
                # All at once: whoever was killed in between has made none.
                database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        except BaseException:
            database.close()
            raise
        return database

    def _set_apart(self, why: str) -> None:
        """Move a damaged file away, in the place of one that was before."""
        apart = damaged_name(self.path)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.path}{suffix}")
        try:
            os.replace(self.path, apart)
            # What grew without us would take the room of what is kept.
            if apart.stat().st_size > MAX_FILE:
                apart.unlink()
        except OSError as error:
            raise HistoryError(
                f"The history {self.path} is damaged and cannot be moved: {error.strerror}; remove it."
            ) from error
        self.damage = f"{self.path} is damaged ({why}); it is {apart.name} now, and a new one begins"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What SQLite refuses, in our words."""
        try:
            if _size(Path(f"{self.path}-wal")) > MAX_JOURNAL:
                self._shorten()
            yield
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    def _shorten(self) -> None:
        """Bring the journal into the file; whoever reads for hours keeps it from that, and then nothing is written."""
        (busy, *_rest) = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise HistoryError(
                f"The history {self.path} is read by somebody who does not end; what is seen is not kept."
            )


class Reader:
    """The file, for those who only read it.

    Args:
        path: the file.

    Raises:
        HistoryError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def changes(self, service: str, since: float, most: int) -> list[Change]:
        """Return the latest changes of a service, the first ones first, and before them the state it was in at ``since``."""
        found = self._rows(_LATEST, (service, since, most))
        if len(found) < most:
            found += self._rows(_BEFORE, (service, since))
        return [Change(*row) for row in reversed(found)]

    def part_up(self, service: str, since: float) -> float | None:
        """Return which part of the looks found a service working, None where there was no look."""
        query = "SELECT sum(up), sum(looks) FROM samples WHERE service = ? AND time >= ?"
        [(up, looks)] = self._rows(query, (service, since))
        return up / looks if looks else None

    def parts(self, until: float, step: int, count: int, most: int) -> dict[str, tuple[float | None, ...]]:
        """Return how services were, part by part of the time.

        Args:
            until: when the last part ends, seconds since the epoch.
            step: seconds of a part.
            count: parts of a service.
            most: services, the first ones by name.

        Returns: for each service which part of the looks found it working, the oldest first; None where there was no look.
        """
        found: dict[str, list[float | None]] = {}
        since = until - step * count
        for service, part, looks, up in self._rows(_PARTS, (until, step, most, since, until)):
            if part < count:
                found.setdefault(service, [None] * count)[count - 1 - part] = up / looks if looks else None
        return {service: tuple(parts) for service, parts in found.items()}

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            database = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE
            )
            try:
                return database.execute(query, values).fetchall()
            finally:
                database.close()
        except sqlite3.Error as error:
            raise HistoryError(f"The history {self.path} cannot be read: {error}.") from error


def damaged_name(path: Path) -> Path:
    """Return the name that a damaged file gets."""
    return path.with_name(f"{path.name}.damaged")


class Round:
    """Gathers looks until there are enough of them for a sample of each service."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}

    def look(self, states: Mapping[str, tuple[bool, int]]) -> None:
        """Take in a look: for each service whether it works, and how many milliseconds that took."""
        for service, (up, milliseconds) in states.items():
            looks, ups, slowest = self._seen.get(service, (0, 0, 0))
            self._seen[service] = (looks + 1, ups + up, max(slowest, milliseconds))

    def samples(self, now: float | None = None) -> list[Sample]:
        """Return a sample for each service, and begin anew."""
        moment = round(time.time() if now is None else now)
        seen, self._seen = self._seen, {}
        return [Sample(service, moment, *numbers) for service, numbers in seen.items()]


def _damage(reason: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(reason)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: sqlite3.Error) -> bool:
    # The code's lowest byte says what kind it is (https://sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def _unusable(path: Path, error: sqlite3.Error) -> HistoryError:
    return HistoryError(f"The history {path} cannot be used: {error}; what is seen is not kept meanwhile.")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
