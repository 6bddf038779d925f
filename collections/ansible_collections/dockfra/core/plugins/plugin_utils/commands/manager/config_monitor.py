# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show or change the settings of the monitor."""

from __future__ import annotations

from ...cli import configuration

EXAMPLES: list[str] = [
    "config-monitor",
    "config-monitor MONITOR_POLL_INTERVAL=60 MONITOR_AUTO_DEPLOY=off",
    "config-monitor OPENROUTER_API_KEY < key.txt",
    "config-monitor LLM_MODEL=",
]

arguments, changes, run, render, TIME_LIMIT = configuration.face("monitor")
