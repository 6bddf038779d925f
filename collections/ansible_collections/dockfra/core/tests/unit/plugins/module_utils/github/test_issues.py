# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lists of issues whose answers are odd: none goes on for ever, and none ends in an error nobody expects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import GitHubUnavailableError
from ansible_collections.dockfra.core.plugins.module_utils.github import issues as issues_module
from ansible_collections.dockfra.core.plugins.module_utils.github.issues import IssueGateway
from ansible_collections.dockfra.core.plugins.module_utils.github.objects import read_issue
from ansible_collections.dockfra.core.plugins.module_utils.github.refusals import Answer

API = "https://api.github.com"
LINK = f'<{API}/repositories/1/issues?page=2>; rel="next"'


def issue(number: int, changed: str) -> dict[str, Any]:
    return {
        "number": number,
        "id": number,
        "title": "x",
        "state": "open",
        "created_at": changed,
        "updated_at": changed,
        "issue_url": f"{API}/repos/a/b/issues/{number}",
    }


def gateway(answer: Callable[[int], Answer], monkeypatch: pytest.MonkeyPatch) -> IssueGateway:
    """One whose requests are answered by their number; more than a hundred are too many."""
    made = IssueGateway("token", "a/b")
    count = 0

    def send(*_words: object, **_more: object) -> Answer:
        nonlocal count
        count += 1
        assert count <= 100, "it asks without an end"
        return answer(count)

    monkeypatch.setattr(made._transport, "send", send)
    return made


def test_a_list_that_ignores_since_is_told_at_once_finding_s4(monkeypatch: pytest.MonkeyPatch) -> None:
    page = [issue(1, "2024-01-01T00:00:00Z"), issue(2, "2024-01-01T00:01:00Z")]
    made = gateway(lambda _count: Answer(200, {"link": LINK}, page), monkeypatch)
    with pytest.raises(GitHubUnavailableError, match="again and again"):
        made.issues()


def test_pages_that_follow_each_other_in_a_circle_are_told_finding_s4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = [issue(1, "2024-01-01T00:00:00Z")]
    made = gateway(lambda _count: Answer(200, {"link": LINK}, page), monkeypatch)
    with pytest.raises(GitHubUnavailableError, match="again and again"):
        made.comments_of(1)


def test_a_list_without_an_end_is_ended_finding_s4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issues_module, "MAX_ENTRIES", 20)
    page = [issue(1, "2024-01-01T00:00:00Z")]
    made = gateway(lambda _count: Answer(200, {"link": LINK}, page), monkeypatch)
    with pytest.raises(GitHubUnavailableError, match="more than 20 entries"):
        made.issues()


def test_the_first_time_there_is_has_none_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [[issue(1, "0001-01-01T00:00:00Z")], [issue(2, "2024-01-01T00:00:00Z")]]
    made = gateway(
        lambda count: Answer(200, {"link": LINK} if count == 1 else {}, pages[count - 1]), monkeypatch
    )
    assert [found.number for found in made.issues()] == [1, 2]


def test_a_list_of_something_else_names_no_new_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Answer(301, {"location": f"{API}/repositories/2/issues"}, None), Answer(200, {}, ["odd"])]
    made = gateway(lambda count: answers[count - 1], monkeypatch)
    with pytest.raises(Exception, match="has moved; set the repository"):
        made.issues()


@pytest.mark.parametrize("field", ["number", "id", "comments"])
def test_a_number_without_an_end_is_no_issue_finding_h2(field: str) -> None:
    with pytest.raises(GitHubUnavailableError, match="no issue"):
        read_issue({**issue(1, "2024-01-01T00:00:00Z"), field: float("inf")})
