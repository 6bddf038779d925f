# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The roles that a member of a team may hold, and what each may do with tickets, whichever way it comes.

Which command a role may run where is data of the inventory, see `model`; what stands here holds beneath every command,
module and playbook. No other place of the library names all roles or says what one may do.
"""

from __future__ import annotations

from collections.abc import Mapping

ROLES = ("manager", "autopilot", "monitor", "developer")

# To import is to set what a ticket normally gets by itself: its creator, times, comments of others, GitHub number and
# further fields. To report is to add a comment in the platform's own words, in none of the caller's. The others are what people
# do with tickets, and the changes of status that `tickets.rules` names.
TICKET_ACTIONS = ("create", "edit", "import", "comment", "report", "start", "finish", "drop", "reopen")

# What a role may do to every ticket, and what only to those assigned to it.
ON_ALL_TICKETS: Mapping[str, frozenset[str]] = {
    "manager": frozenset(TICKET_ACTIONS),
    "autopilot": frozenset({"create", "edit", "comment"}),
    "monitor": frozenset({"report"}),
    "developer": frozenset(),
}
ON_OWN_TICKETS: Mapping[str, frozenset[str]] = dict.fromkeys(ROLES, frozenset({"start", "finish", "comment"}))
