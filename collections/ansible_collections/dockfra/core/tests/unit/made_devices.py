# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A device for the tests: a directory as its user's home, in which a real sh runs what comes, and ways to it that break."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from ansible_collections.dockfra.core.plugins.module_utils.devices import artifacts, scripts
from ansible_collections.dockfra.core.plugins.module_utils.devices.answers import Answer
from ansible_collections.dockfra.core.plugins.module_utils.devices.artifacts import Artifact
from ansible_collections.dockfra.core.plugins.module_utils.errors import DeviceAwayError
from ansible_collections.dockfra.core.plugins.module_utils.releases import ids

# Two whole pieces and a bit.
SIZE = 2 * scripts.PIECE + 12345


def identity(number: int) -> str:
    """The id of a release, the higher the later."""
    return ids.new_id(f"{number:040x}", 1_800_000_000 + number)


def program(version: str = "1.0.0", size: int = SIZE, status: int = 0) -> bytes:
    """A program that says its version, of some size."""
    text = f'#!/bin/sh\n[ "$1" = --version ] && echo "status {version}"\nexit {status}\n'.encode()
    filler = hashlib.sha256(version.encode()).hexdigest().encode() + b"\n"
    return (text + filler * (size // len(filler) + 1))[:size]


def manifest(folder: Path, data: bytes, version: str = "1.0.0", architecture: str = "x86_64") -> Path:
    """The files of a release for one kind of device."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"status-{version}-linux-{architecture}"
    (folder / name).write_bytes(data)
    about = {
        "name": name,
        "version": version,
        "architecture": architecture,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    (folder / artifacts.MANIFEST).write_text(json.dumps({"artifacts": [about]}))
    return folder


def artifact(folder: Path, data: bytes | None = None, version: str = "1.0.0") -> Artifact:
    """An artifact that is there."""
    data = program(version) if data is None else data
    return artifacts.choose(manifest(folder / version, data, version), "x86_64")


class Home:
    """A device, as `device.Run` reaches it.

    Args:
        path: an empty place for all that belongs to it.
        like: a home that it begins with.

    Attributes:
        path: its user's home.
        tools: looked up before the system's own programs.
        calls: how many lines it has run.
        sent: bytes that have come in.
        cut: the way breaks for good behind so many bytes; None for a way that holds.
        lost: the answer to this call (counted from 1) is lost, what was asked is done.
        before: what a shell does before each line.
    """

    def __init__(self, path: Path, like: Path | None = None) -> None:
        self.path, self.tools = path / "home", path / "tools"
        self.tools.mkdir(parents=True)
        if like:
            shutil.copytree(like, self.path, symlinks=True)
        else:
            self.path.mkdir()
        self.calls = self.sent = 0
        self.cut: int | None = None
        self.lost = 0
        self.before = ""
        self.variables: dict[str, str] = {}
        self.fake("uname", "echo x86_64")
        self.fake("getconf", "echo 64")
        # What is in memory only, these tests take away by hand.
        self.fake("sync", "exit 0")

    @property
    def releases(self) -> Path:
        return self.path / "releases"

    def fake(self, name: str, script: str) -> None:
        """Let a program of the device do something else."""
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def hook(self, name: str, script: str) -> None:
        """Give the device a program of its own."""
        path = self.path / ".dockfra" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def __call__(self, line: str, data: bytes, seconds: float) -> Answer:
        self.calls += 1
        if self.cut is not None and self.sent >= self.cut and data:
            raise DeviceAwayError("device is away")
        part = data if self.cut is None else data[: self.cut - self.sent]
        self.sent += len(part)
        done = self._run(line, part, seconds)
        if len(part) < len(data) or self.calls == self.lost or done.returncode == -signal.SIGKILL:
            raise DeviceAwayError("the way to the device broke")
        return Answer(done.returncode, done.stdout, done.stderr)

    def _run(self, line: str, data: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
        environment = {
            "HOME": str(self.path),
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            **self.variables,
        }
        command = ["/bin/sh", "-c", f"{self.before}{line}"]
        return subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=seconds,
            env=environment,
            cwd="/",
            start_new_session=True,
            check=False,
        )

    def in_use(self) -> str:
        """The release that the device uses: whole, or none."""
        link = self.releases / "current"
        if not link.is_symlink():
            return ""
        name = os.readlink(link)
        about = (self.releases / name / "about").read_text().split()
        found = hashlib.sha256((self.releases / name / "program").read_bytes()).hexdigest()
        assert found == about[2], f"{name} is not whole"
        assert os.access(self.releases / name / "program", os.X_OK)
        return name

    def names(self) -> list[str]:
        """What lies among the releases."""
        return sorted(entry.name for entry in self.releases.iterdir()) if self.releases.exists() else []
