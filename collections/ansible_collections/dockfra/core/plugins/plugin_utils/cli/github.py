# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands for GitHub share: the repository of the manager's settings, and how a synchronisation looks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ...module_utils.errors import CommandError
from ...module_utils.github.issues import IssueGateway
from ...module_utils.github.report import Report
from ...module_utils.github.state import path_for
from ...module_utils.github.sync import GitHubSync
from ...module_utils.settings.file import EnvFile
from ...module_utils.tickets.store import DIRECTORY, TicketStore
from . import libraries
from .call import Call
from .output import Style

_WANTED = ("GITHUB_TOKEN", "GITHUB_REPO")
_SETTINGS = (*_WANTED, "GITHUB_API_URL")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The argument that both directions have."""
    parser.add_argument(
        "--dry-run", action="store_true", help="write nothing, neither here nor there; say what would be"
    )


def synchronise(call: Call, work: Callable[[GitHubSync], Report]) -> dict[str, Any]:
    """Run a synchronisation with the repository of the settings and return its report.

    Raises:
        CommandError: the token or the repository is not set, or a setting for GitHub cannot be used.
        GitHubError, SyncBusyError, TicketError: see `ticket_sync.GitHubSync`.
    """
    libraries.enable()
    settings = EnvFile.of("manager").read()
    # With the default address instead of a mistyped one, the token would go to a foreign server.
    settings.require_usable(_SETTINGS)
    missing = [name for name in _WANTED if not settings.is_set(name)]
    if missing:
        raise CommandError(
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set; write "
            f"{'them' if len(missing) > 1 else 'it'} into ~/.env, or use playbooks/configure.yml from outside"
        )
    progress = _progress(call.terminal)
    issues = IssueGateway(
        settings.get("GITHUB_TOKEN"),
        settings.get("GITHUB_REPO"),
        settings.get("GITHUB_API_URL"),
        on_write=progress,
    )
    sync = GitHubSync(TicketStore(DIRECTORY), issues, path_for(DIRECTORY, issues.api_url, issues.repo))
    try:
        return work(sync).to_dict()
    finally:
        progress(0)


def render(data: Mapping[str, Any], style: Style) -> str:
    """Return a report for people."""
    lines = [_line(result, style) for result in data["results"]]
    lines.append(f"{len(data['results'])} told, {data['unchanged']} unchanged, {data['requests']} requests.")
    return "\n".join(lines)


def exit_status(data: Mapping[str, Any]) -> int:
    """1 where something could not be done that should have been."""
    return int(any(result["failed"] for result in data["results"]))


def _line(result: Mapping[str, Any], style: Style) -> str:
    what = f"ticket {result['pulled']}, issue {result['pushed']}"
    parts = [f"{result['ticket'] or '-':<8}{'#' + str(result['issue']) if result['issue'] else '-':<8}{what}"]
    if result["conflicts"]:
        parts.append(f"changed on both sides: {', '.join(result['conflicts'])}")
    parts += [note.rstrip(".") for note in result["notes"]]
    return style.paint("; ".join(parts), "red" if result["failed"] else "")


def _progress(terminal: bool) -> Callable[[int], None]:
    """Return what shows the number of writes on a terminal, in one line that 0 takes away."""

    def tell(writes: int) -> None:
        if terminal:
            sys.stderr.write(f"\r\033[K{f'{writes} written …' if writes else ''}")
            sys.stderr.flush()

    return tell
