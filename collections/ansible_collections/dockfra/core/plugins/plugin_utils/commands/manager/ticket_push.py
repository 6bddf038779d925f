# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Bring tickets to GitHub Issues: those named, or all that changed.

The repository and the token are the settings GITHUB_REPO and GITHUB_TOKEN. Doing it twice makes one issue.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import github, tickets
from ...cli.call import Call

EXAMPLES: list[str] = ["ticket-push T-0001", "ticket-push --dry-run"]

# Seconds; GitHub makes those wait who ask a lot.
TIME_LIMIT = 1800.0


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_id(parser, several=True)
    parser.add_argument(
        "--recreate", action="store_true", help="make a new issue where the old one was deleted or moved"
    )
    github.add_arguments(parser)


def changes(options: argparse.Namespace) -> bool:
    return not options.dry_run


def run(call: Call) -> dict[str, Any]:
    options = call.options
    return github.synchronise(
        call, lambda sync: sync.push(options.id or None, recreate=options.recreate, dry_run=options.dry_run)
    )


render = github.render
exit_status = github.exit_status
