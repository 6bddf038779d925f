# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Limits and rights are told apart by status, headers and documented fields."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.github.refusals import (
    Answer,
    asked_wait,
    date_of,
    is_limit,
    may_be_limit,
)


def answer(status: int, message: str = "", page: str = "", **headers: Any) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, {"message": message, "documentation_url": page})


LIMITS = [
    answer(429),
    answer(403, retry_after="7"),
    answer(403, x_ratelimit_remaining="0", x_ratelimit_reset="7"),
    answer(403, "You have triggered an abuse detection mechanism. Please wait a few minutes."),
    answer(403, "You have exceeded a secondary rate limit."),
    answer(403, "You have been temporarily blocked from content creation. Please retry your request later."),
    answer(403, "No.", "https://developer.github.com/v3/#abuse-rate-limits"),
    answer(403, "No.", "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"),
    answer(403, "No.", "https://developer.github.com/v3/#rate-limiting"),
]
RIGHTS = [
    answer(403, "Resource not accessible by personal access token", "https://docs.github.com/rest"),
    answer(403, "Must have admin rights to Repository.", "https://docs.github.com/rest/issues/labels"),
    answer(403, "Repository was archived so is read-only."),
    answer(403, "Resource protected by organization SAML enforcement."),
    answer(403, "Unable to create comment because issue is locked."),
    answer(403, "No.", x_accepted_github_permissions="issues=write"),
]
DOUBTS = [answer(403, "No."), Answer(403, {}, None), answer(403, "", "https://docs.github.com/rest")]


@pytest.mark.parametrize(
    ("given", "limit", "doubt"),
    [
        *((one, True, False) for one in LIMITS),
        *((one, False, False) for one in RIGHTS),
        *((one, False, True) for one in DOUBTS),
        *((answer(status, "Please wait"), False, False) for status in (200, 401, 404, 410, 422, 500)),
    ],
)
def test_a_refusal_is_a_limit_a_right_or_in_doubt_finding_h2(given: Answer, limit: bool, doubt: bool) -> None:
    assert (is_limit(given), may_be_limit(given)) == (limit, doubt)


def test_the_wait_is_what_the_server_asks_for() -> None:
    assert asked_wait(answer(403, retry_after="7"), 1.0) == 7.0
    assert asked_wait(answer(403, "wait"), 16.0) == 16.0
    spent = answer(
        403, x_ratelimit_remaining="0", x_ratelimit_reset="1000000010", date="Sun, 09 Sep 2001 01:46:40 GMT"
    )
    assert asked_wait(spent, 1.0) == 11.0


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"},
        {"retry_after": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"},
        {
            "x_ratelimit_remaining": "0",
            "x_ratelimit_reset": "1e999",
            "date": "Mon, 01 Jan 0001 00:00:00 +2359",
        },
    ],
)
def test_a_time_that_is_none_is_no_time_finding_h2(headers: dict[str, str]) -> None:
    assert asked_wait(answer(429, **headers), 5.0) >= 0.0


@pytest.mark.parametrize("text", ["Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "", "soon"])
def test_a_header_without_a_time_says_none_finding_h2(text: str) -> None:
    assert date_of(text) is None


def test_a_time_without_a_zone_can_be_compared() -> None:
    found = date_of("Mon, 01 Jan 2024 00:00:00 -0000")
    assert found == datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
