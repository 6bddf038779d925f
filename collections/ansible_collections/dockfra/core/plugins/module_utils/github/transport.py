# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests to GitHub through PyGithub; this file and `connections` are the only ones that import it.

PyGithub signs, sends and reads requests. When to send one again is decided here, because PyGithub would send a POST
again after a 502 (which may make a second issue), does not retry 429 without ``Retry-After``, waits as long as a server
asks, and drops the query of a list that was redirected, which then looks complete and is not.
"""

from __future__ import annotations

import datetime
import re
import time
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..answers.data import decoded
from ..answers.http import Bounds
from ..errors import GitHubSettingError, GitHubUnavailableError, GitHubUnclearError, LateError, TooMuchError
from . import connections
from .address import clean_api_url, host_of
from .refusals import Answer, asked_wait, date_of, is_limit, may_be_limit

if TYPE_CHECKING:
    from github.Requester import Requester

PER_PAGE = 100
REDIRECTS = (301, 302, 307, 308)

# Bytes of an answer: a page of issues, each with the longest text, has some 20 MB. And values of its JSON.
MAX_ANSWER = 32 * 1024 * 1024
_MAX_VALUES = 2_000_000

# GitHub asks for a second between writes where there are many; a few go at once.
_FREE_WRITES = 10
_MOST_TRIES = 5
_LONGEST_BACKOFF = 60.0
_UNTRUSTED = "its certificate is not trusted"
_TOKEN = re.compile(r"[\x21-\x7e]{1,1000}")


class _Lost(Exception):
    """No usable answer came; the text says why.

    Attributes:
        again: whether the next may be another, should the request be sent again.
    """

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


class Transport:
    """Sends requests, again where that can help, within a budget of time.

    Args:
        token: a token that may read and write issues.
        api_url: address of the API.
        timeout: seconds for each answer, all of it.
        max_answer: bytes that each may have.
        max_wait: seconds that all failures and waits of this object together may cost.
        write_pause: seconds between writes, from the eleventh on.
        backoff: seconds before the first repetition; doubles with each.
        sleep, clock: how to wait, and monotonic seconds.

    Raises:
        GitHubSettingError: a value has a form that cannot work.

    Attributes:
        requests: how many have been sent.
        server_time: what GitHub's clock said last, or None.
    """

    def __init__(
        self,
        token: str,
        api_url: str,
        *,
        timeout: int = 20,
        max_answer: int = MAX_ANSWER,
        max_wait: float = 120.0,
        write_pause: float = 1.0,
        backoff: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = _clean_token(token)
        self.api_url = clean_api_url(api_url)
        self.host = host_of(self.api_url)
        self._timeout = timeout
        self._bounds = Bounds(self.host, max_answer, timeout)
        self._wait_left = max_wait
        self._max_wait = max_wait
        self._write_pause = write_pause
        self._backoff = backoff
        self._sleep = sleep
        self.clock = clock
        self._made: Requester | None = None
        self._sent_writes = 0
        self.requests = 0
        self.server_time: datetime.datetime | None = None

    def __repr__(self) -> str:
        return f"Transport({self.api_url!r})"

    def pause(self, seconds: float, why: str) -> None:
        """Wait, at the cost of ``max_wait``; raises GitHubUnavailableError where that does not suffice."""
        if seconds > self._wait_left:
            raise GitHubUnavailableError(
                f"{why}; that takes longer than the {self._max_wait:g} s this run may wait. What was done stays done; "
                "run it again later."
            )
        self._wait_left -= seconds
        if seconds > 0:
            self._sleep(seconds)

    def send(
        self,
        verb: str,
        url: str,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        *,
        once: bool = False,
    ) -> Answer:
        """Send a request, again where that can help, and return GitHub's final word; redirects are not followed.

        With ``once`` it is not sent again when it may have taken effect.
        """
        doubted = False
        for attempt in range(_MOST_TRIES):
            if verb != "GET":
                self._pace()
            begun = self.clock()
            wait = self._backoff * 2**attempt
            try:
                answer = self._attempt(verb, url, query, body)
            except _Lost as error:
                why = f"{self.host} does not answer properly ({error})"
                if str(error) == _UNTRUSTED:
                    raise GitHubUnavailableError(
                        f"{why}; name its authority in REQUESTS_CA_BUNDLE."
                    ) from error
                if once:
                    raise GitHubUnclearError(
                        f"{why}, so it is not known whether the request took effect."
                    ) from error
                if not error.again:
                    raise GitHubUnavailableError(f"{why}; check the API address.") from error
            else:
                # A request refused for its rate was not looked at, so it may be sent again whatever it is.
                if is_limit(answer):
                    # A server that does not say how long is given more time each time: GitHub asks for about a minute.
                    wait = asked_wait(answer, min(self._backoff * 4**attempt, _LONGEST_BACKOFF))
                    why = f"{self.host} limits the rate of requests and asks to wait {wait:.0f} s"
                elif may_be_limit(answer) and not doubted:
                    doubted, wait = True, min(self._backoff * _LONGEST_BACKOFF, _LONGEST_BACKOFF)
                    why = f"{self.host} refuses a request without saying why"
                elif answer.status >= 500:
                    why = f"{self.host} answers {answer.status}"
                    if once:
                        raise GitHubUnclearError(
                            f"{why}, so it is not known whether the request took effect."
                        )
                else:
                    return answer
            self._wait_left -= self.clock() - begun
            if attempt + 1 < _MOST_TRIES:
                self.pause(wait, why)
        raise GitHubUnavailableError(f"{why}, {_MOST_TRIES} times in a row; run it again later.")

    def _attempt(
        self, verb: str, url: str, query: dict[str, str] | None, body: dict[str, Any] | None
    ) -> Answer:
        self.requests += 1
        try:
            status, headers, output = self._requester.requestJson(verb, url, query, None, body)
        except _Redirected as moved:
            return Answer(moved.status, {"location": moved.location}, None)
        except (LateError, TooMuchError) as error:
            raise _Lost(str(error), again=isinstance(error, LateError)) from error
        # requests raises many kinds, PyGithub RuntimeError and AssertionError of its own.
        except (OSError, RuntimeError, AssertionError, ValueError) as error:
            raise _Lost(_short(error)) from error
        self._note_time(headers)
        if status >= 500 or status in (204, 304):
            return Answer(status, headers, None)
        try:
            return Answer(status, headers, decoded(output.encode(), _MAX_VALUES))
        except TooMuchError as error:
            raise _Lost(f"its answer is too long: {error}", again=False) from error
        except (AttributeError, ValueError) as error:
            if status >= 400:
                return Answer(status, headers, None)  # a proxy's page, perhaps; its status says enough
            raise _Lost("no JSON") from error

    def _pace(self) -> None:
        self._sent_writes += 1
        if self._sent_writes > _FREE_WRITES and self._write_pause > 0:
            self._sleep(self._write_pause)

    def _note_time(self, headers: Mapping[str, Any]) -> None:
        self.server_time = date_of(headers.get("date", "")) or self.server_time

    @property
    def _requester(self) -> Requester:
        if self._made is None:
            require_github()
            import github

            # One try, and redirects are answers like others.
            retry = _watching_retry()
            with connections.injected(self._bounds):
                self._made = github.Github(
                    auth=github.Auth.Token(self._token),
                    base_url=self.api_url,
                    timeout=self._timeout,
                    user_agent="dockfra",
                    per_page=PER_PAGE,
                    retry=retry,
                    seconds_between_requests=None,
                    seconds_between_writes=None,
                    lazy=True,
                ).requester
        return self._made


def _clean_token(value: object) -> str:
    if not value:
        raise GitHubSettingError("There is no GitHub token; set GITHUB_TOKEN to one that may write issues.")
    if isinstance(value, str) and _TOKEN.fullmatch(value):
        return value
    raise GitHubSettingError(
        "The GitHub token holds white space or other characters that no token has; set it anew."
    )


# -- PyGithub, imported only when something is asked of GitHub: that takes 0.3 s --


def import_error() -> str | None:
    """Return why PyGithub cannot be imported, as a traceback, or None."""
    try:
        import github  # noqa: F401
    except ImportError:
        return traceback.format_exc()
    return None


def require_github() -> None:
    """Raise GitHubSettingError where PyGithub is missing."""
    if import_error() is not None:
        raise GitHubSettingError("The Python package PyGithub is missing here; install it.")


class _Redirected(Exception):
    def __init__(self, status: int, location: str) -> None:
        super().__init__(status)
        self.status = status
        self.location = location


def _watching_retry() -> Any:
    """A urllib3 Retry that tries once and hands redirects over before PyGithub follows them without their query."""
    import urllib3

    class WatchingRetry(urllib3.Retry):
        def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
            return status_code in REDIRECTS

        def increment(
            self,
            method: str | None = None,
            url: str | None = None,
            response: Any = None,
            error: Exception | None = None,
            _pool: Any = None,
            _stacktrace: Any = None,
        ) -> Any:
            if response is not None and response.status in REDIRECTS:
                response.drain_conn()
                raise _Redirected(response.status, response.headers.get("Location", ""))
            return super().increment(method, url, response, error, _pool, _stacktrace)

    return WatchingRetry(total=0, read=False)


def _short(error: BaseException) -> str:
    """What went wrong, without addresses or headers."""
    for cause in (error, error.__context__):
        name = type(cause).__name__
        if "Timeout" in name:
            return "no answer in time"
        if "SSL" in name:
            return _UNTRUSTED
    if type(error).__name__ == "ChunkedEncodingError":
        return f"its answer is broken: {error}"
    if (broken := _not_http(error)) is not None:
        return f"what it sends is no HTTP: {broken}"
    if "Connection" in type(error).__name__:
        return "the connection failed"
    return type(error).__name__


def _not_http(error: BaseException | None) -> BaseException | None:
    """The error of `http.client` behind another: a header too long or too many of them, a status that is none."""
    import http.client

    while error is not None and not (
        isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError)
    ):
        error = error.__context__
    return error
