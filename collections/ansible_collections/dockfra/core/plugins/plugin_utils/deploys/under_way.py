# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a service is being deployed, as its bastion says it: the lock lies there, whoever deploys."""

from __future__ import annotations

from ...module_utils.errors import CommandError, DockfraError
from . import plan
from .configuration import Configuration


def deploy_of(service: str) -> str:
    """Return who deploys a service, what and since when; empty where nobody does, or it has no releases.

    What cannot be asked is taken for under way: nothing is restarted on a guess.
    """
    try:
        entry = Configuration.load().services.get(service)
    except CommandError as error:
        return str(error)
    if entry is None:
        return ""
    try:
        holder = plan.known([entry])[service].holder
    except DockfraError as error:
        return f"nobody can say whether it is being deployed ({error})"
    return f"it is being deployed by {holder}" if holder else ""
