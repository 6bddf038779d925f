# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show or change the settings of the monitor.

Without arguments, a person is shown each setting and asked for a new value, and a program gets them all. A new value holds
at once. Secrets are typed, or read from the input; never write one into the arguments.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import configuration
from ...cli.call import Call

ROLE = "monitor"
EXAMPLES: list[str] = [
    "config-monitor",
    "config-monitor MONITOR_POLL_INTERVAL=60 MONITOR_AUTO_DEPLOY=off",
    "config-monitor OPENROUTER_API_KEY < key.txt",
    "config-monitor LLM_MODEL=",
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
