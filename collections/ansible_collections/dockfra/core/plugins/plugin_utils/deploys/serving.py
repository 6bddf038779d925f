# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a service serves a release: asked where it answers itself, as often as it takes, and no longer than a while."""

from __future__ import annotations

import http.client
import time

from ...module_utils.answers import http as answers
from ...module_utils.errors import CommandError, LateError, TooMuchError, UnreachableError

HEADER = "X-Release"
SECONDS = 30.0
# So many answers in a row have to be those of the release: an old one that still ends connections must not be the last word.
_IN_A_ROW = 3
_PAUSE = 0.1
_ONE_ANSWER = 2.0
_MAX_ANSWER = 256 * 1024


class _Connection(answers.Bounded, http.client.HTTPConnection):
    """A connection whose answer is bounded."""


def prove(service: str, host: str, port: int, path: str, release: str, seconds: float = SECONDS) -> float:
    """Wait until a service answers with a release, and return how long that took, in seconds.

    Args:
        service: its name, for the message.
        host: where it answers.
        port: of that.
        path: what to ask for; healthy is what answers 200.
        release: the id that its answers are to have; empty for what its image brought, whose answers have none.
        seconds: how long to wait.

    Raises:
        UnreachableError: it gives no answer.
        CommandError: it answers otherwise; says what.
    """
    begin, good, last, reached = time.monotonic(), 0, "", False
    while good < _IN_A_ROW:
        try:
            status, found = asked(service, host, port, path)
        except (OSError, http.client.HTTPException, LateError, TooMuchError) as error:
            good, last, reached = 0, str(error) or type(error).__name__, False
        else:
            reached = True
            good = good + 1 if (status, found) == (200, release) else 0
            if not good:
                last = f"HTTP {status}, {HEADER} {found or 'missing'}"
        if good < _IN_A_ROW and time.monotonic() - begin > seconds:
            wanted = release or "what its image brought"
            raise (CommandError if reached else UnreachableError)(
                f"{service} does not answer with {wanted} at {path} after {seconds:g} s: {last}"
            )
        if not good:
            time.sleep(_PAUSE)
    return time.monotonic() - begin


def asked(service: str, host: str, port: int, path: str) -> tuple[int, str]:
    """Ask a service once, and return the status of its answer and the release that it names, empty where it names none.

    Raises:
        OSError, http.client.HTTPException, LateError, TooMuchError: it gives no answer that can be used.
    """
    connection = _Connection(host, port, timeout=_ONE_ANSWER)
    connection.bounds = answers.Bounds(service, _MAX_ANSWER, _ONE_ANSWER)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.headers.get(HEADER) or ""
    finally:
        connection.close()
