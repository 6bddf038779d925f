# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may do what to a ticket; the expectations are written out, not derived from the code."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    TicketConflictError,
    TicketDeniedError,
    TicketError,
)
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES, TICKET_ACTIONS
from ansible_collections.dockfra.core.plugins.module_utils.tickets import rules
from ansible_collections.dockfra.core.plugins.module_utils.tickets.model import Ticket
from ansible_collections.dockfra.core.plugins.module_utils.tickets.values import STATUSES

NOW = "2026-01-01T00:00:00.000000Z"


def ticket(status: str = "open", assigned_to: str | None = None) -> Ticket:
    return Ticket("T-0007", "Title", "manager", NOW, NOW, status=status, assigned_to=assigned_to)


def verdict(actor: str, status: str, wanted: str, assigned_to: str | None) -> str:
    try:
        rules.check_status(actor, ticket(status, assigned_to), wanted)
    except TicketDeniedError:
        return "denied"
    except TicketConflictError:
        return "conflict"
    return "ok"


@pytest.mark.parametrize(("status", "wanted"), list(itertools.product(STATUSES, STATUSES)))
def test_who_may_change_a_status(status: str, wanted: str) -> None:
    manager = {
        ("open", "open"): "ok",
        ("open", "in_progress"): "ok",
        ("open", "closed"): "ok",
        ("in_progress", "in_progress"): "ok",
        ("in_progress", "closed"): "ok",
        ("in_progress", "open"): "conflict",
        ("closed", "closed"): "ok",
        ("closed", "open"): "ok",
        ("closed", "in_progress"): "conflict",
    }
    own = {**manager, ("open", "open"): "denied", ("open", "closed"): "denied", ("closed", "open"): "denied"}
    own["in_progress", "open"] = "denied"
    for role in ROLES:
        for assigned in (*ROLES, None):
            expected = manager if role == "manager" else own if role == assigned else None
            assert verdict(role, status, wanted, assigned) == (
                expected[status, wanted] if expected else "denied"
            )


def allowed(actor: str, action: str, assigned_to: str | None) -> bool:
    try:
        rules.check(actor, action, ticket(assigned_to=assigned_to))
    except TicketDeniedError:
        return False
    return True


@pytest.mark.parametrize("action", TICKET_ACTIONS)
def test_who_may_do_what(action: str) -> None:
    anywhere = {role for role in ROLES if all(allowed(role, action, assigned) for assigned in (*ROLES, None))}
    own = {role for role in ROLES if allowed(role, action, role)}
    by_autopilot = {"create", "edit", "comment"}
    others = {"autopilot"} if action in by_autopilot else {"monitor"} if action == "report" else set()
    assert anywhere == {"manager", *others}
    work = {"start", "finish", "comment"}
    assert own == (set(ROLES) if action in work else anywhere)


@pytest.mark.parametrize("actor", ["", "root", "Manager", "manager\n", "deployer"])
@pytest.mark.parametrize("action", TICKET_ACTIONS)
def test_nobody_else_may_do_anything(actor: str, action: str) -> None:
    with pytest.raises(TicketDeniedError, match="is no role") as caught:
        rules.check(actor, action, ticket(assigned_to="manager"))
    assert "\n" not in str(caught.value)


def test_a_refusal_says_why() -> None:
    def said(actor: str, wanted: str, of: Ticket) -> str:
        with pytest.raises(TicketError) as caught:
            rules.check_status(actor, of, wanted)
        return str(caught.value)

    assert said("developer", "in_progress", ticket(assigned_to="monitor")) == (
        "The developer may not start T-0007: it is assigned to the monitor."
    )
    assert said("developer", "in_progress", ticket()) == (
        "The developer may not start T-0007: it is assigned to nobody; "
        "the manager gives it to you with 'ticket-update T-0007 --assign developer'."
    )
    assert said("developer", "closed", ticket(assigned_to="developer")) == (
        "The developer may not close T-0007 while it is open; start it first."
    )
    assert said("autopilot", "open", ticket("closed")) == "The autopilot may not reopen T-0007."
    assert (
        said("manager", "in_progress", ticket("closed"))
        == "T-0007 is closed and cannot become in_progress, only open."
    )
    with pytest.raises(TicketDeniedError, match=r"^The developer may not create tickets\.$"):
        rules.check("developer", "create")
    with pytest.raises(TicketDeniedError, match=r"^The autopilot may not set imported fields of tickets\.$"):
        rules.check("autopilot", "import")
