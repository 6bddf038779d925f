# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives and stores of releases for the tests."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible_collections.dockfra.core.plugins.module_utils.releases import ids, spec_file
from ansible_collections.dockfra.core.plugins.module_utils.releases.record import Record
from ansible_collections.dockfra.core.plugins.module_utils.releases.store import Announced, Store

STATIC = "kind: static\nroot: site\n"


def packed(files: Mapping[str, bytes], release: str = STATIC, mode: str = "w:gz") -> bytes:
    """An archive as a build makes it, of a release.yml and files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in {"spec.json": spec_file.parse(release.encode()).to_json(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 1_700_000_000
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def record(data: bytes, number: int = 1, service: str = "frontend") -> Record:
    """The record of an archive, of the second with that number."""
    commit = f"{number:040x}"
    release = ids.new_id(commit[::-1], 1_800_000_000 + number)
    return Record(release, service, commit[::-1], hashlib.sha256(data).hexdigest(), 1_800_000_000, "monitor")


@contextlib.contextmanager
def sent(data: bytes) -> Iterator[int]:
    """A pipe from which data comes."""
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), open(writing, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield reading
    finally:
        os.close(reading)
        thread.join(10)


def store(root: Path, service: str = "frontend") -> Store:
    """A store that is there."""
    (root / service).mkdir(parents=True, exist_ok=True)
    return Store(service, root)


def add(where: Store, data: bytes, number: int = 1, content: int = 1_000_000) -> str:
    """Receive an archive; returns the release's id."""
    made = record(data, number, where.service)
    with sent(data) as descriptor:
        where.add(made, Announced(len(data), content), descriptor, 10)
    return made.id
