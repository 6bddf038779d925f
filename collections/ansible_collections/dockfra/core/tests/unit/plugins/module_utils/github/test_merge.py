# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The three-way merge alone: values in, values out."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.github import mapping
from ansible_collections.dockfra.core.plugins.module_utils.github.merge import (
    Merged,
    entry_for,
    merge,
    settled,
)
from ansible_collections.dockfra.core.plugins.module_utils.github.objects import RemoteComment, RemoteIssue
from ansible_collections.dockfra.core.plugins.module_utils.github.state import Entry
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES
from ansible_collections.dockfra.core.plugins.module_utils.tickets import model, values
from ansible_collections.dockfra.core.plugins.module_utils.tickets.model import Comment, Ticket

BEFORE, EARLIER, LATER = (f"2026-11-22T10:00:0{second}.000000Z" for second in (0, 1, 2))
MOMENT = "2026-11-22T11:00:00.000000Z"

VALUES = {
    "title": st.sampled_from(["One", "Two  blanks", "Three"]),
    "description": st.sampled_from(["", "words", "    code\n\nwords @alice", "x" * 200]),
    "status": st.sampled_from(values.STATUSES),
    "priority": st.sampled_from(values.PRIORITIES),
    "assigned_to": st.sampled_from([None, *ROLES]),
    "labels": st.sets(st.sampled_from(["a", "b", "c"])).map(lambda labels: tuple(sorted(labels))),
}
FIELDS = st.fixed_dictionaries(VALUES)


def ticket(fields: dict[str, Any], updated_at: str = BEFORE, **more: Any) -> Ticket:
    linked = {"github_issue_number": 1, "extra": {"github_issue_id": 11}}
    return Ticket(
        "T-0001",
        created_by="manager",
        created_at=BEFORE,
        updated_at=updated_at,
        **{**linked, **fields, **more},
    )


def issue(fields: dict[str, Any], updated_at: str = BEFORE) -> RemoteIssue:
    tail = mapping.marker(ticket(fields))
    draft = mapping.draft(
        fields["title"],
        mapping.body_of(fields["description"], tail),
        mapping.remote_labels(fields["labels"], fields),
        closed=fields["status"] == "closed",
    )
    seconds = updated_at.replace(".000000", "")
    return dataclasses.replace(draft, number=1, id=11, created_at=seconds, updated_at=seconds)


def same(fields: dict[str, Any]) -> Entry:
    """What to compare with where both sides have been the same."""
    ours, theirs = ticket(fields), issue(fields)
    return settled(entry_for(theirs), ours, theirs, run(Entry(), ours, theirs), take=True)


def run(
    base: Entry, ours: Ticket, theirs: RemoteIssue, *comments: RemoteComment, take: bool = True
) -> Merged:
    return merge(base, ours, theirs, comments, take=take, moment=MOMENT)


def said(merged: Merged) -> str:
    return "\n".join(comment.text for comment in merged.changes.get("comments", ()))


@given(FIELDS, FIELDS, FIELDS, st.booleans())
def test_nothing_that_is_given_is_changed(
    before: dict[str, Any], here: dict[str, Any], there: dict[str, Any], take: bool
) -> None:
    base = same(before)
    given_base = copy.deepcopy(base)
    run(base, ticket(here, LATER), issue(there, EARLIER), take=take)
    assert base == given_base


@given(FIELDS)
def test_what_is_the_same_stays(fields: dict[str, Any]) -> None:
    merged = run(same(fields), ticket(fields), issue(fields))
    assert (merged.plan.give, merged.plan.take, merged.plan.conflicts) == ({}, {}, [])
    assert model.changed(ticket(fields), merged.changes) == ticket(fields)


@given(FIELDS, FIELDS)
def test_what_changed_here_goes_there(before: dict[str, Any], after: dict[str, Any]) -> None:
    merged = run(same(before), ticket(after, LATER), issue(before))
    changed = {name: after[name] for name in mapping.SCALARS if after[name] != before[name]}
    assert (merged.plan.give, merged.plan.take, merged.plan.conflicts) == (changed, {}, [])
    assert model.changed(ticket(after, LATER), merged.changes) == ticket(after, LATER)


@given(FIELDS, FIELDS)
def test_what_changed_there_comes_here(before: dict[str, Any], after: dict[str, Any]) -> None:
    base, ours, theirs = same(before), ticket(before), issue(after, LATER)
    for _step in range(2):
        merged = run(base, ours, theirs)
        assert (merged.plan.conflicts, merged.plan.lost) == ([], [])
        ours = model.changed(ours, merged.changes)
        base = settled(base, ours, theirs, merged, take=True)
        if not merged.plan.halfway:
            break
    stays = (before["status"], after["status"]) == ("in_progress", "open")
    assert {**ours.to_dict(), "status": ""} == {**ticket(after).to_dict(), "status": ""}
    assert ours.status == (before["status"] if stays else after["status"])
    again = run(base, ours, theirs)
    assert (again.plan.take, again.plan.give) == ({}, {"status": "in_progress"} if stays else {})


@given(FIELDS, FIELDS, FIELDS, st.booleans())
def test_of_two_changes_the_newer_counts_and_the_other_is_kept(
    before: dict[str, Any], here: dict[str, Any], there: dict[str, Any], newer_here: bool
) -> None:
    ours = ticket(here, LATER if newer_here else EARLIER)
    theirs = issue(there, EARLIER if newer_here else LATER)
    merged = run(same(before), ours, theirs)
    both = {
        name
        for name in mapping.SCALARS
        if before[name] not in (here[name], there[name]) and here[name] != there[name]
    }
    assert set(merged.plan.conflicts) == both
    for name in both - {"status"}:
        counts, lost = (here[name], there[name]) if newer_here else (there[name], here[name])
        assert (merged.plan.give if newer_here else merged.plan.take)[name] == counts
        assert ("nobody" if lost is None else lost or "(empty)") in said(merged)


@given(FIELDS, FIELDS, FIELDS)
def test_without_taking_the_ticket_stays(
    before: dict[str, Any], here: dict[str, Any], there: dict[str, Any]
) -> None:
    ours, theirs = ticket(here, EARLIER), issue(there, LATER)
    merged = run(same(before), ours, theirs, take=False)
    after = model.changed(ours, merged.changes)
    # Only a status that no way leads to is given back, with the reason.
    if "status" not in merged.plan.lost:
        assert after == ours
    assert merged.plan.take == {}


@pytest.mark.parametrize("take", [True, False])
def test_labels_are_merged_one_by_one(take: bool) -> None:
    plain = {"title": "T", "description": "", "status": "open", "priority": "normal", "assigned_to": None}
    base = same({**plain, "labels": ("both", "gone-here", "gone-there")})
    ours = ticket({**plain, "labels": ("both", "gone-there", "new-here")}, LATER)
    theirs = issue({**plain, "labels": ("both", "gone-here", "new-there")}, LATER)
    found = model.changed(ours, run(base, ours, theirs, take=take).changes).labels
    assert found == (("both", "new-here", "new-there") if take else ours.labels)


def test_comments_come_once_and_edits_replace_them() -> None:
    fields = {
        "title": "T",
        "description": "",
        "status": "open",
        "priority": "normal",
        "assigned_to": None,
        "labels": (),
    }
    mine = Comment("developer", "mine", BEFORE)
    ours, theirs = ticket(fields, comments=(mine,)), issue(fields)
    remarks = [
        RemoteComment(1, "o/r#1", mapping.comment_body(ours, mine), "bot", BEFORE, BEFORE),
        RemoteComment(2, "o/r#1", "    theirs", "alice", "2026-11-22T10:00:05Z", "2026-11-22T10:00:05Z"),
    ]
    merged = run(Entry(), ours, theirs, *remarks)
    assert merged.comments == {mapping.comment_key(ours, mine): 1}
    after = model.changed(ours, {**merged.changes, "comments": tuple(merged.changes["comments"])})
    assert [(comment.author, comment.text) for comment in after.comments] == [
        ("developer", "mine"),
        ("alice", "    theirs"),
    ]
    base = settled(Entry(), after, theirs, merged, take=True)
    edited = [dataclasses.replace(remark, body=f"{remark.body.split('<!--')[0]}!") for remark in remarks]
    again = run(base, after, theirs, *edited)
    assert [comment.text for comment in again.changes["comments"]] == ["mine\n\n!", "    theirs!"]


@pytest.mark.parametrize("piece", ["@a ", "x", "words and @alice, ", "```\n@a\n", "<b>@a "])
def test_as_much_of_a_long_text_is_sent_as_there_is_room_for_finding_h2(piece: str) -> None:
    text = piece * (60_000 // len(piece) + 1)
    body = mapping.body_of(text, "<!-- tail -->")
    assert len(body) <= mapping.MAX_BODY
    assert body.endswith("\n\n<!-- tail -->")
    # What calls people takes more room; the rest of it is used.
    assert len(body) > mapping.MAX_BODY - 100 or len(text) <= len(body)
