# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the monitor deploys for others than people: what is new on the main branch, and nothing that people or it have left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...module_utils.errors import DeniedError
from .configuration import Deployable
from .ledger import Ledger
from .mirror import MAIN, Mirror
from .plan import Known, Step


def check(
    mirror: Mirror,
    notes: Ledger,
    entries: Sequence[Deployable],
    there: Mapping[str, Known],
    steps: Sequence[Step],
    commit: str,
) -> None:
    """Judge what was asked for.

    Args:
        mirror: the copy of the origin.
        notes: what was deployed.
        entries: the services of the target.
        there: what is known of their releases.
        steps: what would be done.
        commit: the whole hash.

    Raises:
        DeniedError: the commit is not on the main branch, failed or was rolled back, or is older than what serves.
    """
    if not mirror.on_main(commit):
        raise DeniedError(
            f"{commit[:12]} is not on {MAIN}, and only what is there is deployed on request; merge it first"
        )
    services = notes.blamed_for(commit)
    if any(entry.service in services or commit in notes.failed(entry.target) for entry in entries):
        raise DeniedError(
            f"{commit[:12]} failed or was rolled back; on request a newer commit is deployed, and this by a person"
        )
    for step in steps:
        now = there[step.entry.service]
        serves = now.commits.get(now.current, "")
        if serves and mirror.known(serves) and mirror.before(commit, serves):
            raise DeniedError(
                f"{commit[:12]} is older than {serves[:12]}, which {step.entry.service} serves; a person deploys it, or rollback"
            )
