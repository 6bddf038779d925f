# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Bring what changed in GitHub Issues to the tickets.

Issues without a ticket become tickets. Where both sides changed a field, the newer edit counts and the other value is kept
as a comment.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import github
from ...cli.call import Call

EXAMPLES: list[str] = ["ticket-pull", "ticket-pull --dry-run --json"]

# Seconds; GitHub makes those wait who ask a lot.
TIME_LIMIT = 1800.0


def arguments(parser: argparse.ArgumentParser) -> None:
    github.add_arguments(parser)


def changes(options: argparse.Namespace) -> bool:
    return not options.dry_run


def run(call: Call) -> dict[str, Any]:
    return github.synchronise(call, lambda sync: sync.pull(dry_run=call.options.dry_run))


render = github.render
exit_status = github.exit_status
