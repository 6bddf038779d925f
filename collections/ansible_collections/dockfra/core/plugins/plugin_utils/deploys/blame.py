# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which services a deploy failed for, so that by itself nobody tries just their content again.

That a bastion, a device or the builder is away, has no room, or took too long says nothing of what was to be deployed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...module_utils.errors import CommandError, DockfraError
from . import plan
from .plan import Step

# What a service says of a release that it tried and that did not serve; see ``releases.state.RESULTS``.
_BAD = ("unhealthy", "crashed", "hung", "refused", "damaged")


class BlamedError(CommandError):
    """A task failed for what a service is made of.

    Args:
        message: one line.
        service: its name, or that of a device.
    """

    def __init__(self, message: str, service: str) -> None:
        super().__init__(message)
        self.service = service


def found(error: BaseException, steps: Sequence[Step]) -> list[Step]:
    """Return the steps whose content is to blame, before anything is put back: the services are asked what they tried.

    Args:
        error: how it ended.
        steps: of the deploy.
    """
    if not isinstance(error, DockfraError):
        return []
    names = {error.service} if isinstance(error, BlamedError) else set()
    try:
        there = plan.known([step.entry for step in steps])
    except DockfraError:
        there = {}
    for step in steps:
        now = there.get(step.entry.service)
        if now and now.tried[0] == step.after and now.tried[1] in _BAD:
            names.add(step.entry.service)
    return [step for step in steps if step.entry.service in names]
