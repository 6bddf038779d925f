# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show or change the settings of the developer."""

from __future__ import annotations

from ...cli import configuration

EXAMPLES: list[str] = [
    "config-developer",
    "config-developer LLM_MODEL=openai/gpt-4o LLM_MAX_TOKENS=4096",
    "config-developer OPENROUTER_API_KEY < key.txt",
    "config-developer LLM_SYSTEM_PROMPT < prompt.txt",
]

arguments, changes, run, render, TIME_LIMIT = configuration.face("developer")
