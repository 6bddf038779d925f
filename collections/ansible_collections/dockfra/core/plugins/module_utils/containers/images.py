# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Images that are not built from a Dockerfile."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EngineError
from .labels import LABEL_MANAGED

with contextlib.suppress(ImportError):  # sdk.IMPORT_ERROR says so
    from docker.errors import DockerException, ImageNotFound

if TYPE_CHECKING:
    import docker


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


def import_archive(client: docker.APIClient, archive: Path, reference: str) -> str:
    """Make an image of one layer from a tar archive of its files, as ``docker import`` does, and return its id.

    Args:
        client: an API client.
        archive: of what becomes ``/`` of the image.
        reference: ``name:tag``.

    Raises:
        EngineError: the engine does not take it.
    """
    repository, tag = reference.rsplit(":", 1)
    try:
        told = client.import_image(
            str(archive),
            repository=repository,
            tag=tag,
            changes=['CMD ["bash"]', f"LABEL {LABEL_MANAGED}=true"],
        )
    except (DockerException, OSError) as error:
        raise EngineError(f"the Docker Engine does not take the file system: {error}") from error
    answers = [json.loads(line) for line in str(told).splitlines() if line.strip()]
    if wrong := [answer["error"] for answer in answers if "error" in answer]:
        raise EngineError(f"the Docker Engine does not take the file system: {wrong[0]}")
    return image_id(client, reference)
