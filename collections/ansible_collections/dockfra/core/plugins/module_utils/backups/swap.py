# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Puts what a backup holds in the place of what is there: beside it first, then by renames, with the old data kept until the end.

A volume's files lie in a directory of the engine (``…/dockfra-tickets/_data``). What is restored is unpacked beside that, and compared.
Then everything of the platform but its database servers is stopped, and for each volume ``_data`` becomes `BEFORE` and `RESTORED`
becomes ``_data``; databases are renamed likewise, all of a server in one transaction. From the names that are there `undo` knows how far
that came, wherever it was cut off: it puts back what was.

Where a platform has several Docker hosts, each step is taken on all of them before the next one is: what one host has of another, such as
mirrors of audit logs, would else be compared with data that is about to be replaced.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence

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
        remade: those of what others have, which begin anew: no backup has them, and they would not fit what is restored.
    """

    def __init__(self, host: Host, sources: Sequence[Source], remade: Sequence[str] = ()) -> None:
        self._host = host
        self._sources = {source.volume: source for source in sources}
        self._remade = remade
        # The volumes that are swapped as directories.
        self._files = [source.volume for source in sources if source.kind != POSTGRES] + list(remade)
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
        missing = [part.name for part in manifest.parts if part.volume not in self._sources]
        if missing:
            raise BackupError(
                f"The inventory has no place for {', '.join(missing)}; take the inventory that the backup was made with."
            )
        manifest.check(folder)
        # Files stand beside what is there; of a database the dump does, and what becomes of it.
        room = sum(part.bytes * (3 if part.kind == POSTGRES else 1) for part in manifest.parts) + _MARGIN
        for part in manifest.parts:
            where = self._host.directory(part.volume)
            check_room(where, room, "what is restored, beside what is there")
        for part in manifest.parts:
            if part.kind == POSTGRES:
                self._prepare_database(part, folder)
            else:
                beside = self._beside(part.name, RESTORED)
                archive.unpack(os.path.join(folder, ARCHIVE), part.folder, beside, part.owned)
                trial.compare_files(part, beside)
        for volume in self._remade:
            if self._host.has(volume):
                self._empty(volume)
        # All of it is on the disk before anything takes a name of what is there.
        os.sync()

    def stop(self) -> None:
        """Have the platform stand still, but for its database servers; raises BackupError."""
        _own, others = self._containers()
        self._host.stop(others)

    def swap(self) -> None:
        """Put what was prepared in its place, while the platform stands still. Raises BackupError, OSError."""
        self.stop()
        self._swap()

    def start(self) -> None:
        """Start everything, database servers anew; raises BackupError."""
        own, others = self._containers()
        # Roles, their passwords and what they may do in a database are put in force when the server starts.
        self._host.stop(own)
        self._host.start([*own, *others])

    def undo(self) -> bool:
        """Put back what was, and remove what was prepared, however far that came; returns whether there was anything.

        Where there was, the platform may stand still afterwards.

        Raises:
            BackupError: that does not work.
            OSError: the system refuses.
        """
        if self.decided():
            # It was done, and only the old data was not removed to its end.
            self.finish()
            return False
        if self._is_swapped():
            self.stop()
            self._undo()
            return True
        return self._drop_prepared()

    def decide(self) -> None:
        """Have it that nothing is undone from here on; raises BackupError, OSError."""
        # One name says so, whatever of the old data is still there.
        mark = self._mark()
        if mark:
            atomic.replace(mark, b"", mode=0o600)

    def decided(self) -> bool:
        """Whether nothing is to be undone any more, and the old data is still to be removed; raises BackupError."""
        mark = self._mark()
        return bool(mark) and os.path.exists(mark)

    def finish(self) -> None:
        """Remove the old data, after which nothing is undone; raises BackupError, OSError."""
        self.decide()
        mark = self._mark()
        for server in self._here():
            for name in server.beside(postgres.BEFORE):
                server.drop(name + postgres.BEFORE)
        for volume in self._files:
            if self._host.has(volume):
                _remove(self._beside(volume, BEFORE))
        if mark:
            atomic.remove(mark)

    # How ------------------------------------------------------------------------------------------------------------

    def _empty(self, volume: str) -> None:
        """Put an empty directory beside a volume's own, for the same user."""
        status = os.stat(self._data(volume))
        beside = self._beside(volume, RESTORED)
        os.mkdir(beside, 0o700)
        os.chown(beside, status.st_uid, status.st_gid)
        os.chmod(beside, stat.S_IMODE(status.st_mode))

    def _prepare_database(self, part: Part, folder: str) -> None:
        volume, _slash, database = part.name.partition("/")
        server = Server(self._host, self._sources[volume])
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
        for volume in self._files:
            if not self._host.has(volume):
                continue
            restored = self._beside(volume, RESTORED)
            if os.path.isdir(restored):
                data = self._data(volume)
                os.rename(data, self._beside(volume, BEFORE))
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
        for volume in self._files:
            if not self._host.has(volume):
                continue
            data, before = self._data(volume), self._beside(volume, BEFORE)
            if os.path.isdir(before):
                if os.path.isdir(data):
                    os.rename(data, self._beside(volume, RESTORED))
                os.rename(before, data)
                atomic.sync_directory(os.path.dirname(data))
        self._drop_prepared()

    def _drop_prepared(self) -> bool:
        found = False
        for volume in self._files:
            if self._host.has(volume):
                found |= _remove(self._beside(volume, RESTORED))
        for server in self._here():
            for name in server.beside(postgres.RESTORED):
                server.drop(name + postgres.RESTORED)
                found = True
        return found

    def _is_swapped(self) -> bool:
        return any(
            os.path.isdir(self._beside(volume, BEFORE)) for volume in self._files if self._host.has(volume)
        ) or any(server.beside(postgres.BEFORE) for server in self._here())

    def _here(self) -> Iterator[Server]:
        """The database servers that there are; one that was stopped is started, as it is asked."""
        names = {entry["name"] for entry in self._host.containers()}
        for source in self._servers:
            if source.container in names:
                server = Server(self._host, source)
                if not self._host.running(source.container):
                    self._host.start([source.container])
                try:
                    server.wait()
                except BackupError as error:
                    raise BackupError(self._silent(source, error)) from error
                yield server

    def _silent(self, source: Source, error: BackupError) -> str:
        """What to do where a server does not answer: what of a restore is in it cannot be seen."""
        volume = f"{self._host.project}-{source.volume}"
        return (
            f"The database server {source.container} does not answer: {str(error).rstrip('.')}. docker logs {source.container} there says more. If its data is "
            "broken, move that aside, and run this again, which makes a new server and restores into it: "
            f"docker rm -f {source.container} && mv {self._data(source.volume)} /root/{volume}.broken && docker volume rm {volume}"
        )

    def _containers(self) -> tuple[list[str], list[str]]:
        """The containers of the database servers, and all others."""
        servers = {source.container for source in self._servers}
        names = [entry["name"] for entry in self._host.containers()]
        return [name for name in names if name in servers], [name for name in names if name not in servers]

    def _mark(self) -> str:
        """The file that says that a restore is done."""
        there = sorted(volume for volume in self._files if self._host.has(volume))
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
