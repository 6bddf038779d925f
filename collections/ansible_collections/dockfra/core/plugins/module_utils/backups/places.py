# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a platform's data lies on a Docker host, and programs that run in its containers."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..containers import sdk
from ..errors import BackupError

with contextlib.suppress(ImportError):  # sdk.IMPORT_ERROR says so
    from docker.errors import DockerException, NotFound

if TYPE_CHECKING:
    from docker import APIClient

# Seconds without a word after which a program in a container, or the engine, is given up.
SILENCE = 3600
_MAX_COMPLAINT = 4000
# Containers that are stopped at the same time.
_AT_ONCE = 8


class Host:
    """A Docker host, and a platform's volumes there.

    Args:
        client: of its engine.
        project: the platform.
    """

    def __init__(self, client: APIClient, project: str) -> None:
        self.client = client
        self.project = project

    @classmethod
    def connect(cls, project: str) -> Host:
        """Return the host whose engine answers here; raises EngineError."""
        return cls(sdk.connect(SILENCE), project)

    def has(self, volume: str) -> bool:
        """Whether there is a volume; raises BackupError where that cannot be told."""
        try:
            self.client.inspect_volume(f"{self.project}-{volume}")
        except NotFound:
            return False
        except (DockerException, OSError) as error:
            raise BackupError(f"The volume {volume} cannot be looked at: {error}") from error
        return True

    def directory(self, volume: str, present: bool = True) -> str:
        """Return where the files of a volume are, or belong.

        Args:
            volume: its name without the project's prefix.
            present: whether the directory has to be there.

        Raises:
            BackupError: that is no directory of this machine.
        """
        name = f"{self.project}-{volume}"
        try:
            found = self.client.inspect_volume(name)
        except NotFound as error:
            raise BackupError(
                f"There is no volume {name} on this Docker host; run site.yml first."
            ) from error
        except (DockerException, OSError) as error:
            raise BackupError(f"The volume {name} cannot be looked at: {error}") from error
        place = str(found.get("Mountpoint") or "")
        if found.get("Driver") != "local" or found.get("Options") or (present and not os.path.isdir(place)):
            raise BackupError(
                f"The volume {name} is no directory of this machine (driver {found.get('Driver')}); its files cannot be reached here."
            )
        return place

    def running(self, container: str) -> bool:
        """Whether a container runs; raises BackupError where that cannot be told."""
        try:
            return bool(self.client.inspect_container(container)["State"]["Running"])
        except NotFound:
            return False
        except (DockerException, OSError) as error:
            raise BackupError(f"The container {container} cannot be looked at: {error}") from error

    def execute(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: int,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[bytes]:
        """Run a program in a container and yield what it prints, piece by piece.

        Raises:
            BackupError: it cannot be run, or ends with another exit status than 0; with the end of what it complained about.
        """
        complaints = b""
        try:
            made = self.client.exec_create(
                container, list(command), user=str(user), environment=dict(environment or {})
            )
            for out, err in self.client.exec_start(made["Id"], stream=True, demux=True):
                complaints = (complaints + (err or b""))[-_MAX_COMPLAINT:]
                if out:
                    yield out
            code = self.client.exec_inspect(made["Id"])["ExitCode"]
        except (DockerException, OSError) as error:
            raise BackupError(f"{command[0]} cannot be run in {container}: {error}") from error
        if code != 0:
            said = complaints.decode(errors="replace").strip() or "it does not say why"
            raise BackupError(f"{command[0]} in {container} failed with exit status {code}: {said}")

    def read_only_run(
        self, image_of: str, command: Sequence[str], *, user: int, folder: str
    ) -> tuple[int, str]:
        """Run a program of a container's image on a directory that it can only read, without any network.

        Returns:
            Its exit status, and the end of what it said.

        Raises:
            BackupError: the container cannot be made or looked at.
        """
        try:
            image = self.client.inspect_container(image_of)["Image"]
            made = self.client.create_container(
                image,
                name=f"{self.project}-backup-{os.urandom(4).hex()}",
                command=list(command[1:]),
                entrypoint=[command[0]],
                user=f"{user}:{user}",
                network_disabled=True,
                labels={},
                working_dir="/",
                environment={"GIT_CONFIG_GLOBAL": "/dev/null", "HOME": "/nonexistent"},
                host_config=self.client.create_host_config(
                    binds={folder: {"bind": "/backup", "mode": "ro"}},
                    read_only=True,
                    cap_drop=["ALL"],
                    security_opt=["no-new-privileges"],
                    network_mode="none",
                    mem_limit="1g",
                    pids_limit=64,
                ),
            )
            try:
                self.client.start(made["Id"])
                code = int(self.client.wait(made["Id"], timeout=SILENCE)["StatusCode"])
                said = self.client.logs(made["Id"], tail=20).decode(errors="replace").strip()
            finally:
                self.client.remove_container(made["Id"], force=True, v=True)
        except (DockerException, OSError) as error:
            raise BackupError(f"{command[0]} cannot be run in the image of {image_of}: {error}") from error
        return code, said[-_MAX_COMPLAINT:]

    def containers(self) -> list[dict[str, str]]:
        """Return the platform's containers: ``name`` and ``state`` of each; raises BackupError."""
        try:
            listed = self.client.containers(all=True, filters={"label": f"dockfra.project={self.project}"})
        except (DockerException, OSError) as error:
            raise BackupError(f"The containers cannot be listed: {error}") from error
        found = [{"name": entry["Names"][0].lstrip("/"), "state": entry["State"]} for entry in listed]
        return sorted(found, key=lambda entry: entry["name"])

    def stop(self, containers: Iterable[str], timeout: int = 20) -> None:
        """Stop containers, several at the same time; raises BackupError."""
        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(lambda name: self.client.stop(name, timeout=timeout), containers))
        except (DockerException, OSError) as error:
            raise BackupError(f"A container cannot be stopped: {error}") from error

    def start(self, containers: Iterable[str]) -> None:
        """Start containers, each whether others start or not; raises BackupError."""
        problems = []
        for name in containers:
            try:
                self.client.start(name)
            except (DockerException, OSError) as error:
                problems.append(f"{name} ({error})")
        if problems:
            raise BackupError(f"Containers cannot be started: {'; '.join(problems)}")

    def data_root(self) -> str:
        """Return the directory in which the engine keeps everything; raises BackupError."""
        try:
            return str(self.client.info()["DockerRootDir"])
        except (DockerException, OSError, KeyError) as error:
            raise BackupError(f"The Docker Engine does not say where its data is: {error}") from error


def used(folder: str) -> int:
    """Return the bytes that the files below a directory take on the disk; what vanishes meanwhile takes none."""
    found = 0
    for place, _folders, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found += os.lstat(os.path.join(place, name)).st_blocks * 512
    return found


def check_room(folder: str, needed: int, what: str) -> None:
    """Raise BackupError where less than so many bytes are free in the file system of a directory, which need not be there yet."""
    place = os.path.abspath(folder)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    free = shutil.disk_usage(place).free
    if free < needed:
        raise BackupError(
            f"There is not enough room for {what}: {_mib(needed)} MiB are needed in {folder}, and {_mib(free)} MiB are free. "
            "Free some and try again; nothing was changed."
        )


def _mib(size: int) -> int:
    return -(-size // (1024 * 1024))
