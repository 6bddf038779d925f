"""The built files and what their manifest promises."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Artifact:
    name: str
    version: str
    architecture: str
    python: str
    size: int
    sha256: str
    built_at: str
    url: str


class Artifacts:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_bytes())
        self.by_name = {entry["name"]: Artifact(**entry) for entry in self.manifest["artifacts"]}
        self._digests: dict[str, tuple[tuple[int, int], str]] = {}

    def path(self, artifact: Artifact) -> Path:
        return self.directory / artifact.name

    def damaged(self) -> list[str]:
        """The artifacts that are not what the manifest says."""
        return [
            artifact.name for artifact in self.by_name.values() if self._digest(artifact) != artifact.sha256
        ]

    def _digest(self, artifact: Artifact) -> str:
        """The file's SHA-256, read again only when the file has changed; empty when it cannot be read."""
        path = self.path(artifact)
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            known, digest = self._digests.get(artifact.name, (None, ""))
            if known != stamp:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                self._digests[artifact.name] = (stamp, digest)
        except OSError:
            return ""
        return digest
