# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Change settings of this container.

The input is a JSON object of names and values; null resets one. All of them change or none.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import configuration
from ...cli.call import Call

EXAMPLES: list[str] = ['echo \'{"LLM_MODEL": "openai/gpt-4o"}\' | config-set']


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="change nothing, only say what would change")


def reads_input(options: argparse.Namespace) -> bool:
    return True


def changes(options: argparse.Namespace) -> bool:
    return not options.dry_run


def run(call: Call) -> dict[str, Any]:
    changes = configuration.parse_changes(call.input())
    return configuration.change(call.place, changes, dry_run=call.options.dry_run)


render = configuration.render
