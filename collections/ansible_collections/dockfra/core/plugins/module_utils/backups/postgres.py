# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Databases of a PostgreSQL server in a container: dumped by its own programs, restored beside, compared and swapped.

The server is asked over its socket in ``/run/postgresql`` as its superuser, who is the container's user. Files pass through a
directory in the server's volume. The digest of a database is made of its rows and sequences as ``pg_dump --data-only`` writes them:
for each table the number of rows and the sum of their hashes, so that their order does not count.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import BackupError
from .parts import Source
from .places import Host

# In the server's volume, beside its own directory.
EXCHANGE = "dockfra-backup"
# What a database is called while it is tried, restored, and kept until the end.
TRIED, RESTORED, BEFORE = SUFFIXES = ("_dockfra_tried", "_dockfra_restored", "_dockfra_before")

_COPY = re.compile(rb"COPY (\S+ \(.*\)) FROM stdin;\n")
_SEQUENCE = re.compile(rb"SELECT pg_catalog\.setval\(.*\);\n")
_END = b"\\.\n"
_DUMP = ("pg_dump", "--no-password", "--no-unlogged-table-data")
_MODULUS = 1 << 256
# Bytes of a row that are looked at as one.
_MAX_ROW = 1 << 30


@dataclass(frozen=True)
class Rows:
    """What a database holds: its tables, the rows of all of them, and their digest."""

    tables: int
    rows: int
    digest: str


class Server:
    """A PostgreSQL server.

    Args:
        host: the Docker host.
        source: its volume.
    """

    def __init__(self, host: Host, source: Source) -> None:
        self._host = host
        self._source = source
        self._volume = host.directory(source.volume)

    # Dumps ----------------------------------------------------------------------------------------------------------

    def databases(self) -> list[str]:
        """Return the databases that hold something of somebody; raises BackupError."""
        query = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"
        found = self.query(query)
        return [name for name in found if not name.endswith(SUFFIXES)]

    def roles(self) -> tuple[str, ...]:
        """Return the names of all roles that are no part of PostgreSQL; raises BackupError."""
        return tuple(
            self.query("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND oid <> 10 ORDER BY 1")
        )

    def dump(self, database: str, target: BinaryIO) -> int:
        """Write a dump as of one moment, and return its size; raises BackupError, OSError.

        It is in PostgreSQL's own format, and not compressed: the repository does that, and finds what it has already.
        """
        size = 0
        for piece in self._run(*_DUMP, "--format=custom", "--compress=0", database):
            target.write(piece)
            size += len(piece)
        return size

    def restore(self, dump: str, database: str) -> None:
        """Make a database of a dump, in the place of one of that name; raises BackupError, OSError.

        Args:
            dump: the file.
            database: one with a suffix of `SUFFIXES`.
        """
        self.drop(database)
        self.query(f"CREATE DATABASE {_quoted(database)} TEMPLATE template0")
        with self._exchanged(dump) as inside:
            command = ("pg_restore", "--no-password", "--exit-on-error", "--dbname", database, inside)
            for _piece in self._run(*command):
                pass

    def add_roles(self, names: Iterable[str]) -> None:
        """Make the roles that are missing, none of which can log in; raises BackupError."""
        for name in sorted(set(names) - set(self.roles())):
            self.query(f"CREATE ROLE {_quoted(name)} NOLOGIN")

    def drop(self, database: str) -> None:
        """Remove a database that this room made; raises BackupError."""
        if not database.endswith(SUFFIXES):
            raise BackupError(f"The database {database} is not one that a restore has made; it stays.")
        self.query(f"DROP DATABASE IF EXISTS {_quoted(database)} WITH (FORCE)")

    # Comparison -----------------------------------------------------------------------------------------------------

    def rows(self, database: str) -> Rows:
        """Return what a database holds now; raises BackupError."""
        return digest(self._run(*_DUMP, "--data-only", database))

    def rows_of_dump(self, dump: str) -> Rows:
        """Return what a dump holds; raises BackupError, OSError."""
        with self._exchanged(dump) as inside:
            return digest(self._run("pg_restore", "--data-only", "--file=-", inside))

    # The swap -------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float = 90.0) -> None:
        """Wait until the server answers; raises BackupError where it does not."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.query("SELECT 1")
                return
            except BackupError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.5)

    def beside(self, suffix: str) -> list[str]:
        """Return the names, without it, of the databases that have a suffix of `SUFFIXES`; raises BackupError."""
        found = self.query("SELECT datname FROM pg_database ORDER BY 1")
        return [name.removesuffix(suffix) for name in found if name.endswith(suffix)]

    def rename(self, renames: Iterable[tuple[str, str]]) -> None:
        """Rename databases all at once, whoever is connected; raises BackupError."""
        pairs = list(renames)
        if not pairs:
            return
        named = ", ".join(_literal(old) for old, _new in pairs)
        ended = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname IN ({named})"  # noqa: S608  quoted
        steps = "; ".join(f"ALTER DATABASE {_quoted(old)} RENAME TO {_quoted(new)}" for old, new in pairs)
        self.query(ended)
        self.query(f"BEGIN; {steps}; COMMIT")

    # Programs -------------------------------------------------------------------------------------------------------

    def query(self, statement: str) -> list[str]:
        """Return the lines of an answer; raises BackupError."""
        command = ("psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align")
        options = ("--set=ON_ERROR_STOP=1", "--dbname=postgres", "--command")
        return b"".join(self._run(*command, *options, statement)).decode().splitlines()

    def _run(self, *command: str) -> Iterator[bytes]:
        line = 'export PGHOST="${PGHOST:-/run/postgresql}" PGPORT="${DOCKFRA_PORT_POSTGRES:-5432}" PGUSER=postgres; exec "$@"'
        whole = ("/bin/sh", "-c", line, "sh", *command)
        return self._host.execute(self._source.container, whole, user=self._source.uid)

    def _exchanged(self, dump: str) -> _Exchange:
        return _Exchange(self._volume, self._source, dump)


class _Exchange:
    """A file where the server's programs can read it, for a while."""

    def __init__(self, volume: str, source: Source, file: str) -> None:
        self._folder = os.path.join(volume, EXCHANGE)
        self._inside = f"{source.path}/{EXCHANGE}/dump"
        self._uid = source.uid
        self._file = file

    def __enter__(self) -> str:
        self._clear()
        os.mkdir(self._folder, 0o700)
        # What is around it belongs to the server's user, who is not trusted.
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with (
                open(self._file, "rb") as source,
                os.fdopen(os.open("dump", flags, 0o400, dir_fd=folder), "wb") as target,
            ):
                shutil.copyfileobj(source, target, 1024 * 1024)
                os.fchown(target.fileno(), self._uid, self._uid)
            os.fchown(folder, self._uid, self._uid)
        finally:
            os.close(folder)
        return self._inside

    def __exit__(self, *_about: object) -> None:
        self._clear()

    def _clear(self) -> None:
        if os.path.islink(self._folder):
            os.unlink(self._folder)
        elif os.path.lexists(self._folder):
            shutil.rmtree(self._folder)


def digest(pieces: Iterable[bytes]) -> Rows:
    """Return what a dump of rows as SQL holds, from its pieces; raises BackupError where it is cut off."""
    tables: dict[bytes, list[int]] = {}
    others: list[bytes] = []
    table: list[int] | None = None
    for line in _lines(pieces):
        if table is not None:
            if line == _END:
                table = None
                continue
            table[0] += 1
            table[1] = (table[1] + int.from_bytes(hashlib.sha256(line).digest(), "big")) % _MODULUS
        elif match := _COPY.fullmatch(line):
            table = tables.setdefault(match[1], [0, 0])
        elif _SEQUENCE.fullmatch(line):
            others.append(line)
    if table is not None:
        raise BackupError("The dump ends in the middle of a table.")
    whole = hashlib.sha256()
    for name, (count, total) in sorted(tables.items()):
        whole.update(b"%s %d %064x\n" % (name, count, total))
    for line in sorted(others):
        whole.update(line)
    return Rows(len(tables), sum(count for count, _total in tables.values()), whole.hexdigest())


def _lines(pieces: Iterable[bytes], most: int = _MAX_ROW) -> Iterator[bytes]:
    rest: list[bytes] = []
    held = 0
    for piece in pieces:
        *whole, last = piece.split(b"\n")
        for part in whole:
            yield b"".join((*rest, part, b"\n"))
            rest, held = [], 0
        rest.append(last)
        held += len(last)
        if held > most:
            raise BackupError("A row of the database is too long to be compared.")
    if held:
        yield b"".join(rest)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
