# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The issues of one GitHub repository: lists, single ones, and changes."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Callable, Mapping, Sized
from typing import Any

from ..errors import GitHubDeniedError, GitHubError, GitHubGoneError, GitHubMovedError, GitHubUnavailableError
from .address import API_URL, is_addressable, path, repository_at
from .objects import (
    RemoteComment,
    RemoteIssue,
    changed_at,
    in_order,
    label_names,
    read_comment,
    read_issue,
    repo_of,
)
from .refusals import Answer, refusal
from .transport import PER_PAGE, REDIRECTS, Transport

# Entries of one list: what is longer has no end, or is more than a platform's tickets can be.
MAX_ENTRIES = 100_000

_LINK = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="?next"?')


class IssueGateway:
    """Reads and writes the issues of one repository.

    Every method raises a `GitHubError` of one line. Reads, and changes of an issue (which set values and so may be
    repeated), are tried again where that can help; what creates something is sent once. Nothing is written where GitHub
    leads elsewhere: an issue that has moved raises GitHubMovedError, one that is not there GitHubGoneError.

    Args:
        token: a token that may read and write issues.
        repo: ``owner/name``, or its address in any of git's forms.
        api_url: address of the API, for GitHub Enterprise ``https://host/api/v3``.
        on_write: called after everything that was written, with how many there were.
        options: those of `Transport`: timeouts, pauses, the clock.

    Raises:
        GitHubSettingError: a value has a form that cannot work.

    Attributes:
        listed_at: what GitHub's clock said when `issues` began last, or None.
    """

    def __init__(
        self,
        token: str,
        repo: str,
        api_url: str = API_URL,
        *,
        on_write: Callable[[int], None] = lambda _count: None,
        **options: Any,
    ) -> None:
        self._transport = Transport(token, api_url, **options)
        self.api_url = self._transport.api_url
        self.repo = repository_at(repo, self.api_url)
        self.clock = self._transport.clock
        self.pause = self._transport.pause
        self._on_write = on_write
        self._written = 0
        self.listed_at: datetime.datetime | None = None

    @property
    def requests(self) -> int:
        """How many requests have been sent."""
        return self._transport.requests

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
            if "pull_request" not in values and (issue := read_issue(values))
        }
        return [found[number] for number in sorted(found)]

    def comments(self, since: str | None = None) -> list[RemoteComment]:
        """Return the comments on all issues, or those made or edited at a time or later, the oldest first."""
        return in_order([read_comment(values) for values in self._list(["issues", "comments"], {}, since)])

    def comments_of(self, number: int) -> list[RemoteComment]:
        """Return the comments on one issue, the oldest first; raises GitHubGoneError."""
        url: str | None = path(self.repo, "issues", number, "comments")
        query: dict[str, str] | None = {"per_page": str(PER_PAGE)}
        found: list[RemoteComment] = []
        asked: set[str] = set()
        while url is not None:
            if url in asked:
                raise self._in_a_circle()
            asked.add(url)
            answer = self._transport.send("GET", url, query)
            if answer.status in REDIRECTS:
                raise GitHubGoneError("The issue has moved.")
            found += map(read_comment, self._entries(answer, issue=True))
            self._bounded(found)
            url, query = self._next(answer), None  # the link has the query in it
        return in_order(found)

    def issue(self, number: int) -> RemoteIssue:
        """Return one issue, also when it has moved; raises GitHubGoneError."""
        url = path(self.repo, "issues", number)
        for _twice in range(2):
            answer = self._transport.send("GET", url)
            if answer.status not in REDIRECTS or not (location := str(answer.headers.get("location", ""))):
                break
            url = self._own(location)
        return read_issue(self._content(answer))

    # -- writing --

    def create(self, title: str, body: str, labels: list[str]) -> RemoteIssue:
        """Create an issue; raises GitHubUnclearError when it may have been created, or not."""
        answer = self._write("POST", [], {"title": title, "body": body, "labels": labels}, once=True)
        if answer.status in REDIRECTS:
            raise self._renamed(answer)
        return read_issue(self._content(answer, issue=False))

    def edit(self, number: int, values: Mapping[str, Any]) -> RemoteIssue:
        """Set ``title``, ``body``, ``state`` or all ``labels`` of an issue."""
        return read_issue(self._content(self._change("PATCH", number, [], dict(values))))

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
        return read_comment(
            self._content(self._change("POST", number, ["comments"], {"body": body}, once=True))
        )

    # -- requests --

    def _list(self, parts: list[str], parameters: dict[str, str], since: str | None) -> list[dict[str, Any]]:
        """All entries of a list from a time on, in order of their last change; an entry may come twice, the latest last.

        Each page begins at a time and not at a number, because what is deleted or changes meanwhile moves all that
        comes after it: an entry would move to a page already read. Only among more than a page of entries of the same
        moment there is no other way than by numbers.
        """
        entries: list[dict[str, Any]] = []
        number = 1
        reached: datetime.datetime | None = None
        while True:
            query = {**parameters, "sort": "updated", "direction": "asc", "per_page": str(PER_PAGE)}
            query |= {"page": str(number)} if number > 1 else {}
            answer = self._transport.send("GET", path(self.repo, *parts), {**query, **_since(since)})
            if answer.status in REDIRECTS:
                raise self._renamed(answer)
            page = self._entries(answer, issue=False)
            if parts == ["issues"] and self.listed_at is None:
                self.listed_at = self._transport.server_time
            entries += page
            if self._next(answer) is None or not page:
                return entries
            self._bounded(entries)
            first, last = (changed_at(entry) for entry in (page[0], page[-1]))
            # Whether GitHub counts the very second as since is not said.
            before = last - min(datetime.timedelta(seconds=1), last - datetime.datetime.min)
            if before > first:
                # Otherwise the page would be asked for again, for ever.
                if reached is not None and before <= reached:
                    raise self._in_a_circle()
                reached = before
                since, number = f"{before:%Y-%m-%dT%H:%M:%SZ}", 1
            else:
                number += 1

    def _in_a_circle(self) -> GitHubUnavailableError:
        return GitHubUnavailableError(
            f"{self.api_url} gives the same part of a list again and again; check the API address."
        )

    def _bounded(self, entries: Sized) -> None:
        """A list is longer than any that a platform can take, or it has no end."""
        if len(entries) > MAX_ENTRIES:
            raise GitHubUnavailableError(
                f"{self.api_url} gives a list of more than {MAX_ENTRIES} entries; check the API address and the repository."
            )

    def _entries(self, answer: Answer, *, issue: bool) -> list[dict[str, Any]]:
        """The entries of one page of a list."""
        if answer.status != 200 or not isinstance(answer.data, list):
            raise self._refusal(answer, issue=issue)
        return [entry for entry in answer.data if isinstance(entry, dict)]

    def _next(self, answer: Answer) -> str | None:
        match = _LINK.search(str(answer.headers.get("link", "")))
        return self._own(match[1]) if match else None

    def _write(
        self, verb: str, parts: list[str | int], body: dict[str, Any] | None, *, once: bool = False
    ) -> Answer:
        answer = self._transport.send(verb, path(self.repo, "issues", *parts), None, body, once=once)
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
    ) -> Answer:
        """Change one issue, here and nowhere else."""
        answer = self._write(verb, [number, *parts], body, once=once)
        if answer.status in REDIRECTS:
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
            return tuple(label_names(answer.data))
        raise self._refusal(answer, issue=True)

    def _content(self, answer: Answer, *, issue: bool = True) -> dict[str, Any]:
        if answer.status in (200, 201) and isinstance(answer.data, dict):
            return answer.data
        raise self._refusal(answer, issue=issue)

    def _own(self, url: str) -> str:
        """An address that GitHub names, if it is one of the same API: the token goes nowhere else."""
        if url.startswith(f"{self.api_url}/"):
            return url
        raise GitHubUnavailableError(
            f"{self.api_url} points to {url[:100]!a}, which is not below it; check the API address."
        )

    def _renamed(self, answer: Answer) -> GitHubDeniedError:
        return GitHubDeniedError(
            f"The repository {self.repo} has moved{self._new_name(answer)}; set the repository to its new name."
        )

    def _new_name(self, answer: Answer) -> str:
        """Where a repository is now, as far as it can be seen, for a message."""
        with contextlib.suppress(GitHubError):
            url = self._own(str(answer.headers.get("location", ""))).partition("?")[0]
            issues = self._transport.send("GET", url, {"state": "all", "per_page": "1"}).data
            first = issues[0] if isinstance(issues, list) and issues else None
            if isinstance(first, dict) and (name := repo_of(first.get("repository_url"))):
                return f" to {ascii(name[:150])[1:-1]}"
        return ""

    def _refusal(self, answer: Answer, *, issue: bool) -> GitHubError:
        return refusal(answer, self._transport.host, self.repo, issue=issue)


def _since(since: str | None) -> dict[str, str]:
    return {} if since is None else {"since": since}
