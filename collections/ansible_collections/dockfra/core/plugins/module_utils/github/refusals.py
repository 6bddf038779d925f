# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""GitHub's answers, and what is meant by those that refuse something."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import (
    GitHubDeniedError,
    GitHubError,
    GitHubGoneError,
    GitHubInvalidError,
    GitHubLockedError,
    GitHubUnavailableError,
)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, Any]
    data: Any

    @property
    def documentation(self) -> str:
        """The page that GitHub refers to, or an empty string."""
        return str(self.data.get("documentation_url") or "") if isinstance(self.data, dict) else ""

    @property
    def message(self) -> str:
        """What GitHub says, for a message: one short line."""
        text = self.data.get("message") if isinstance(self.data, dict) else None
        errors = self.data.get("errors") if isinstance(self.data, dict) else None
        details = [
            str(error.get("message") or f"{error.get('field')} {error.get('code')}")
            for error in (errors if isinstance(errors, list) else [])
            if isinstance(error, dict)
        ]
        line = " ".join(f"{text or 'no message'}{': ' if details else ''}{'; '.join(details)}".split())
        return ascii(line[:200])[1:-1]


# Where GitHub's documentation of its limits stands, now and in earlier years: `#about-secondary-rate-limits`,
# `/rate-limits-for-the-rest-api`, `#abuse-rate-limits`, `#rate-limiting`.
_LIMITS_PAGE = re.compile(r"rate-?limit", re.IGNORECASE)
_LIMIT_WORDS = re.compile(
    r"rate limit|abuse|\bwait\b|too many|try again|\bretry\b|\blater\b|slow down", re.IGNORECASE
)
_RIGHT_WORDS = re.compile(
    r"not accessible|must have|\brights?\b|permission|not allowed|not authorized|denied|forbidden|archived|read-only|"
    r"suspended|blocked|locked|disabled|\bSAML\b|\bSSO\b|\bscopes?\b",
    re.IGNORECASE,
)


def is_limit(answer: Answer) -> bool:
    """Whether an answer limits the rate of requests."""
    if answer.status == 429:
        return True
    return answer.status == 403 and (
        "retry-after" in answer.headers
        or str(answer.headers.get("x-ratelimit-remaining")) == "0"
        or _LIMITS_PAGE.search(answer.documentation) is not None
        or _LIMIT_WORDS.search(answer.message) is not None
    )


def may_be_limit(answer: Answer) -> bool:
    """Whether it is in doubt what a refusal means: nothing in it speaks of a limit or of a right."""
    return (
        answer.status == 403
        and not is_limit(answer)
        and "x-accepted-github-permissions" not in answer.headers
        and _RIGHT_WORDS.search(answer.message) is None
    )


def asked_wait(answer: Answer, otherwise: float) -> float:
    """Return the seconds to wait after an answer that limits the rate; ``otherwise`` where it does not say."""
    headers = answer.headers
    if (seconds := _retry_after(headers)) is not None:
        return max(seconds, 0.0)
    if str(headers.get("x-ratelimit-remaining")) == "0":
        with contextlib.suppress(KeyError, ValueError, TypeError, ArithmeticError):
            now = (date_of(headers["date"]) if "date" in headers else None) or _now()
            # It is not said when within that second.
            return max(float(headers["x-ratelimit-reset"]) - now.timestamp() + 1, 0.0)
    return otherwise


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    text = str(headers.get("retry-after", "")).strip()
    if text.isdecimal():
        return float(text[:9])
    moment = date_of(text)
    return None if moment is None else (moment - _now()).total_seconds()


def date_of(text: object) -> datetime.datetime | None:
    """Return the time that a header says (RFC 9110, section 5.6.7), or None where it says none."""
    with contextlib.suppress(ValueError, TypeError, ArithmeticError):
        found = email.utils.parsedate_to_datetime(str(text))
        # "-0000" leaves open which zone it is; a time that no other can be compared with would be of no use.
        found = found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
        return found.astimezone(datetime.UTC)
    return None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def refusal(answer: Answer, host: str, repo: str, *, issue: bool) -> GitHubError:
    """Return the error for an answer that is none of those hoped for.

    Args:
        host, repo: who was asked for what.
        issue: whether it was about a single issue.
    """
    status, says = answer.status, f"GitHub says: {answer.message}"
    if status == 401:
        return GitHubDeniedError(f"{host} refuses the token (401); set a valid one.")
    if status in (404, 410) and issue:
        return GitHubGoneError(f"The issue is not there any more ({status}).")
    if status == 404:
        return GitHubDeniedError(
            f"There is no repository {repo} on {host} for this token; check its name and the token's rights."
        )
    if status == 410:
        return GitHubDeniedError(f"The repository {repo} has no issues; turn them on in its settings.")
    if status == 403 and issue and "locked" in answer.message.lower():
        return GitHubLockedError("The issue is locked.")
    if status == 403:
        return GitHubDeniedError(f"The token may not do that in {repo} (403). {says}")
    if status in (400, 413, 422):
        return GitHubInvalidError(f"The content is refused ({status}). {says}")
    return GitHubUnavailableError(f"{host} gives an unexpected answer ({status}). {says}")
