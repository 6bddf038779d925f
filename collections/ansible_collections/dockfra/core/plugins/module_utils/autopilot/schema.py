# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a plan looks like, as JSON Schema made of the catalogue: given to a model, and held against whatever comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..answers.schema import record
from ..errors import AutopilotError, DockfraError
from ..text import shown
from .actions import PLANNERS, Action, Catalogue, digest
from .inventory import Inventory, key

MOST_PROPOSALS = 20
MOST_EVIDENCE = 20
# Bytes of a plan as JSON.
MOST_PLAN = 256 * 1024


@dataclass(frozen=True)
class Proposal:
    """One action that somebody wants done.

    Attributes:
        action: its id in the catalogue.
        parameters: by name.
        evidence: the ids of what it rests on.
        planner: who wants it.
    """

    action: str
    parameters: Mapping[str, str]
    evidence: tuple[str, ...] = ()
    planner: str = "rules"
    reason: str = field(default="", compare=False)

    def subject(self, catalogue: Catalogue) -> str:
        """What it is about, as `inventory.key` names it; an empty text where the catalogue does not say."""
        action = catalogue.actions.get(self.action)
        return key(action.domain, str(self.parameters.get(action.subject, ""))) if action else ""


def plan_schema(catalogue: Catalogue, inventory: Inventory) -> dict[str, Any]:
    """Return the schema of a whole plan."""
    return record(
        proposals={
            "type": "array",
            "maxItems": MOST_PROPOSALS,
            "items": {"anyOf": [proposal_schema(action, inventory) for action in catalogue.actions.values()]},
        }
    )


def proposal_schema(action: Action, inventory: Inventory) -> dict[str, Any]:
    """Return the schema of a proposal of one action."""
    parameters = {name: each.schema(inventory) for name, each in action.parameters.items()}
    evidence = {"type": "string", "minLength": 1, "maxLength": 100}
    whole = {
        "action": {"type": "string", "enum": [action.id]},
        "parameters": record(**parameters),
        "evidence": {"type": "array", "maxItems": MOST_EVIDENCE, "items": evidence},
        "reason": {"type": "string", "maxLength": 500},
    }
    return {**record(**whole), "description": action.title}


class Checker:
    """Holds proposals against the catalogue.

    Args:
        catalogue: it.
        inventory: the names there are.
    """

    def __init__(self, catalogue: Catalogue, inventory: Inventory) -> None:
        try:
            from jsonschema import Draft202012Validator
        except ImportError as error:
            raise AutopilotError(f"The Python library jsonschema is missing ({error}).") from error
        self._catalogue = catalogue
        self._validators = {
            name: Draft202012Validator(proposal_schema(action, inventory))
            for name, action in catalogue.actions.items()
        }

    def problem(self, proposal: Proposal) -> str:
        """Say in a phrase what a proposal has that it may not have; an empty text for nothing."""
        name = proposal.action
        if not isinstance(name, str) or name not in self._validators:
            return f"there is no action {shown(name)}; there are {', '.join(self._validators)}"
        if proposal.planner not in PLANNERS:
            return f"nobody plans who is called {shown(proposal.planner)}"
        try:
            data = {
                "action": name,
                "parameters": dict(proposal.parameters),
                "evidence": list(proposal.evidence),
                "reason": proposal.reason,
            }
            if len(json.dumps(data)) > MOST_PLAN:
                return f"it has over {MOST_PLAN} bytes"
            error = next(self._validators[name].iter_errors(data), None)
        except (TypeError, ValueError, RecursionError):
            return "it has no form that JSON can have"
        if error is not None:
            place = ".".join(map(str, error.absolute_path)) or "the proposal"
            return f"{place} breaks the rule '{error.validator}' of the schema"
        return self._meaning(proposal)

    def _meaning(self, proposal: Proposal) -> str:
        for name, parameter in self._catalogue.actions[proposal.action].parameters.items():
            try:
                parameter.kind.clean(proposal.parameters[name])
            except (DockfraError, ValueError) as error:
                return f"parameters.{name}: {error}"
        return ""


def plan_digest(proposal: Proposal, action: Action) -> str:
    """Return the hash of exactly this: the action as the catalogue and its playbook have it now, and the parameters."""
    return digest([action.digest, action.id, dict(proposal.parameters)])


def from_answer(data: object, planner: str) -> list[Proposal]:
    """Return the proposals of a plan as plain data, unchecked but for their outermost form; raises AutopilotError."""
    try:
        found = data["proposals"]  # type: ignore[index]
        if len(found) > MOST_PROPOSALS:
            raise AutopilotError(f"The plan has over {MOST_PROPOSALS} proposals.")
        return [
            Proposal(
                each["action"],
                dict(each["parameters"]),
                tuple(each["evidence"]),
                planner,
                str(each["reason"]),
            )
            for each in found
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AutopilotError("The plan has another form than the schema.") from error
