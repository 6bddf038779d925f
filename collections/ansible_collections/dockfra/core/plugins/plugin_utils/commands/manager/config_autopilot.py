# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show or change the settings of the autopilot."""

from __future__ import annotations

from ...cli import configuration

EXAMPLES: list[str] = [
    "config-autopilot",
    "config-autopilot AUTOPILOT_MODE=suggest AUTOPILOT_INTERVAL=300",
    "config-autopilot OPENROUTER_API_KEY < key.txt",
    "config-autopilot LLM_MODEL=",
]

arguments, changes, run, render, TIME_LIMIT = configuration.face("autopilot")
