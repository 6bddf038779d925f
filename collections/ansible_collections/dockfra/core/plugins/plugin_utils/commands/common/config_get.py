# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the settings of this container; of a secret only whether it is set."""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import configuration
from ...cli.call import Call

EXAMPLES: list[str] = ["config-get", "config-get --json"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    return configuration.state(call.place)


render = configuration.render
