# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""``release-spec DIRECTORY``: what its ``release.yml`` says, checked, as ``spec.json`` beside it; part of an image's build."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ...module_utils.errors import DockfraError
from ...module_utils.files import atomic
from ...module_utils.releases import spec_file
from ...module_utils.releases.spec import SPEC_NAME


def main(arguments: Sequence[str]) -> int:
    """Write it; returns the exit status: 0, 1 where it cannot be meant, 2 for wrong usage."""
    if len(arguments) != 2:
        sys.stderr.write("usage: release-spec DIRECTORY\n")
        return 2
    try:
        # What a build makes and what only tests need is not in an image.
        with open(os.path.join(arguments[1], spec_file.NAME), "rb") as file:
            spec = spec_file.parse(file.read())
        atomic.replace(os.path.join(arguments[1], SPEC_NAME), spec.to_json(), mode=0o644)
    except (DockfraError, OSError) as error:
        sys.stderr.write(f"release-spec: {error}\n")
        return 1
    return 0
