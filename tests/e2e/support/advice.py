"""What a scripted model plans from the document that it is shown: the right thing, or nonsense; and a catalogue that leaves it to the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

# What never holds, so that a rule with it stays silent; the rest of a rule stays, and with it what is news to a model.
NEVER = {"service": "service.seconds", "target": "target.age", "ticket": "ticket.idle"}

Document = Mapping[str, Any]
Proposals = list[dict[str, Any]]


def silenced(catalogue: str) -> str:
    """A catalogue whose rules propose nothing."""
    whole = yaml.safe_load(catalogue)
    for action in whole["actions"].values():
        for rule in action.get("rules", ()):
            rule["when"].append({"fact": NEVER[rule["for"]], "least": 999_999_999})
    return yaml.safe_dump(whole, sort_keys=False)


def answer(proposals: Proposals) -> str:
    return json.dumps({"proposals": proposals[:20]})


# A model that knows what it does ---------------------------------------------------------------------------------------


def right(document: Document) -> Proposals:
    """The plan of somebody who goes by what was measured alone."""
    released = {name: target for target in document["targets"] for name in target["services"]}
    found: Proposals = []
    for service in document["services"]:
        found += _of_service(document, service, released.get(service["service"], {}))
    for target in document["targets"]:
        failed = target.get("result") == "failed" and "faulty" not in target and target.get("leads") == "yes"
        if failed and "ticket" not in target and int(target.get("age", 0)) <= 3600:
            found += _tell(document, target["service"], "deploy-failed")
    for ticket in document["tickets"]:
        stale = ticket.get("status") == "open" and int(ticket.get("idle", 0)) >= 72
        if stale and ticket.get("priority") in ("low", "normal"):
            values = {"ticket": ticket["ticket"], "priority": "high"}
            found.append(_wants(document, "ticket-raise", f"ticket/{ticket['ticket']}", values))
    return found


def _of_service(document: Document, service: Mapping[str, str], target: Mapping[str, Any]) -> Proposals:
    name, fault = service["service"], service.get("fault", "none")
    seconds, repairs = int(service.get("seconds", 0)), int(service.get("repairs", 0))
    if service.get("settings") == "broken":
        return _tell(document, name, "settings-broken", service)
    if int(service.get("room", 0)) >= 85:
        if "cleanable" in service:
            return [_wants(document, "clean-disk", f"service/{name}", {"service": name})]
        return _tell(document, name, "disk-full", service)
    if fault == "none" or "needs" in service or "deploying" in service:
        return []
    if fault in ("stopped", "unhealthy"):
        if repairs >= 2:
            return _tell(document, name, "no-repair-helps", service)
        if fault == "unhealthy" and service.get("fresh") == "yes":
            values = {"target": target["target"]}
            return [_wants(document, "request-rollback", f"service/{name}", values)]
        if seconds >= 10:
            return [_wants(document, "request-restart", f"service/{name}", {"service": name})]
        return []
    return _tell(document, name, "cannot-be-repaired", service) if seconds >= 90 or repairs >= 2 else []


def _tell(document: Document, name: str, reason: str, service: Mapping[str, str] | None = None) -> Proposals:
    """A ticket and an alert about a service that has none."""
    if "ticket" in (service or {}):
        return []
    about = f"service/{name}"
    told = [
        entry
        for entry in document["measured"]
        if entry["about"] == about or entry["id"].startswith("deploy/")
    ]
    text = "\n".join(f"{entry['id']}: {entry['says']}" for entry in told)
    values = {"service": name, "title": f"{name}: {reason}", "description": text or "-", "priority": "high"}
    ticket = _wants(document, "ticket-create", about, values)
    return [ticket, _wants(document, "alert", about, {"service": name, "reason": reason})]


def _wants(document: Document, action: str, about: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    evidence = [entry["id"] for entry in document["measured"] if entry["about"] == about][:20]
    return {
        "action": action,
        "parameters": dict(parameters),
        "evidence": evidence,
        "reason": "It was measured.",
    }


# One that talks nonsense -----------------------------------------------------------------------------------------------


def wrong(document: Document) -> Proposals:
    """What harms whoever works, of a form that is right."""
    working = [each["service"] for each in document["services"] if "fault" not in each]
    restarts = [
        _wants(document, "request-restart", f"service/{name}", {"service": name})
        for name in ("db", "git", "traefik")
        if name in working
    ]
    target = document["targets"][0]["target"]
    back = _wants(document, "request-rollback", f"target/{target}", {"target": target})
    return [*restarts, back]
