# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a service, a target, a ticket or a commit, in words and numbers.

The catalogue's conditions name these facts: what an action requires, what has to hold after it, and when the rules propose it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from .inventory import Inventory, key
from .past import HOUR, Past
from .snapshot import Deploy, Snapshot

Value: TypeAlias = "str | int"

# Seconds after a deploy for which a fault is laid at its door.
FRESH_RELEASE = 1800.0

# Seconds that what is needed has to have worked: those who need it, and Docker's checks of them, find out by then by themselves.
RECOVERY = 30.0

_YES_NO = ("yes", "no")
_FAULTS = ("none", "stopped", "unhealthy", "unreachable", "unknown")
_RESULTS = ("none", "running", "deployed", "failed", "rolled-back", "interrupted")


class View(NamedTuple):
    """All that facts are made of.

    Attributes:
        inventory: the names.
        snapshot: how everything is.
        past: what was done.
        planner: who asks.
    """

    inventory: Inventory
    snapshot: Snapshot
    past: Past
    planner: str = "rules"


class Fact(NamedTuple):
    """One fact.

    Attributes:
        meaning: for people.
        ask: returns its value for a name.
        words: the values that it can have; empty for a number.
    """

    meaning: str
    ask: Callable[[View, str], Value]
    words: tuple[str, ...] = ()


def fault(view: View, name: str) -> str:
    """What is wrong with a service; one that nobody saw is not known to be wrong."""
    service = view.snapshot.services.get(name)
    return service.fault if service else "none"


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _seconds(view: View, name: str) -> int:
    service = view.snapshot.services.get(name)
    return max(0, int(view.snapshot.time - service.since)) if service else 0


def _needs(view: View, name: str) -> str:
    faulty = any(not _works(view, needed) for needed in view.inventory.needs.get(name, ()))
    return "faulty" if faulty else "working"


def _works(view: View, name: str) -> bool:
    """Whether a service works, and has for long enough that others can go by it; one that nobody saw counts as one that does."""
    service = view.snapshot.services.get(name)
    return service is None or (service.fault == "none" and view.snapshot.time - service.since >= RECOVERY)


def _latest(view: View, target: str) -> Deploy | None:
    return view.snapshot.latest(target, view.inventory.targets.get(target, ()))


def _fresh(view: View, name: str) -> str:
    deploy = _latest(view, view.inventory.target_of(name))
    recent = deploy and name in deploy.services and view.snapshot.time - deploy.ended < FRESH_RELEASE
    return _yes(bool(recent and deploy and deploy.result == "deployed"))


def _under_way(view: View, name: str) -> str:
    return _yes(any(name in deploy.services for deploy in view.snapshot.under_way))


def _repairs(view: View, name: str) -> int:
    target = view.inventory.target_of(name)
    of_target = view.past.repairs(key("target", target), HOUR) if target else 0
    return view.past.repairs(key("service", name), HOUR) + of_target


def _ticket(view: View, name: str) -> str:
    # Whoever makes a model talk must not keep the rules from telling of a real fault.
    counts = [
        ticket
        for ticket in view.snapshot.tickets_about.get(name, ())
        if view.planner != "rules" or not ticket.of_a_model
    ]
    return "open" if counts else "none"


def _room(view: View, name: str) -> int:
    service = view.snapshot.services.get(name)
    return service.room if service else 0


def _cleanable(view: View, name: str) -> int:
    service = view.snapshot.services.get(name)
    return service.cleanable if service else 0


def _misconfigured(view: View, name: str) -> bool:
    service = view.snapshot.services.get(name)
    return bool(service and service.misconfigured)


def _result(view: View, target: str) -> str:
    deploy = _latest(view, target)
    return deploy.result if deploy and deploy.result in _RESULTS else "none"


def _age(view: View, target: str) -> int:
    deploy = _latest(view, target)
    return max(0, int(view.snapshot.time - deploy.ended)) if deploy else 0


def _leads(view: View, target: str) -> str:
    """Whether what there is to say of its last deploy is said with this target: once, where that was of several."""
    deploy = _latest(view, target)
    touched = [
        name
        for name, members in view.inventory.targets.items()
        if deploy and not set(members).isdisjoint(deploy.services)
    ]
    return _yes(not touched or touched[0] == target)


def _faulty(view: View, target: str) -> int:
    members = view.inventory.targets.get(target, ())
    return sum(fault(view, name) in ("stopped", "unhealthy") for name in members)


def _bad(view: View, target: str) -> int:
    members = view.inventory.targets.get(target, ())
    faults = ((fault(view, name), view.past.repairs(key("service", name), HOUR)) for name in members)
    return sum(wrong == "unhealthy" or (wrong == "stopped" and repaired > 0) for wrong, repaired in faults)


def _target_needs(view: View, target: str) -> str:
    members = view.inventory.targets.get(target, ())
    return "faulty" if any(_needs(view, name) == "faulty" for name in members) else "working"


def _first(view: View, target: str) -> str:
    members = view.inventory.targets.get(target, ())
    return next((name for name in members if fault(view, name) != "none"), members[0] if members else "")


def _target_ticket(view: View, target: str) -> str:
    members = view.inventory.targets.get(target, ())
    return "open" if any(_ticket(view, name) == "open" for name in members) else "none"


def _of_ticket(field: str, missing: str) -> Callable[[View, str], str]:
    def ask(view: View, name: str) -> str:
        ticket = view.snapshot.tickets.get(name)
        return (getattr(ticket, field) or missing) if ticket else missing

    return ask


def _idle(view: View, name: str) -> int:
    ticket = view.snapshot.tickets.get(name)
    return max(0, int((view.snapshot.time - ticket.updated) / HOUR)) if ticket else 0


def _tried(view: View, commit: str) -> str:
    ended = ("failed", "rolled-back", "deployed")
    return _yes(any(deploy.commit == commit and deploy.result in ended for deploy in view.snapshot.deploys))


FACTS: Mapping[str, Fact] = {
    "service.fault": Fact(
        "what is wrong: its container stopped; it says that it does not work; it runs, and nobody reaches it; nobody knows",
        fault,
        _FAULTS,
    ),
    "service.seconds": Fact("for how many seconds it is as it is", _seconds),
    "service.needs": Fact(
        f"how those are that it needs (`dockfra_needs`), and were for {RECOVERY:g} seconds",
        _needs,
        ("working", "faulty"),
    ),
    "service.fresh": Fact("whether it runs a release of the last half hour", _fresh, _YES_NO),
    "service.deploying": Fact("whether a deploy of it is under way", _under_way, _YES_NO),
    "service.repairs": Fact("changes about it or its target within an hour", _repairs),
    "service.strikes": Fact(
        "changes about it that failed, one after the other",
        lambda view, name: view.past.strikes(key("service", name)),
    ),
    "service.ticket": Fact(
        "whether the autopilot has a ticket about it; for the rules, one that they proposed",
        _ticket,
        ("none", "open"),
    ),
    "service.settings": Fact(
        "whether its container can use all that its role's `.env` sets",
        lambda view, name: "broken" if _misconfigured(view, name) else "usable",
        ("usable", "broken"),
    ),
    "service.room": Fact("percent to which its fullest store is full", _room),
    "service.cleanable": Fact("old releases of it that nothing needs", _cleanable),
    "target.result": Fact("how its last deploy ended", _result, _RESULTS),
    "target.age": Fact("seconds since that", _age),
    "target.leads": Fact("whether it is the first of those that its last deploy was of", _leads, _YES_NO),
    "target.faulty": Fact("how many of its services stopped or say that they do not work", _faulty),
    "target.bad": Fact(
        "how many of its services say that they do not work, or stopped again after a repair", _bad
    ),
    "target.needs": Fact("how those are that its services need", _target_needs, ("working", "faulty")),
    "target.ticket": Fact(
        "whether the autopilot has a ticket about one of its services, likewise",
        _target_ticket,
        ("none", "open"),
    ),
    "ticket.status": Fact("its status", _of_ticket("status", "missing"), ("open", "in_progress", "missing")),
    "ticket.priority": Fact(
        "its priority", _of_ticket("priority", "missing"), ("low", "normal", "high", "critical", "missing")
    ),
    "ticket.idle": Fact("hours since it was last changed", _idle),
    "commit.head": Fact(
        "whether it is the newest of main", lambda view, commit: _yes(commit == view.snapshot.main), _YES_NO
    ),
    "commit.tried": Fact("whether it was deployed already, or tried in vain", _tried, _YES_NO),
}

# What can stand in texts of a rule after a `$`, beside the facts of its domain.
_NAMES: Mapping[str, Mapping[str, Callable[[View, str], Value]]] = {
    "service": {"service": lambda _view, name: name},
    "target": {
        "target": lambda _view, name: name,
        "service": _first,
        "commit": lambda view, _name: view.snapshot.main,
    },
    "ticket": {"ticket": lambda _view, name: name},
}
DOMAINS = tuple(_NAMES)


def names(domain: str) -> set[str]:
    """What a rule's texts about a subject of a domain may name."""
    own = {name.partition(".")[2] for name in FACTS if name.startswith(f"{domain}.")}
    return {*own, *_NAMES[domain], "evidence"}


def named(view: View, domain: str, name: str) -> dict[str, str]:
    """The values of `names`, but for the evidence, for one subject."""
    found = {
        known.partition(".")[2]: fact.ask(view, name)
        for known, fact in FACTS.items()
        if known.startswith(f"{domain}.")
    }
    found |= {key: ask(view, name) for key, ask in _NAMES[domain].items()}
    return {key: str(value) for key, value in found.items()}
