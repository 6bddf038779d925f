# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Issues and comments as GitHub shows them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import GitHubUnavailableError

# What odd values raise where they are read; numbers can be infinite and times out of range.
_ODD = (KeyError, TypeError, ValueError, ArithmeticError)


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


def read_issue(values: Mapping[str, Any]) -> RemoteIssue:
    try:
        number = int(values["number"])
        return RemoteIssue(
            number=number,
            id=int(values["id"]),
            place=f"{repo_of(values.get('repository_url'))}#{number}",
            title=str(values["title"]),
            body=str(values.get("body") or ""),
            labels=tuple(label_names(values.get("labels"))),
            closed=values["state"] == "closed",
            locked=bool(values.get("locked")),
            comments=int(values.get("comments") or 0),
            author=login(values.get("user")),
            created_at=str(values["created_at"]),
            updated_at=str(values["updated_at"]),
            url=str(values.get("html_url") or ""),
        )
    except _ODD as error:
        raise GitHubUnavailableError(
            f"GitHub's answer is no issue ({type(error).__name__}); check the API address."
        ) from error


def read_comment(values: Mapping[str, Any]) -> RemoteComment:
    try:
        address = str(values.get("issue_url") or "")
        return RemoteComment(
            id=int(values["id"]),
            place=f"{repo_of(address)}#{address.rpartition('/issues/')[2]}",
            body=str(values.get("body") or ""),
            author=login(values.get("user")),
            created_at=str(values["created_at"]),
            updated_at=str(values["updated_at"]),
        )
    except _ODD as error:
        raise GitHubUnavailableError(
            f"GitHub's answer is no comment ({type(error).__name__}); check the API address."
        ) from error


def changed_at(values: Mapping[str, Any]) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(values["updated_at"], "%Y-%m-%dT%H:%M:%SZ")
    except _ODD as error:
        raise GitHubUnavailableError(
            f"GitHub's answer has no time ({type(error).__name__}); check the API address."
        ) from error


def in_order(comments: list[RemoteComment]) -> list[RemoteComment]:
    """Each once, although pages may overlap when something changes meanwhile."""
    return sorted({comment.id: comment for comment in comments}.values(), key=lambda comment: comment.id)


def repo_of(address: object) -> str:
    match = re.search(r"/repos/([^/]+/[^/]+)", str(address or ""))
    return match[1] if match else ""


def label_names(labels: Any) -> list[str]:
    entries = labels if isinstance(labels, list) else []
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    return [name for name in names if isinstance(name, str) and name]


def login(user: Any) -> str:
    return str(user["login"]) if isinstance(user, dict) and user.get("login") else "ghost"
