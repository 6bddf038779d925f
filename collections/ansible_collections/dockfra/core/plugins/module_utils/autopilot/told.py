# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What people and programs outside wrote, as evidence that was told: quoted, bounded, and never a reason to change something.

A model may read it, and cite it for a ticket or an alert. Ids and subjects are made here, of names that are known; only `Evidence.says`
is somebody's words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ..errors import DockfraError
from ..text import invisible
from ..tickets import values
from .inventory import Inventory, key
from .snapshot import Evidence

# Pieces, and characters of a line and of a text.
MOST = 80
MOST_LINE = 200
MOST_TEXT = 600

# Tickets that are told, those that were changed last; comments of each, the last ones; and branches.
MOST_TICKETS = 20
MOST_COMMENTS = 2
MOST_BRANCHES = 10

# Characters that stand alone in a text, and those that nobody sees: control, format, unassigned and private ones, and surrogates.
_BREAKS = ("\u2028", "\u2029")


def told(
    inventory: Inventory,
    tickets: Mapping[str, Any] | None = None,
    git: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
) -> tuple[Evidence, ...]:
    """Return what was written, of what the gates answered; what has another form is left out.

    Args:
        inventory: the names there are.
        tickets: the manager's answer to ``ticket-list --json``.
        git: the origin's to ``git-status --json``.
        status: the monitor's to ``status --json``.
    """
    sources = (_tickets(tickets), _services(inventory, status), _git(git))
    found = {entry.id: entry for source in sources for entry in _whole(source)}
    return tuple(islice(found.values(), MOST))


def quoted(text: object, most: int = MOST_TEXT) -> str:
    """Return somebody's text on one line, cut, with what nobody sees or what ends a line written out as ``\\u…``.

    Args:
        text: as it came.
        most: characters of it that are kept.
    """
    # What is written out takes six for one, and the rest of a long text costs nothing.
    kept = str(text)[:most].replace("\\", "\\\\")
    line = "".join(sign if _plain(sign) else f"\\u{ord(sign):04x}" for sign in kept)[:most]
    return f"{line}…" if len(str(text)) > most or len(line) == most else line


def _plain(sign: str) -> bool:
    return sign == " " or not (
        unicodedata.category(sign)[0] == "C" or sign in _BREAKS or sign.isspace() or invisible(sign)
    )


def _whole(source: Iterator[Evidence]) -> Iterator[Evidence]:
    """What a source tells until it is in no form that is known."""
    try:
        yield from source
    except (KeyError, TypeError, ValueError, AttributeError, DockfraError):
        return


def _tickets(answer: Mapping[str, Any] | None) -> Iterator[Evidence]:
    listed = [entry for entry in (answer or {}).get("tickets", ()) if entry["status"] != "closed"]
    listed.sort(key=lambda entry: str(entry["updated_at"]), reverse=True)
    for entry in listed[:MOST_TICKETS]:
        name = values.clean_id(entry["id"])
        about = key("ticket", name)
        parts = [("title", entry["title"], MOST_LINE), ("text", entry.get("description"), MOST_TEXT)]
        parts.append(("labels", " ".join(map(str, entry.get("labels") or ())), MOST_LINE))
        comments = [comment["text"] for comment in (entry.get("comments") or ())[-MOST_COMMENTS:]]
        parts += [(f"comment-{number}", text, MOST_TEXT) for number, text in enumerate(comments, 1)]
        for part, text, most in parts:
            if text:
                yield Evidence(f"told/{name}/{part}", "ticket", about, quoted(text, most), 0.0)


def _services(inventory: Inventory, answer: Mapping[str, Any] | None) -> Iterator[Evidence]:
    """What services that do not work answered, and why deploys failed."""
    for entry in (answer or {}).get("services", ()):
        name = entry["service"]
        if name in inventory.services and entry["state"] not in ("up", "unknown"):
            wrong = [str(probe["detail"]) for probe in entry["probes"] if probe["state"] != "up"]
            if wrong:
                says = quoted("; ".join(wrong), MOST_LINE)
                yield Evidence(f"told/{name}/answer", "log", key("service", name), says, 0.0)
    for entry in (answer or {}).get("deploys", ()):
        target = entry["target"]
        if target in inventory.targets and entry.get("reason"):
            about = key("target", target)
            yield Evidence(f"told/{target}/deploy", "log", about, quoted(entry["reason"], MOST_LINE), 0.0)
            return  # the newest is enough


def _git(answer: Mapping[str, Any] | None) -> Iterator[Evidence]:
    if main := (answer or {}).get("main"):
        yield Evidence("told/main/subject", "commit", "main", quoted(main["subject"], MOST_LINE), 0.0)
    for number, branch in enumerate((answer or {}).get("branches", ())[:MOST_BRANCHES], 1):
        says = quoted(f"{branch['name']}: {branch['subject']}", MOST_LINE)
        yield Evidence(f"told/branch-{number}", "commit", "main", says, 0.0)
