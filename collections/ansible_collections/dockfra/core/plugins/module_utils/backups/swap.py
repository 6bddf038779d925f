# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Puts what a backup holds in the place of what is there: beside it first, then by renames, with the old data kept until the end.

A volume's files lie in a directory of the engine (``…/dockfra-tickets/_data``). What is restored is unpacked beside that, and compared.
Then everything of the platform but its database servers is stopped, and for each volume ``_data`` becomes `BEFORE` and `RESTORED`
becomes ``_data``; databases are renamed likewise, all of a server in one transaction. From the names that are there `undo` knows how far
that came, wherever it was cut off: it puts back what was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..errors import BackupError
from ..files import atomic
from . import archive, postgres, trial
from .parts import ARCHIVE, POSTGRES, Manifest, Part, Source
from .places import Host, check_room
from .postgres import Server

RESTORED, BEFORE, FINISHED = "dockfra.restored", "dockfra.before", "dockfra.finished"
_MARGIN = 64 * 1024 * 1024
_DUMP = "dump"


class Swap:
    """A restore on one Docker host.

    Args:
        host: the Docker host.
        sources: the volumes of the platform there.
    """

    def __init__(self, host: Host, sources: Sequence[Source]) -> None:
        self._host = host
        self._files = [source for source in sources if source.kind != POSTGRES]
        self._servers = [source for source in sources if source.kind == POSTGRES]

    # Steps ----------------------------------------------------------------------------------------------------------

    def prepare(self, manifest: Manifest, folder: str) -> None:
        """Put everything beside what is there, and compare it with the backup.

        Args:
            manifest: what is restored.
            folder: where its archive is.

        Raises:
            BackupError: there is no room or no place for something, or what comes is not what was backed up.
            OSError: the system refuses.
        """
        by_name = {source.volume: source for source in (*self._files, *self._servers)}
        missing = [part.name for part in manifest.parts if part.name.partition("/")[0] not in by_name]
        if missing:
            raise BackupError(
                f"The inventory has no place for {', '.join(missing)}; take the inventory that the backup was made with."
            )
        manifest.check(folder)
        # Files stand beside what is there; of a database the dump does, and what becomes of it.
        room = sum(part.bytes * (3 if part.kind == POSTGRES else 1) for part in manifest.parts) + _MARGIN
        for part in manifest.parts:
            where = self._host.directory(part.name.partition("/")[0])
            check_room(where, room, "what is restored, beside what is there")
        for part in manifest.parts:
            if part.kind == POSTGRES:
                self._prepare_database(by_name, part, folder)
            else:
                beside = self._beside(part.name, RESTORED)
                archive.unpack(os.path.join(folder, ARCHIVE), part.folder, beside, part.owned)
                trial.compare_files(part, beside)
        # All of it is on the disk before anything takes a name of what is there.
        os.sync()

    def swap(self) -> None:
        """Put what was prepared in its place; what was stopped for that runs again. Raises BackupError, OSError."""
        self._stopped(self._swap)

    def undo(self) -> bool:
        """Put back what was, and remove what was prepared, however far that came; returns whether there was anything.

        Raises:
            BackupError: that does not work.
            OSError: the system refuses.
        """
        if os.path.exists(self._mark()):
            # It was done, and only the old data was not removed to its end.
            self.finish()
            return False
        if self._is_swapped():
            self._stopped(self._undo)
            return True
        return self._drop_prepared()

    def finish(self) -> None:
        """Remove the old data, after which nothing is undone; raises BackupError, OSError."""
        # One name says so from here on, whatever of the old data is still there.
        mark = self._mark()
        if mark:
            atomic.replace(mark, b"", mode=0o600)
        for server in self._here():
            for name in server.beside(postgres.BEFORE):
                server.drop(name + postgres.BEFORE)
        for source in self._files:
            if self._host.has(source.volume):
                _remove(self._beside(source.volume, BEFORE))
        if mark:
            atomic.remove(mark)

    # How ------------------------------------------------------------------------------------------------------------

    def _prepare_database(self, by_name: Mapping[str, Source], part: Part, folder: str) -> None:
        volume, _slash, database = part.name.partition("/")
        server = Server(self._host, by_name[volume])
        server.wait()
        scratch = os.path.join(folder, "database")
        _remove(scratch)
        try:
            archive.unpack(os.path.join(folder, ARCHIVE), part.folder, scratch)
            server.add_roles(part.roles)
            server.restore(os.path.join(scratch, _DUMP), database + postgres.RESTORED)
        finally:
            _remove(scratch)
        if server.rows(database + postgres.RESTORED).digest != part.digest:
            raise BackupError(f"The database {part.name} is restored with other rows than the backup has.")

    def _swap(self) -> None:
        for source in self._files:
            restored = self._beside(source.volume, RESTORED)
            if os.path.isdir(restored):
                data = self._data(source.volume)
                os.rename(data, self._beside(source.volume, BEFORE))
                os.rename(restored, data)
                atomic.sync_directory(os.path.dirname(data))
        for server in self._here():
            there = server.databases()
            renames = []
            for name in server.beside(postgres.RESTORED):
                renames += [(name, name + postgres.BEFORE)] if name in there else []
                renames.append((name + postgres.RESTORED, name))
            server.rename(renames)

    def _undo(self) -> None:
        for server in self._here():
            renames = []
            for name in server.beside(postgres.BEFORE):
                renames += [(name, name + postgres.RESTORED), (name + postgres.BEFORE, name)]
            server.rename(renames)
        for source in self._files:
            if not self._host.has(source.volume):
                continue
            data, before = self._data(source.volume), self._beside(source.volume, BEFORE)
            if os.path.isdir(before):
                if os.path.isdir(data):
                    os.rename(data, self._beside(source.volume, RESTORED))
                os.rename(before, data)
                atomic.sync_directory(os.path.dirname(data))
        self._drop_prepared()

    def _drop_prepared(self) -> bool:
        found = False
        for source in self._files:
            if self._host.has(source.volume):
                found |= _remove(self._beside(source.volume, RESTORED))
        for server in self._here():
            for name in server.beside(postgres.RESTORED):
                server.drop(name + postgres.RESTORED)
                found = True
        return found

    def _is_swapped(self) -> bool:
        return any(
            os.path.isdir(self._beside(source.volume, BEFORE))
            for source in self._files
            if self._host.has(source.volume)
        ) or any(server.beside(postgres.BEFORE) for server in self._here())

    def _here(self) -> Iterator[Server]:
        """The database servers that there are; one that was stopped is started, as it is asked."""
        names = {entry["name"] for entry in self._host.containers()}
        for source in self._servers:
            if source.container in names:
                server = Server(self._host, source)
                if not self._host.running(source.container):
                    self._host.start([source.container])
                server.wait()
                yield server

    def _stopped(self, work: Callable[[], None]) -> None:
        """Do something while the platform stands still but for its database servers, which start anew afterwards."""
        servers = {source.container for source in self._servers}
        names = [entry["name"] for entry in self._host.containers()]
        others = [name for name in names if name not in servers]
        own = [name for name in names if name in servers]
        try:
            self._host.stop(others)
            work()
        finally:
            # Roles, their passwords and what they may do in a database are put in force when the server starts.
            self._host.stop(own)
            self._host.start([*own, *others])

    def _mark(self) -> str:
        """The file that says that a restore is done."""
        there = sorted(source.volume for source in self._files if self._host.has(source.volume))
        return self._beside(there[0], FINISHED) if there else ""

    def _data(self, volume: str) -> str:
        return self._host.directory(volume, present=False)

    def _beside(self, volume: str, name: str) -> str:
        return os.path.join(os.path.dirname(self._data(volume)), name)


def _remove(folder: str) -> bool:
    """Remove a directory, if there is one, and say whether."""
    if not os.path.isdir(folder):
        return False
    shutil.rmtree(folder)
    return True
