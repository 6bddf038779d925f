# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The rule planner: proposes what the catalogue's own rules say, without a model and without a key.

It goes through the same policy as everybody. What it knows beside the catalogue is only order: a service stands behind those that
it needs, and of one subject nothing is changed in two ways at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from .actions import Action, Catalogue, Rule
from .facts import DOMAINS, View, named
from .inventory import ALL, Inventory, key
from .kinds import TEMPLATES, TEXTS
from .past import Past
from .schema import MOST_EVIDENCE, MOST_PROPOSALS, Proposal
from .snapshot import Evidence, Snapshot

Exhausted = Callable[[Proposal], bool]


def plan(
    catalogue: Catalogue,
    inventory: Inventory,
    snapshot: Snapshot,
    past: Past,
    exhausted: Exhausted = lambda _proposal: False,
) -> list[Proposal]:
    """Return what is to be done, in the order in which it is to be done.

    Args:
        catalogue: the actions and their rules.
        inventory: the names.
        snapshot: how everything is.
        past: what was done.
        exhausted: says that a proposal need not be made again, see `judgement.Engine.exhausted`.
    """
    view = View(inventory, snapshot, past)
    subjects = {domain: _subjects(domain, view) for domain in DOMAINS}
    about = _evidence_by_subject(snapshot.evidence.values())
    found: list[Proposal] = []
    changed: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for action, rule, name in _candidates(catalogue, inventory, subjects):
        if len(found) == MOST_PROPOSALS:
            break
        if not all(condition.holds(view, name) for condition in rule.when):
            continue
        proposal = _proposal(action, rule, name, view, about)
        subject = proposal.subject(catalogue)
        touched = inventory.around(subject)
        if (action.id, subject) in seen or (action.changes and touched & changed):
            continue
        if action.failing(action.precondition, view, proposal.parameters) or exhausted(proposal):
            continue
        seen.add((action.id, subject))
        if action.changes:
            changed |= touched
        found.append(proposal)
    return found


def _candidates(
    catalogue: Catalogue, inventory: Inventory, subjects: Mapping[str, list[str]]
) -> Iterator[tuple[Action, Rule, str]]:
    for action in catalogue.actions.values():
        parameter = action.parameters[action.subject]
        # Not every service is one that may be restarted.
        possible = set(inventory.select(parameter.given.among)) if parameter.kind.name == "service" else set()
        for rule in action.rules:
            for name in subjects[rule.domain]:
                if rule.domain != "service" or not possible or name in possible:
                    yield action, rule, name


def _subjects(domain: str, view: View) -> list[str]:
    if domain == "service":
        return view.inventory.in_order(view.inventory.services)
    return list(view.inventory.targets if domain == "target" else view.snapshot.tickets)


def _evidence_by_subject(evidence: Iterable[Evidence]) -> dict[str, list[Evidence]]:
    found: dict[str, list[Evidence]] = {}
    for entry in evidence:
        found.setdefault(entry.about, []).append(entry)
    return found


def _proposal(
    action: Action, rule: Rule, name: str, view: View, about: dict[str, list[Evidence]]
) -> Proposal:
    cited = [
        entry
        for each in sorted(view.inventory.around(key(rule.domain, name)))
        for entry in about.get(each, ())
    ]
    if rule.domain == "target":
        cited += [*about.get("main", ()), *about.get(key("target", ALL), ())]
    cited = cited[:MOST_EVIDENCE]
    known = named(view, rule.domain, name)
    known["evidence"] = "\n".join(f"{entry.id}: {entry.says}" for entry in cited)
    values = {
        key: _legible(text) if action.parameters[key].kind.name in TEXTS else text
        for key, text in rule.parameters(known).items()
    }
    return Proposal(action.id, values, tuple(entry.id for entry in cited), "rules", action.title)


def _legible(text: str) -> str:
    """A text without what looks like a template: a name may hold what the policy refuses in a text."""
    for sign in TEMPLATES:
        text = text.replace(sign, "…")
    return text
