# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The issues of one GitHub repository, through PyGithub; the only file that imports it.

PyGithub signs, sends and reads requests. When to send one again is decided here, because PyGithub would send a POST
again after a 502 (which may make a second issue), does not retry 429 without ``Retry-After``, waits as long as a server
asks, and drops the query of a list that was redirected, which then looks complete and is not.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import json
import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import (
    GitHubDeniedError,
    GitHubError,
    GitHubGoneError,
    GitHubInvalidError,
    GitHubLockedError,
    GitHubMovedError,
    GitHubSettingError,
    GitHubUnavailableError,
    GitHubUnclearError,
)
from .address import API_URL, clean_api_url, host_of, is_addressable, path, repository_at

if TYPE_CHECKING:
    from github.Requester import Requester

PER_PAGE = 100

# GitHub asks for a second between writes where there are many; a few go at once.
_FREE_WRITES = 10
_MOST_TRIES = 5
_LONGEST_BACKOFF = 60.0
_UNTRUSTED = "its certificate is not trusted"
_REDIRECTS = (301, 302, 307, 308)
_TOKEN = re.compile(r"[\x21-\x7e]{1,1000}")
_LINK = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


@dataclass(frozen=True, slots=True)
class RemoteIssue:
    """An issue as GitHub shows it.

    Attributes:
        place: where it is now, ``owner/repo#5``.
        body: empty where there is none.
        comments: how many it has.
        author: login, ``ghost`` for a deleted account.
        created_at, updated_at: as GitHub writes them, UTC with seconds (``2026-11-22T10:00:00Z``).
    """

    number: int
    id: int
    place: str
    title: str
    body: str
    labels: tuple[str, ...]
    closed: bool
    locked: bool
    comments: int
    author: str
    created_at: str
    updated_at: str
    url: str


@dataclass(frozen=True, slots=True)
class RemoteComment:
    """A comment as GitHub shows it; fields as those of RemoteIssue, ``place`` is that of its issue."""

    id: int
    place: str
    body: str
    author: str
    created_at: str
    updated_at: str

    @property
    def number(self) -> int:
        """Number of the issue; 0 where GitHub did not say."""
        number = self.place.rpartition("#")[2]
        return int(number) if number.isdigit() else 0


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, Any]
    data: Any

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


class _Lost(Exception):
    """No usable answer came; the text says why."""


class IssueGateway:
    """Reads and writes the issues of one repository.

    Every method raises a `GitHubError` of one line. Reads, and changes of an issue (which set values and so may be
    repeated), are tried again where that can help; what creates something is sent once. Nothing is written where GitHub
    leads elsewhere: an issue that has moved raises GitHubMovedError, one that is not there GitHubGoneError.

    Args:
        token: a token that may read and write issues.
        repo: ``owner/name``, or its address in any of git's forms.
        api_url: address of the API, for GitHub Enterprise ``https://host/api/v3``.
        timeout: seconds to wait for each answer.
        max_wait: seconds that all failures and waits of this object together may cost.
        write_pause: seconds between writes, from the eleventh on.
        backoff: seconds before the first repetition; doubles with each.
        sleep, clock: how to wait, and monotonic seconds.
        on_write: called after everything that was written, with how many there were.

    Raises:
        GitHubSettingError: a value has a form that cannot work.

    Attributes:
        requests: how many have been sent.
        listed_at: what GitHub's clock said when `issues` began last, or None.
    """

    def __init__(
        self,
        token: str,
        repo: str,
        api_url: str = API_URL,
        *,
        timeout: int = 20,
        max_wait: float = 120.0,
        write_pause: float = 1.0,
        backoff: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        on_write: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._token = _clean_token(token)
        self.api_url = clean_api_url(api_url)
        self.repo = repository_at(repo, self.api_url)
        self._timeout = timeout
        self._wait_left = max_wait
        self._max_wait = max_wait
        self._write_pause = write_pause
        self._backoff = backoff
        self._sleep = sleep
        self.clock = clock
        self._made: Requester | None = None
        self._on_write = on_write
        self._sent_writes = 0
        self._written = 0
        self.requests = 0
        self.listed_at: datetime.datetime | None = None
        self._server_time: datetime.datetime | None = None

    def __repr__(self) -> str:
        return f"IssueGateway({self.repo!r}, {self.api_url!r})"

    # -- reading --

    def issues(self, since: str | None = None) -> list[RemoteIssue]:
        """Return all issues, or those changed at a time or later, without pull requests, in order of their numbers."""
        self.listed_at = None
        found = {
            issue.number: issue
            for values in self._list(["issues"], {"state": "all"}, since)
            # That a pull request is one is said here; asking PyGithub for it would cost a request each.
            if "pull_request" not in values and (issue := _read_issue(values))
        }
        return [found[number] for number in sorted(found)]

    def comments(self, since: str | None = None) -> list[RemoteComment]:
        """Return the comments on all issues, or those made or edited at a time or later, the oldest first."""
        return _in_order([_read_comment(values) for values in self._list(["issues", "comments"], {}, since)])

    def comments_of(self, number: int) -> list[RemoteComment]:
        """Return the comments on one issue, the oldest first; raises GitHubGoneError."""
        url: str | None = path(self.repo, "issues", number, "comments")
        query: dict[str, str] | None = {"per_page": str(PER_PAGE)}
        found: list[RemoteComment] = []
        while url is not None:
            answer = self._send("GET", url, query)
            if answer.status in _REDIRECTS:
                raise GitHubGoneError("The issue has moved.")
            found += map(_read_comment, self._entries(answer, issue=True))
            url, query = self._next(answer), None  # the link has the query in it
        return _in_order(found)

    def issue(self, number: int) -> RemoteIssue:
        """Return one issue, also when it has moved; raises GitHubGoneError."""
        url = path(self.repo, "issues", number)
        for _twice in range(2):
            answer = self._send("GET", url)
            if answer.status not in _REDIRECTS or not (location := str(answer.headers.get("location", ""))):
                break
            url = self._own(location)
        return _read_issue(self._content(answer))

    # -- writing --

    def create(self, title: str, body: str, labels: list[str]) -> RemoteIssue:
        """Create an issue; raises GitHubUnclearError when it may have been created, or not."""
        answer = self._write("POST", [], {"title": title, "body": body, "labels": labels}, once=True)
        if answer.status in _REDIRECTS:
            raise self._renamed(answer)
        return _read_issue(self._content(answer, issue=False))

    def edit(self, number: int, values: Mapping[str, Any]) -> RemoteIssue:
        """Set ``title``, ``body``, ``state`` or all ``labels`` of an issue."""
        return _read_issue(self._content(self._change("PATCH", number, [], dict(values))))

    def add_labels(self, number: int, labels: list[str]) -> tuple[str, ...]:
        """Add labels to an issue and return all it has then; the new ones are missing where the token may not do that."""
        return self._labelled("POST", number, ["labels"], {"labels": labels})

    def remove_label(self, number: int, label: str) -> tuple[str, ...]:
        """Remove a label from an issue and return those it has then; it is among them where the token may not do that."""
        if not is_addressable(label):
            kept = [name for name in self.issue(number).labels if name != label]
            return self.edit(number, {"labels": kept}).labels
        return self._labelled("DELETE", number, ["labels", label])

    def comment(self, number: int, body: str) -> RemoteComment:
        """Comment on an issue.

        Raises:
            GitHubUnclearError: it may have happened, or not.
            GitHubLockedError.
        """
        return _read_comment(
            self._content(self._change("POST", number, ["comments"], {"body": body}, once=True))
        )

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

    # -- requests --

    def _list(self, parts: list[str], parameters: dict[str, str], since: str | None) -> list[dict[str, Any]]:
        """All entries of a list from a time on, in order of their last change; an entry may come twice, the latest last.

        Each page begins at a time and not at a number, because what is deleted or changes meanwhile moves all that
        comes after it: an entry would move to a page already read. Only among more than a page of entries of the same
        moment there is no other way than by numbers.
        """
        entries: list[dict[str, Any]] = []
        number = 1
        while True:
            query = {**parameters, "sort": "updated", "direction": "asc", "per_page": str(PER_PAGE)}
            query |= {"page": str(number)} if number > 1 else {}
            answer = self._send("GET", path(self.repo, *parts), {**query, **_since(since)})
            if answer.status in _REDIRECTS:
                raise self._renamed(answer)
            page = self._entries(answer, issue=False)
            if parts == ["issues"] and self.listed_at is None:
                self.listed_at = self._server_time
            entries += page
            if self._next(answer) is None or not page:
                return entries
            first, last = (_changed_at(entry) for entry in (page[0], page[-1]))
            # Whether GitHub counts the very second as since is not said.
            before = last - datetime.timedelta(seconds=1)
            if before > first:
                since, number = f"{before:%Y-%m-%dT%H:%M:%SZ}", 1
            else:
                number += 1

    def _entries(self, answer: _Answer, *, issue: bool) -> list[dict[str, Any]]:
        """The entries of one page of a list."""
        if answer.status != 200 or not isinstance(answer.data, list):
            raise self._refused(answer, issue=issue)
        return [entry for entry in answer.data if isinstance(entry, dict)]

    def _next(self, answer: _Answer) -> str | None:
        match = _LINK.search(str(answer.headers.get("link", "")))
        return self._own(match[1]) if match else None

    def _write(
        self, verb: str, parts: list[str | int], body: dict[str, Any] | None, *, once: bool = False
    ) -> _Answer:
        answer = self._send(verb, path(self.repo, "issues", *parts), None, body, once=once)
        if answer.status in (200, 201):
            self._written += 1
            self._on_write(self._written)
        return answer

    def _change(
        self,
        verb: str,
        number: int,
        parts: list[str | int],
        body: dict[str, Any] | None = None,
        *,
        once: bool = False,
    ) -> _Answer:
        """Change one issue, here and nowhere else."""
        answer = self._write(verb, [number, *parts], body, once=once)
        if answer.status in _REDIRECTS:
            place = self.issue(number).place
            if place.casefold() != f"{self.repo}#{number}".casefold():
                raise GitHubMovedError(place)
        return answer

    def _labelled(
        self, verb: str, number: int, parts: list[str | int], body: dict[str, Any] | None = None
    ) -> tuple[str, ...]:
        answer = self._change(verb, number, parts, body)
        if answer.status in (403, 404):
            # The label is gone already, the token may not set any, or there is no such issue: looking at it says which.
            return self.issue(number).labels
        if answer.status == 200 and isinstance(answer.data, list):
            return tuple(_label_names(answer.data))
        raise self._refused(answer, issue=True)

    def _content(self, answer: _Answer, *, issue: bool = True) -> dict[str, Any]:
        if answer.status in (200, 201) and isinstance(answer.data, dict):
            return answer.data
        raise self._refused(answer, issue=issue)

    def _own(self, url: str) -> str:
        """An address that GitHub names, if it is one of the same API: the token goes nowhere else."""
        if url.startswith(f"{self.api_url}/"):
            return url
        raise GitHubUnavailableError(
            f"{self.api_url} points to {url[:100]!a}, which is not below it; check the API address."
        )

    def _renamed(self, answer: _Answer) -> GitHubDeniedError:
        return GitHubDeniedError(
            f"The repository {self.repo} has moved{self._new_name(answer)}; set the repository to its new name."
        )

    def _new_name(self, answer: _Answer) -> str:
        """Where a repository is now, as far as it can be seen, for a message."""
        with contextlib.suppress(GitHubError):
            url = self._own(str(answer.headers.get("location", ""))).partition("?")[0]
            issues = self._send("GET", url, {"state": "all", "per_page": "1"}).data
            if isinstance(issues, list) and issues and (name := _repo_of(issues[0].get("repository_url"))):
                return f" to {ascii(name[:150])[1:-1]}"
        return ""

    def _send(
        self,
        verb: str,
        url: str,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        *,
        once: bool = False,
    ) -> _Answer:
        """Send a request, again where that can help, and return GitHub's final word; redirects are not followed.

        With ``once`` it is not sent again when it may have taken effect.
        """
        for attempt in range(_MOST_TRIES):
            if verb != "GET":
                self._pace()
            begun = self.clock()
            wait = self._backoff * 2**attempt
            try:
                answer = self._attempt(verb, url, query, body)
            except _Lost as error:
                why = f"{self._host} does not answer properly ({error})"
                if str(error) == _UNTRUSTED:
                    raise GitHubUnavailableError(
                        f"{why}; name its authority in REQUESTS_CA_BUNDLE."
                    ) from error
                if once:
                    raise GitHubUnclearError(
                        f"{why}, so it is not known whether the request took effect."
                    ) from error
            else:
                # A server that does not say how long is given more time each time: GitHub asks for about a minute.
                hint = min(self._backoff * 4**attempt, _LONGEST_BACKOFF)
                if (asked := _asked_wait(answer, hint)) is not None:
                    # A request refused for its rate was not looked at, so it may be sent again whatever it is.
                    wait, why = (
                        asked,
                        f"{self._host} limits the rate of requests and asks to wait {asked:.0f} s",
                    )
                elif answer.status >= 500:
                    why = f"{self._host} answers {answer.status}"
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
    ) -> _Answer:
        self.requests += 1
        try:
            status, headers, output = self._requester.requestJson(verb, url, query, None, body)
        except _Redirected as moved:
            return _Answer(moved.status, {"location": moved.location}, None)
        # requests raises many kinds, PyGithub RuntimeError and AssertionError of its own.
        except (OSError, RuntimeError, AssertionError, ValueError) as error:
            raise _Lost(_short(error)) from error
        self._note_time(headers)
        if status >= 500 or status in (204, 304):
            return _Answer(status, headers, None)
        try:
            return _Answer(status, headers, json.loads(output))
        except (TypeError, ValueError) as error:
            if status >= 400:
                return _Answer(status, headers, None)  # a proxy's page, perhaps; its status says enough
            raise _Lost("no JSON") from error

    def _pace(self) -> None:
        self._sent_writes += 1
        if self._sent_writes > _FREE_WRITES and self._write_pause > 0:
            self._sleep(self._write_pause)

    def _note_time(self, headers: Mapping[str, Any]) -> None:
        with contextlib.suppress(TypeError, ValueError):
            self._server_time = email.utils.parsedate_to_datetime(str(headers.get("date", "")))

    @property
    def _requester(self) -> Requester:
        if self._made is None:
            require_github()
            import github

            # One try, and redirects are answers like others.
            retry = _watching_retry()
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

    @property
    def _host(self) -> str:
        return host_of(self.api_url)

    def _refused(self, answer: _Answer, *, issue: bool) -> GitHubError:
        """The error for an answer that is none of those hoped for."""
        status, says = answer.status, f"GitHub says: {answer.message}"
        if status == 401:
            return GitHubDeniedError(f"{self._host} refuses the token (401); set a valid one.")
        if status in (404, 410) and issue:
            return GitHubGoneError(f"The issue is not there any more ({status}).")
        if status == 404:
            return GitHubDeniedError(
                f"There is no repository {self.repo} on {self._host} for this token; check its name and the token's rights."
            )
        if status == 410:
            return GitHubDeniedError(
                f"The repository {self.repo} has no issues; turn them on in its settings."
            )
        if status == 403 and issue and "locked" in answer.message.lower():
            return GitHubLockedError("The issue is locked.")
        if status == 403:
            return GitHubDeniedError(f"The token may not do that in {self.repo} (403). {says}")
        if status in (400, 413, 422):
            return GitHubInvalidError(f"The content is refused ({status}). {says}")
        return GitHubUnavailableError(f"{self._host} gives an unexpected answer ({status}). {says}")


# -- settings --


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
            return status_code in _REDIRECTS

        def increment(
            self,
            method: str | None = None,
            url: str | None = None,
            response: Any = None,
            error: Exception | None = None,
            _pool: Any = None,
            _stacktrace: Any = None,
        ) -> Any:
            if response is not None and response.status in _REDIRECTS:
                response.drain_conn()
                raise _Redirected(response.status, response.headers.get("Location", ""))
            return super().increment(method, url, response, error, _pool, _stacktrace)

    return WatchingRetry(total=0, read=False)


# -- answers --


def _read_issue(values: Mapping[str, Any]) -> RemoteIssue:
    try:
        number = int(values["number"])
        return RemoteIssue(
            number=number,
            id=int(values["id"]),
            place=f"{_repo_of(values.get('repository_url'))}#{number}",
            title=str(values["title"]),
            body=str(values.get("body") or ""),
            labels=tuple(_label_names(values.get("labels"))),
            closed=values["state"] == "closed",
            locked=bool(values.get("locked")),
            comments=int(values.get("comments") or 0),
            author=_login(values.get("user")),
            created_at=str(values["created_at"]),
            updated_at=str(values["updated_at"]),
            url=str(values.get("html_url") or ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GitHubUnavailableError(
            f"GitHub's answer is no issue ({_short(error)}); check the API address."
        ) from error


def _read_comment(values: Mapping[str, Any]) -> RemoteComment:
    try:
        address = str(values.get("issue_url") or "")
        return RemoteComment(
            id=int(values["id"]),
            place=f"{_repo_of(address)}#{address.rpartition('/issues/')[2]}",
            body=str(values.get("body") or ""),
            author=_login(values.get("user")),
            created_at=str(values["created_at"]),
            updated_at=str(values["updated_at"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GitHubUnavailableError(
            f"GitHub's answer is no comment ({_short(error)}); check the API address."
        ) from error


def _changed_at(values: Mapping[str, Any]) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(values["updated_at"], "%Y-%m-%dT%H:%M:%SZ")
    except (KeyError, TypeError, ValueError) as error:
        raise GitHubUnavailableError(
            f"GitHub's answer has no time ({_short(error)}); check the API address."
        ) from error


def _in_order(comments: list[RemoteComment]) -> list[RemoteComment]:
    """Each once, although pages may overlap when something changes meanwhile."""
    return sorted({comment.id: comment for comment in comments}.values(), key=lambda comment: comment.id)


def _repo_of(address: object) -> str:
    match = re.search(r"/repos/([^/]+/[^/]+)", str(address or ""))
    return match[1] if match else ""


def _label_names(labels: Any) -> list[str]:
    entries = labels if isinstance(labels, list) else []
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    return [name for name in names if isinstance(name, str) and name]


def _login(user: Any) -> str:
    return str(user["login"]) if isinstance(user, dict) and user.get("login") else "ghost"


def _since(since: str | None) -> dict[str, str]:
    return {} if since is None else {"since": since}


def _asked_wait(answer: _Answer, otherwise: float) -> float | None:
    """Seconds to wait after an answer that limits the rate; None for any other answer."""
    headers, text = answer.headers, answer.message.lower()
    limited = answer.status == 429 or (
        answer.status == 403
        and (
            "retry-after" in headers
            or str(headers.get("x-ratelimit-remaining")) == "0"
            or "rate limit" in text
        )
    )
    if not limited:
        return None
    if (seconds := _retry_after(headers)) is not None:
        return max(seconds, 0.0)
    if str(headers.get("x-ratelimit-remaining")) == "0":
        with contextlib.suppress(KeyError, ValueError, TypeError):
            now = email.utils.parsedate_to_datetime(headers["date"]) if "date" in headers else _now()
            # It is not said when within that second.
            return max(float(headers["x-ratelimit-reset"]) - now.timestamp() + 1, 0.0)
    return otherwise


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    text = str(headers.get("retry-after", "")).strip()
    if text.isdecimal():
        return float(text[:9])
    with contextlib.suppress(ValueError, TypeError):
        return (email.utils.parsedate_to_datetime(text) - _now()).total_seconds()
    return None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _short(error: BaseException) -> str:
    """What went wrong, without addresses or headers."""
    for cause in (error, error.__context__):
        name = type(cause).__name__
        if "Timeout" in name:
            return "no answer in time"
        if "SSL" in name:
            return _UNTRUSTED
    if "Connection" in type(error).__name__:
        return "the connection failed"
    return type(error).__name__
