# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The application that the monitor tells of its deploys and of how the services were: where it is, and one request to it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import NamedTuple

from ...module_utils.answers.http import Bounded, Bounds
from ...module_utils.errors import CommandError, LateError, TooMuchError

# What the role ssh_monitor has written; there is none where no application wants to know.
CONFIGURATION = Path("/etc/dockfra/monitor/deployments.json")

# Seconds for a request, to connect as well as to answer; bytes of an answer.
PATIENCE = 5.0
MOST_ANSWER = 64 * 1024

# It has it, or has had it already; it will not take it, however often it is asked.
TAKEN = (200, 201, 204)
REFUSED = (400, 404, 405, 409, 410, 413, 415, 422, 501)


class Place(NamedTuple):
    """Where the application is told.

    Attributes:
        service: its name.
        host, port: where it listens.
        path: that deploys are sent to.
        history: that it is sent to how the services were; empty where it does not want to know.
        token: of who may.
    """

    service: str
    host: str
    port: int
    path: str
    history: str
    token: str


class Answer(NamedTuple):
    """What came of a request.

    Attributes:
        status: of the answer, 0 where there is none.
        reason: what that means, in words.
        body: of the answer.
    """

    status: int
    reason: str
    body: bytes = b""


def load(path: Path | None = None) -> Place | None:
    """Return where the application is told, or None where nobody wants to know; raises CommandError."""
    path = path or CONFIGURATION
    try:
        data = json.loads(path.read_bytes())
        texts = {key: str(data[key]) for key in ("service", "host", "path", "token")}
        # What was written before there was a history has no word of it.
        return Place(**texts, port=int(data["port"]), history=str(data.get("history_path", "")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{path} cannot be read ({type(error).__name__}); run site.yml again") from error


def send(place: Place, method: str, path: str, data: bytes, patience: float | None = None) -> Answer:
    """Send JSON to the application, and return what came of it; no redirection is followed.

    Args:
        place: where it is.
        method, path: of the request.
        data: what is sent.
        patience: seconds to connect as well as to answer, `PATIENCE` by default.
    """
    seconds = PATIENCE if patience is None else patience
    connection = _Connection(place.host, place.port, timeout=seconds)
    connection.bounds = Bounds(place.service, MOST_ANSWER, seconds)
    headers = {"Authorization": f"Bearer {place.token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        body = answer.read(MOST_ANSWER)  # with its headers that is more than it may be
    except (LateError, TooMuchError) as error:
        return Answer(0, str(error))
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, f"{getattr(error, 'strerror', None) or type(error).__name__}")
    finally:
        connection.close()
    return Answer(answer.status, f"it answers with HTTP {answer.status}", body)


class _Connection(Bounded, http.client.HTTPConnection):
    """A connection whose answers have their bounds."""
