# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Images that are not built from a Dockerfile."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EngineError
from .labels import LABEL_MANAGED

with contextlib.suppress(ImportError):  # sdk.IMPORT_ERROR says so
    from docker.errors import DockerException, ImageNotFound

if TYPE_CHECKING:
    import docker

_CHUNK = 1 << 20


def image_id(client: docker.APIClient, reference: str) -> str:
    """Return the id of an image, empty where the engine does not have it.

    Raises:
        EngineError: the engine refuses to answer.
    """
    try:
        return str(client.inspect_image(reference)["Id"])
    except ImageNotFound:
        return ""
    except (DockerException, OSError) as error:
        raise EngineError(f"the Docker Engine refuses to answer: {error}") from error


def import_tree(client: docker.APIClient, root: Path, reference: str, left_out: Iterable[str] = ()) -> str:
    """Make an image of one layer from a directory, as ``docker import`` does, and return its id.

    Args:
        client: an API client, whose timeout holds for the whole transfer.
        root: becomes ``/`` of the image.
        reference: ``name:tag``.
        left_out: patterns of paths, relative to the root.

    Raises:
        EngineError: the directory cannot be read, or the engine does not take it.
    """
    repository, _, tag = reference.rpartition(":")
    command = ["tar", "--create", "--numeric-owner", "--directory", str(root)]
    command += [f"--exclude=./{pattern}" for pattern in left_out]
    with subprocess.Popen([*command, "."], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as packer:
        assert packer.stdout is not None
        assert packer.stderr is not None
        try:
            told = client.import_image(
                iter(lambda: packer.stdout.read(_CHUNK), b""),  # type: ignore[union-attr]
                repository=repository,
                tag=tag,
                changes=['CMD ["bash"]', f"LABEL {LABEL_MANAGED}=true"],
                stream_src=True,
            )
        except (DockerException, OSError) as error:
            packer.kill()
            raise EngineError(f"the Docker Engine does not take the file system: {error}") from error
        complaint = packer.stderr.read().decode(errors="replace").strip()
    if packer.returncode:
        raise EngineError(f"{root} cannot be packed: {complaint}")
    answers = [json.loads(line) for line in str(told).splitlines() if line.strip()]
    if wrong := [answer["error"] for answer in answers if "error" in answer]:
        raise EngineError(f"the Docker Engine does not take the file system: {wrong[0]}")
    return image_id(client, reference)
