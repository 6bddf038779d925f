# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How errors become exit statuses and lines for people: the only place that does it."""

from __future__ import annotations

import os

from ...module_utils.errors import BusyError, DeniedError, DockfraError, LateError, UsageError

OK = 0
FAILED = 1
USAGE = 2
BUSY = 75  # EX_TEMPFAIL of sysexits(3)
DENIED = 77  # EX_NOPERM
LATE = 124  # as timeout(1) says it
NOT_FOUND = 127  # as a shell says it
INTERRUPTED = 130


# What a message keeps, in characters: its beginning says what happened, its end what to do.
MAX_MESSAGE = 500
_END = 120


def status(error: BaseException) -> int:
    """Return the exit status an error stands for."""
    if isinstance(error, DeniedError):
        return DENIED
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, BusyError):
        return BUSY
    if isinstance(error, LateError):
        return LATE
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED


def message(command: str, error: BaseException) -> str:
    """Return the one line that tells a person about an error."""
    if isinstance(error, KeyboardInterrupt):
        return f"{command}: interrupted"
    if isinstance(error, DockfraError):
        return line("denied" if isinstance(error, DeniedError) else command, str(error))
    if isinstance(error, OSError):
        return line(command, _refused(error))
    if isinstance(error, MemoryError):
        return line(command, "there is not enough memory for it here")
    # Not foreseen: what kind of error it is and where is all that is certain to hold nothing secret.
    return line(
        command,
        f"unexpected {type(error).__name__}{_origin(error)}; please report it with what you did",
    )


def _refused(error: OSError) -> str:
    """What the system refused, and to what."""
    names = [
        os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))
    ]
    reason = error.strerror or type(error).__name__
    return f"{' and '.join(names)}: {reason}" if names else f"the system refuses: {reason}"


def _origin(error: BaseException) -> str:
    """The file and line that an error comes from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" in {os.path.basename(trace.tb_frame.f_code.co_filename)}, line {trace.tb_lineno}"


def line(prefix: str, text: str) -> str:
    """Return one line for a person, of limited length and with nothing in it that a terminal would obey."""
    words = " ".join(f"{prefix}: {text or 'failed without a reason'}".split())
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in words)
    if len(shown) > MAX_MESSAGE:
        shown = f"{shown[: MAX_MESSAGE - _END]} \N{HORIZONTAL ELLIPSIS} {shown[-_END:]}"
    return shown
