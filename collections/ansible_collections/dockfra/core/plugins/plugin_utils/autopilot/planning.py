# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which planners there are beside the rules: a model where there is a key, and nobody else."""

from __future__ import annotations

from collections.abc import Callable

from ...module_utils.autopilot.advisor import BREAKER_CYCLES, Advisor, Proposed
from ...module_utils.autopilot.past import Past
from ...module_utils.autopilot.snapshot import Snapshot
from ...module_utils.llm.client import LLMClient
from .cycle import Pilot, Propose
from .means import Means, budget_left

# The file, beside the ledger, that remembers what a model was asked about last.
ASKED = "asked.json"


def pilot(means: Means, tell: Callable[[str], None] = lambda _text: None) -> Pilot:
    """Return what does cycles with what there is here."""
    return Pilot(means, model(means), lambda: budget_left(means.settings), tell)


def model(means: Means) -> Propose:
    """Return the planner that asks a model; it proposes nothing without a key, and where nothing of it would be done."""
    advisor = Advisor(lambda: _client(means), means.actions, means.inventory, means.state / ASKED)

    def propose(snapshot: Snapshot, past: Past) -> Proposed:
        settings = means.settings.latest()
        idle = settings.get("AUTOPILOT_MODE") == "observe" or means.stopped(snapshot.time)
        if idle or not settings.get("OPENROUTER_API_KEY"):
            return Proposed()
        return advisor.propose(snapshot, past)

    return propose


def _client(means: Means) -> LLMClient:
    # Only who asks pays for what asks.
    from ..cli import models

    interval = float(means.settings.latest().get("AUTOPILOT_INTERVAL"))
    return models.client(means.place, breaker_seconds=BREAKER_CYCLES * interval)
