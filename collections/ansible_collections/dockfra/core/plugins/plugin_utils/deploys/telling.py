# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is told of a deploy: the backend, which shows them, and the tickets that its commits name. Later, where it cannot be now.

The backend knows of a deploy from its beginning, so whoever deploys does it within `told`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from ...module_utils.errors import CommandError, DockfraError, LateError, UnreachableError
from ..cli import deployments
from ..cli.call import Call
from . import ledger
from .ledger import Deploy, Ledger

# So many at once: what is older has been told, or is not news any more.
_MOST = 20
_PLACE = "manager"


@contextlib.contextmanager
def told(call: Call) -> Iterator[Callable[[Deploy], None]]:
    """Tell of the deploy that is done within, however it ends; yields what is to be called when it begins."""

    def begins(deploy: Deploy) -> None:
        try:
            deployments.announce_begin(_row(deploy))
        except DockfraError as error:
            call.tell(f"deploy {deploy.id[:8]}: {error}")

    try:
        yield begins
    finally:
        tell_all(call)


def tell_all(call: Call, notes: Ledger | None = None) -> None:
    """Tell of the deploys that have ended and of which not everybody knows.

    A deploy that was killed is known as interrupted from here on. What fails is tried again after the next deploy: the deploy itself has
    worked.
    """
    kept = notes or Ledger()
    with contextlib.suppress(CommandError):
        _end_killed(kept)
        for deploy in reversed(kept.latest(_MOST)):
            if deploy.result != ledger.RUNNING and not deploy.told:
                _tell(call, kept, deploy)


def tell_left(notes: Ledger | None = None) -> None:
    """Tell the application of deploys that were killed, which it would list as going on, and of what could not be told before.

    Tickets are told nothing of the former, and of the latter with the next deploy.

    Raises:
        CommandError: not all could be told or noted; what can be told later is kept.
    """
    kept = notes or Ledger()
    _end_killed(kept)
    for deploy in reversed(kept.latest(_MOST)):
        if deploy.result == ledger.INTERRUPTED and not deploy.told:
            try:
                deployments.announce(_row(deploy))
            finally:
                kept.told(deploy)
    deployments.announce_all()


def _end_killed(kept: Ledger) -> None:
    for deploy in reversed(kept.latest(_MOST)):
        if deploy.result == ledger.RUNNING and not deploy.alive:
            kept.end(deploy, ledger.INTERRUPTED, "its process was killed")


def _tell(call: Call, kept: Ledger, deploy: Deploy) -> None:
    try:
        deployments.announce(_row(deploy))
    except DockfraError as error:
        # What can be told later is kept there.
        call.tell(f"deploy {deploy.id[:8]}: {error}")
    word = _WORDS.get(deploy.result)
    if word is None:  # it was ended from outside: that is nothing for tickets
        kept.told(deploy)
        return
    release = deploy.left if deploy.result == ledger.ROLLED_BACK else deploy.release
    for ticket in deploy.tickets if release else ():
        try:
            call.ask(_PLACE, ["ticket-deployed", ticket, release, word])
        except (LateError, UnreachableError) as error:
            call.tell(f"{ticket} does not know of its deploy: {error}; it is told with the next")
            return
        except DockfraError as error:
            # Commits name what they like.
            call.tell(f"{ticket} does not know of its deploy: {error}")
    kept.told(deploy)


# What tickets are told.
_WORDS = {ledger.DEPLOYED: "deployed", ledger.FAILED: "failed", ledger.ROLLED_BACK: "rolled-back"}


def _row(deploy: Deploy) -> dict[str, Any]:
    """Return a deploy as the application's list takes it."""
    return deployments.row(
        deploy_id=deploy.id,
        target=deploy.target,
        services=deploy.services,
        commit=deploy.commit,
        release=deploy.release,
        by=deploy.who,
        started=deploy.started,
        seconds=deploy.seconds,
        result=ledger.FAILED if deploy.result == ledger.INTERRUPTED else deploy.result,
        tickets=deploy.tickets,
        note=deploy.reason,
    )
