# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How errors become exit statuses and lines for people: the only place that does it."""

from __future__ import annotations

from ...module_utils.errors import DeniedError, DockfraError, UsageError

OK = 0
FAILED = 1
USAGE = 2
DENIED = 77  # EX_NOPERM of sysexits(3)
NOT_FOUND = 127  # as a shell says it
INTERRUPTED = 130


def status(error: BaseException) -> int:
    """Return the exit status an error stands for."""
    if isinstance(error, DeniedError):
        return DENIED
    if isinstance(error, UsageError):
        return USAGE
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED


def message(command: str, error: BaseException) -> str:
    """Return the one line that tells a person about an error."""
    if isinstance(error, KeyboardInterrupt):
        return f"{command}: interrupted"
    text = " ".join(str(error).split())
    if isinstance(error, DeniedError):
        return f"denied: {text}"
    if isinstance(error, DockfraError):
        return f"{command}: {text}"
    # Not foreseen: the kind of error is all that is certain to hold nothing secret.
    return f"{command}: unexpected {type(error).__name__}; please report it with what you did"
