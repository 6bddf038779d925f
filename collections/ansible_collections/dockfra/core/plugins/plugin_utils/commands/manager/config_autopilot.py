# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show or change the settings of the autopilot.

Without arguments, a person is shown each setting and asked for a new value, and a program gets them all. A new value holds
at once. Secrets are typed, or read from the input; never write one into the arguments.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import configuration
from ...cli.call import Call

ROLE = "autopilot"
EXAMPLES: list[str] = [
    "config-autopilot",
    "config-autopilot AUTOPILOT_MODE=suggest AUTOPILOT_INTERVAL=300",
    "config-autopilot OPENROUTER_API_KEY < key.txt",
    "config-autopilot LLM_MODEL=",
]

# Seconds; a person may be asked for each setting.
TIME_LIMIT = 3600.0


def arguments(parser: argparse.ArgumentParser) -> None:
    configuration.add_arguments(parser, ROLE)


def changes(options: argparse.Namespace) -> bool:
    return bool(options.settings)


def run(call: Call) -> dict[str, Any]:
    return configuration.configure(call, ROLE)


render = configuration.render
