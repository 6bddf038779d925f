# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The repository of the backups: encrypted and deduplicated by restic, which runs where Ansible does.

Where the repository is and how it is opened reach restic in its environment, never in a command line.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import RepositoryError, UsageError
from ..files import atomic
from .places import check_room

PROGRAM = "restic"
# Settings of a platform's snapshots are found by this tag.
TAG = "dockfra"
# What every repository has.
_CONFIG = "config"
_SCHEME = re.compile(r"[a-z0-9]+:")
_WITH_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_ID = re.compile(r"latest|[0-9a-f]{8,64}")
_MARGIN = 64 * 1024 * 1024
_MAX_ENVIRONMENT = 64 * 1024
_COMPLAINTS = 3


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a platform: its id, and when it was made as RFC 3339."""

    id: str
    time: str

    @property
    def short(self) -> str:
        """What people call it."""
        return self.id[:8]


class Repository:
    """A repository.

    Args:
        address: a directory, or what restic calls one (``sftp:…``, ``s3:…``).
        password_file: the file with the password it is encrypted with.
        environment_file: lines ``NAME=value`` for restic, such as keys of an object store; none where empty.

    Raises:
        UsageError: what is given cannot be used, and how it can.
        RepositoryError: restic is not there.
    """

    def __init__(self, address: str, password_file: str, environment_file: str = "") -> None:
        if _WITH_PASSWORD.search(address):
            raise UsageError(
                "dockfra_backup_repository holds a password; take it out and put RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD, or what "
                "the store wants, into the file that dockfra_backup_environment_file names."
            )
        if not shutil.which(PROGRAM):
            raise RepositoryError(f"{PROGRAM} is not installed; run: apt-get install {PROGRAM}")
        self.address = address
        self._password_file = password_file
        _check_secret(password_file, "dockfra_backup_password_file")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RESTIC_")},
            **(_variables(environment_file) if environment_file else {}),
            "RESTIC_REPOSITORY": address,
            "RESTIC_PASSWORD_FILE": password_file,
            "RESTIC_PROGRESS_FPS": "0.01",
        }

    @property
    def directory(self) -> str:
        """Where it is on this machine; empty where it is elsewhere."""
        return "" if _SCHEME.match(self.address) else self.address

    def exists(self) -> bool:
        """Whether there is a repository; raises RepositoryError where that cannot be told."""
        if self.directory:
            if not os.path.isfile(os.path.join(self.directory, _CONFIG)):
                if os.path.isdir(self.directory) and os.listdir(self.directory):
                    raise RepositoryError(
                        f"{self.directory} is no repository and not empty; name another place in dockfra_backup_repository."
                    )
                return False
            return True
        done = self._done("cat", _CONFIG)
        if done.returncode == 0:
            return True
        if "unable to open config file" in done.stderr or "repository does not exist" in done.stderr:
            return False
        raise self._error("cat", done)

    def make(self) -> None:
        """Make the repository; raises RepositoryError."""
        if self.directory:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self._run("init")

    def unlock(self) -> None:
        """Remove the locks of runs that have ended without doing so; raises RepositoryError."""
        # Each start of restic costs half a second, as the password is to be hard to guess.
        if not self.directory or os.listdir(os.path.join(self.directory, "locks")):
            self._run("unlock")

    def store(self, folder: str, project: str) -> Snapshot:
        """Make a snapshot of a directory; raises RepositoryError."""
        answer = self._run(
            *("backup", "--json", "--host", project, "--tag", TAG, "."),
            cwd=folder,
        )
        for message in _objects(answer):
            if message.get("message_type") == "summary":
                return self.snapshot(str(message["snapshot_id"]), project)
        raise RepositoryError("restic made no snapshot and does not say why.")

    def snapshots(self, project: str) -> list[Snapshot]:
        """Return the snapshots of a platform, the oldest first; raises RepositoryError."""
        return self._listed(project)

    def snapshot(self, name: str, project: str) -> Snapshot:
        """Return a platform's snapshot by its id or as ``latest``; raises RepositoryError, UsageError."""
        if not _ID.fullmatch(name):
            raise UsageError(f"'{name}' names no snapshot; it is 'latest', or an id like 1a2b3c4d.")
        listed = self._listed(project)
        found = listed[-1:] if name == "latest" else [each for each in listed if each.id.startswith(name)]
        if not found:
            known = ", ".join(f"{each.short} of {each.time[:16]}" for each in listed[-5:])
            raise RepositoryError(
                f"There is no snapshot {name} of '{project}' in {self.address}; "
                + (f"the last ones are {known}." if known else "there is none at all.")
            )
        return found[-1]

    def check(self, lock: bool = True) -> None:
        """Raise RepositoryError where something of the repository is missing or has another size than it should.

        Args:
            lock: whether others are kept out meanwhile.
        """
        self._run("check", *(() if lock else ("--no-lock",)))

    def restore(self, snapshot: Snapshot, folder: str) -> None:
        """Bring a snapshot into a directory, all of it or an error.

        Raises:
            RepositoryError: it is damaged, or cannot be read.
            BackupError: there is no room for it.
        """
        (size,) = (
            int(message["total_size"])
            for message in _objects(self._run("stats", "--mode", "restore-size", "--json", snapshot.id))
        )
        check_room(folder, size + _MARGIN, "the snapshot")
        self._run("restore", snapshot.id, "--target", folder, "--verify")

    def forget(self, project: str, keep: Mapping[str, int]) -> int:
        """Remove all snapshots of a platform but the last ones of each period, and what only they needed; returns how many went.

        Args:
            project: the platform.
            keep: number by period (``daily``, ``weekly``, ``monthly``).

        Raises:
            RepositoryError: that failed.
        """
        kept = [
            word
            for period, number in keep.items()
            for word in (f"--keep-{period}", str(number))
            if number > 0
        ]
        if not kept:
            return 0
        answer = self._run(
            *("forget", "--prune", "--json", "--group-by", "host,tags", "--host", project, "--tag", TAG),
            *("--keep-last", "1", *kept),
        )
        # Behind the list there may be what was said of the room.
        try:
            groups, _end = json.JSONDecoder().raw_decode(answer.lstrip())
            return sum(len(group.get("remove") or ()) for group in groups)
        except (ValueError, AttributeError, TypeError) as error:
            raise RepositoryError(f"restic's list of what it forgot cannot be read: {error}") from error

    def _listed(self, project: str) -> list[Snapshot]:
        answer = self._run("snapshots", "--json", "--host", project, "--tag", TAG)
        try:
            entries = [Snapshot(str(entry["id"]), str(entry["time"])) for entry in json.loads(answer) or ()]
        except (ValueError, KeyError, TypeError) as error:
            raise RepositoryError(f"restic's list of snapshots cannot be read: {error}") from error
        return sorted(entries, key=lambda each: each.time)

    def _run(self, *words: str, cwd: str | None = None) -> str:
        done = self._done(*words, cwd=cwd)
        if done.returncode != 0:
            raise self._error(words[0], done)
        return done.stdout

    def _done(self, *words: str, cwd: str | None = None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # pylint: disable=ansible-bad-function
                [PROGRAM, *words],
                env=self._environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise RepositoryError(f"{PROGRAM} cannot be run: {error.strerror}") from error

    def _error(self, action: str, done: subprocess.CompletedProcess[str]) -> RepositoryError:
        said = " / ".join(line.strip() for line in done.stderr.splitlines()[-_COMPLAINTS:] if line.strip())
        what = f"The repository {self.address}"
        if "wrong password" in done.stderr:
            return RepositoryError(
                f"{what} is encrypted with another password than the one in {self._password_file}; name the file with the right one "
                "in dockfra_backup_password_file."
            )
        if "unable to open config file" in done.stderr or "repository does not exist" in done.stderr:
            return RepositoryError(f"{what} does not exist; name it in dockfra_backup_repository.")
        if "already locked" in done.stderr:
            return RepositoryError(
                f"{what} is in use by somebody else ({said}); try again when that has ended."
            )
        if "no space left" in done.stderr:
            return RepositoryError(f"There is no space left for {what[4:]} or what is read from it: {said}")
        damaged = {"check": "is damaged", "restore": "is damaged, or the snapshot cannot be read"}
        return RepositoryError(
            f"{what} {damaged.get(action, f'refuses to {action}')}: {said or 'it does not say why'}"
        )


def make_password(path: str, address: str) -> bool:
    """Make a password for a new repository where there is none; returns whether one was made.

    Raises:
        RepositoryError: the repository is there, so its password must be somewhere.
        OSError: the file cannot be written.
    """
    if os.path.lexists(path):
        return False
    if not _SCHEME.match(address) and os.path.lexists(os.path.join(address, _CONFIG)):
        raise RepositoryError(
            f"The repository {address} is there, and the file with its password is not: {path}. Bring that back, or name another "
            "repository in dockfra_backup_repository."
        )
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        atomic.create(path, f"{secrets.token_urlsafe(36)}\n".encode(), mode=0o600)
    return True


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects among the lines that restic printed."""
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _variables(path: str) -> dict[str, str]:
    _check_secret(path, "dockfra_backup_environment_file")
    with open(path, encoding="utf-8") as file:
        lines = file.read(_MAX_ENVIRONMENT).splitlines()
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _VARIABLE.fullmatch(line.strip())
        if match is None:
            raise UsageError(f"{path}: line {number} is not NAME=value.")
        value = match[2]
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[match[1]] = value
    return found


def _check_secret(path: str, setting: str) -> None:
    """Raise UsageError where a file with secrets is missing, empty, or others can read it."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError(
            f"{setting} names {path}, which cannot be read: {error.strerror}. Bring the file, or name it elsewhere."
        ) from error
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        raise UsageError(f"{setting} names {path}, which is no file with something in it.")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}); run: chmod 600 {path}"
        )
