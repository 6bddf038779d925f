# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The Docker SDK, for what changes something on an engine or streams much to it; what only reads uses `client`."""

from __future__ import annotations

import traceback

from ..errors import EngineError

try:
    import docker
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    IMPORT_ERROR: str | None = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


def connect(timeout: int = 60) -> docker.APIClient:
    """Return a client of the engine that the environment names (``DOCKER_HOST``, else the local socket).

    Raises:
        EngineError: nothing answers there.
    """
    try:
        client = docker.APIClient(version="auto", timeout=timeout, **kwargs_from_env())
        client.ping()
    except (DockerException, OSError) as error:
        raise EngineError(f"The Docker Engine does not answer: {error}") from error
    return client
