# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a release has for devices: one file for each kind of them, as its manifest says.

Whoever built the release wrote the manifest, so each value is checked, and the file is compared with it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from typing import NamedTuple

from ..answers.data import decoded
from ..errors import DeviceUnsuitableError, ReleaseDamagedError, TooMuchError
from ..text import shown

MANIFEST = "manifest.json"
# Bytes of a manifest, entries in it, and bytes of a file.
_MAX_MANIFEST = 64 * 1024
_MAX_VALUES = 1000
_MAX_FILE = 256 * 1024 * 1024

# How manifests call what uname(1) says of devices whose programs have 64 bits.
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,120}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Artifact(NamedTuple):
    """A file for one kind of device.

    Attributes:
        path: where it is.
        name: its name.
        version: what its program says of itself.
        architecture: the kind of device.
        size: its bytes.
        sha256: in hex digits.
    """

    path: str
    name: str
    version: str
    architecture: str
    size: int
    sha256: str


def architecture(machine: str, bits: int) -> str:
    """Return what a device's programs have to be made for: its kernel alone may have 64 bits.

    Args:
        machine: what uname(1) says.
        bits: of a long number in its programs; 0 where it does not say.
    """
    if bits == 32 and machine in ARCHITECTURES:
        return f"{machine} with programs of 32 bits"
    return ARCHITECTURES.get(machine, machine)


def choose(folder: str | os.PathLike[str], wanted: str) -> Artifact:
    """Return what a release has for a kind of device.

    Args:
        folder: the directory of its files, with the manifest.
        wanted: the kind, see `architecture`.

    Raises:
        DeviceUnsuitableError: nothing.
        ReleaseDamagedError: the manifest cannot be meant, or the file is not as it says.
    """
    found = {artifact.architecture: artifact for artifact in _listed(os.fspath(folder))}
    if wanted not in found:
        kinds = ", ".join(sorted(found)) or "no device"
        raise DeviceUnsuitableError(f"the release is for {kinds}, and this device is {shown(wanted)}")
    artifact = found[wanted]
    _compare(artifact)
    return artifact


def _listed(folder: str) -> list[Artifact]:
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_MANIFEST + 1)
        if len(data) > _MAX_MANIFEST:
            raise ReleaseDamagedError(f"{path} has more than {_MAX_MANIFEST} bytes.")
        entries = decoded(data, _MAX_VALUES)["artifacts"]
        return [_artifact(folder, entry) for entry in entries]
    except OSError as error:
        raise ReleaseDamagedError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, TooMuchError) as error:
        raise ReleaseDamagedError(
            f"{path} is no manifest of files for devices: {shown(str(error))}."
        ) from error


def _artifact(folder: str, entry: Mapping[str, object]) -> Artifact:
    """Return an entry as it is meant; raises ValueError, KeyError or TypeError where it cannot be."""
    texts = [str(entry[key]) for key in ("name", "version", "architecture")]
    for text in texts:
        if not _NAME.fullmatch(text):
            raise ValueError(f"{text!r} is no name")
    size, sha256 = entry["size"], str(entry["sha256"])
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= _MAX_FILE:
        raise ValueError(f"{size} is no size")
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256} is no SHA-256")
    return Artifact(os.path.join(folder, texts[0]), texts[0], texts[1], texts[2], size, sha256)


def _compare(artifact: Artifact) -> None:
    """See that a file is what the manifest says; raises ReleaseDamagedError."""
    try:
        about = os.lstat(artifact.path)
        if not stat.S_ISREG(about.st_mode) or about.st_size != artifact.size:
            raise ReleaseDamagedError(f"{artifact.path} is no file of {artifact.size} bytes.")
        with open(artifact.path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReleaseDamagedError(f"{artifact.path} cannot be read: {error.strerror}.") from error
    if found != artifact.sha256:
        raise ReleaseDamagedError(
            f"{artifact.path} has the SHA-256 {found}, and its manifest says {artifact.sha256}."
        )
