# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a ticket may hold, and its form in a file."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    TicketDamagedError,
    TicketInvalidError,
    TicketNewerError,
)
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES
from ansible_collections.dockfra.core.plugins.module_utils.tickets import codec, model, values

NOW = "2026-01-02T03:04:05.000006Z"
MINIMAL = {
    "id": "T-0001",
    "title": "Title",
    "status": "open",
    "priority": "normal",
    "created_by": "manager",
    "created_at": NOW,
    "updated_at": NOW,
}

lines = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=50).filter(
    str.strip
)
texts = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], include_characters="\n\t"), max_size=300)
times = st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(9998, 12, 31)).map(
    lambda moment: moment.isoformat(timespec="microseconds") + "Z"
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
# Hypothesis takes words from the code that it tests as well, so names of fields do come up.
extras = st.dictionaries(
    lines.filter(lambda name: name not in model.FIELDS | model.COMMENT_FIELDS), anything, max_size=3
)
comments = st.builds(
    lambda a, x, t, e: {**e, "author": a, "text": x, "timestamp": t},
    lines,
    texts.filter(str.strip),
    times,
    extras,
)
fields = st.fixed_dictionaries(
    {"title": lines, "created_by": lines, "created_at": times, "updated_at": times},
    optional={
        "description": texts,
        "status": st.sampled_from(values.STATUSES),
        "priority": st.sampled_from(values.PRIORITIES),
        "assigned_to": st.none() | st.sampled_from(ROLES),
        "labels": st.lists(lines.filter(lambda text: "," not in text), max_size=values.MAX_LABELS),
        "comments": st.lists(comments, max_size=3),
        "github_issue_number": st.none() | st.integers(1, 2**62),
        "external_key": st.none() | lines,
        "extra": extras,
    },
)


def encoded(**changes: Any) -> bytes:
    return json.dumps({**MINIMAL, **changes}).encode()


@given(fields, st.integers(1, 10**18 - 1))
def test_a_ticket_survives_its_file(given_fields: dict[str, Any], number: int) -> None:
    ticket = model.Ticket(id=values.ticket_id(number), **model.clean_fields(given_fields))
    data = codec.encode(ticket)
    assert codec.decode(data, ticket.id) == ticket
    assert codec.encode(codec.decode(data, ticket.id)) == data
    assert json.loads(data) == ticket.to_dict()
    assert ticket.number == number == values.parse_id(ticket.id)


@given(
    st.binary(max_size=200) | texts.map(str.encode) | anything.map(lambda value: json.dumps(value).encode())
)
def test_any_other_content_is_damage_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(TicketDamagedError) as caught:
        codec.decode(data, "T-0001")
    assert "\n" not in str(caught.value)


odd = st.one_of(
    anything,
    texts,
    lines,
    st.sampled_from(
        ["open", "", " x", "x ", "a\nb", "a\rb", "a\r\nb", NOW, "2026-01-01T00:00:00Z", 0, 1, True, [], {}]
    ),
    st.lists(lines | anything, max_size=3),
    st.lists(
        st.dictionaries(st.sampled_from(["author", "text", "timestamp", "x"]), anything | lines | times),
        max_size=2,
    ),
    st.lists(comments, max_size=2),
)


@settings(max_examples=600)
@given(
    fields,
    st.dictionaries(st.sampled_from([*model.CLEANERS, "further"]), odd, max_size=2),
    st.sets(st.sampled_from([*model.CLEANERS])),
)
def test_both_ways_to_read_fields_agree(
    given_fields: dict[str, Any], oddities: dict[str, Any], absent: set[str]
) -> None:
    stored = model.Ticket(id="T-0001", **model.clean_fields(given_fields)).to_dict()
    read = {**stored, **oddities}
    if len(absent) == 1:
        read.pop(absent.pop())
    read = json.loads(json.dumps(read))

    def outcome(way: Callable[[str, dict[str, Any]], model.Ticket | None]) -> object:
        try:
            return way("T-0001", read)
        except (TicketInvalidError, TypeError) as error:
            return type(error)

    quick, thorough = outcome(codec._ordinary), outcome(codec._any)
    assert quick is None or quick == thorough


def test_what_the_store_writes_is_read_the_quick_way() -> None:
    ticket = model.Ticket(
        id="T-0001",
        **model.clean_fields(
            {
                "title": "Grüße",
                "created_by": "manager",
                "created_at": NOW,
                "updated_at": NOW,
                "labels": ["a", "b"],
                "description": "Two\nlines",
                "comments": [{"author": "a", "text": "b", "timestamp": NOW, "github_id": 1}],
                "extra": {"github": {"a": 1}},
            }
        ),
    )
    assert codec._ordinary("T-0001", json.loads(codec.encode(ticket))) == ticket


@given(fields, st.data())
def test_a_file_cut_short_is_damaged(given_fields: dict[str, Any], data: st.DataObject) -> None:
    content = codec.encode(model.Ticket(id="T-0001", **model.clean_fields(given_fields)))
    end = data.draw(st.integers(0, len(content) - 2))
    with pytest.raises(TicketDamagedError):
        codec.decode(content[:end], "T-0001")


@given(st.text(max_size=400), st.booleans())
def test_foreign_text_can_be_made_acceptable(text: str, one_line: bool) -> None:
    accepted = values.acceptable(text, 200, one_line=one_line)
    assert len(accepted) <= 200
    assert values.acceptable(accepted, 200, one_line=one_line) == accepted
    name = "title" if one_line and accepted else "description"
    assert model.clean_fields({name: accepted}) == {name: accepted}


def test_the_contract_names_the_fields() -> None:
    ticket = codec.decode(encoded(), "T-0001")
    contract = (
        "id title description status priority assigned_to labels created_by created_at updated_at comments"
    )
    assert list(ticket.to_dict()) == ["schema", *contract.split(), "github_issue_number", "external_key"]
    assert ticket.to_dict()["schema"] == model.SCHEMA


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("T-0001", 1),
        ("T-9999", 9999),
        ("T-10000", 10000),
        ("T-123456", 123456),
        ("T-999999999999999999", 10**18 - 1),
    ],
)
def test_ids(text: str, number: int) -> None:
    assert values.parse_id(text) == number
    assert values.ticket_id(number) == text


@pytest.mark.parametrize("text", ["T-0069", "t-0069", "T-69", "t69", "T69", "69", "0069"])
def test_an_id_that_cannot_be_misunderstood_is_understood_finding_u11(text: str) -> None:
    assert values.clean_id(text) == "T-0069"


@pytest.mark.parametrize("text", ["#69", "#0069"])
def test_what_may_be_an_issue_is_refused_with_both_right_forms(text: str) -> None:
    with pytest.raises(TicketInvalidError, match=r"is no ticket id") as caught:
        values.clean_id(text)
    message = str(caught.value)
    assert "write T-0069 for the ticket" in message
    assert f"for the issue the id that ticket-list shows beside {text}" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "T-",
            "#",
            "0",
            "#0",
            "T-0000",
            "T--69",
            "-69",
            "+69",
            "6 9",
            " 69",
            "69\n",
            "T-69.json",
            "../T-0069",
        ),
        *("6.9", "0x45", "\u0666\u0669", "\uff16\uff19", "##69", "T#69", "9" * 19, None, 69, ["69"], b"69"),
    ],
)
def test_what_means_no_id_finding_u11(text: object) -> None:
    with pytest.raises(TicketInvalidError, match="is no ticket id"):
        values.clean_id(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1",
            "T-",
            "T-1",
            "T-001",
            "T-0000",
            "T-00001",
            "t-0001",
            "T-0001 ",
            " T-0001",
            "T-0001\n",
            "T-0001\0",
            "T-000\uff11",
        ),
        *(
            "../T-0001",
            "T-0001/../T-0002",
            "/etc/passwd",
            "T-0001.json",
            "T--001",
            "T-+001",
            "T-9999999999999999999",
            "T-0x01",
        ),
        *(None, 1, ["T-0001"], b"T-0001", "T-" + "1" * 1_000_000),
    ],
)
def test_what_is_no_id(text: object) -> None:
    with pytest.raises(TicketInvalidError, match="is no ticket id") as caught:
        values.parse_id(text)
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("title", "", "title is empty; write one"),
        ("title", " \t\n ", "title is empty; write one"),
        ("title", None, "title has to be text"),
        ("title", 5, "title has to be text"),
        ("title", "x" * 201, "201 characters; at most 200"),
        ("title", "x" * 1_000_000, "at most 200"),
        ("title", "a\nb", r"control character '\\n'"),
        ("title", "a\tb", "control character"),
        ("title", "\x1b[2Jb", r"control character '\\x1b'"),
        ("title", "a\x7fb", "control character"),
        ("title", "a\x9bb", "control character"),
        ("title", "a\u2028b", "control character"),
        ("title", "abc\u202efdp.exe", "control character"),
        ("title", "a\ud800b", "control character"),
        ("description", "x" * 65537, "at most 65536"),
        ("description", "a\rb", "control character"),
        ("description", "a\0b", "control character"),
        ("description", None, "description has to be text"),
        ("status", "done", "status 'done' is not one of open, in_progress, closed"),
        ("status", None, "status None is not"),
        ("status", ["open"], "is not one of"),
        ("priority", "urgent", "priority 'urgent' is not one of low, normal, high, critical"),
        ("priority", "High", "is not one of"),
        ("assigned_to", "root", "assignee 'root' is not one of"),
        ("assigned_to", "", "is not one of"),
        ("labels", "backend", "labels have to be a list"),
        ("labels", {"a": 1}, "labels have to be a list"),
        ("labels", ["a,b"], "comma"),
        ("labels", ["a\nb"], "control character"),
        ("labels", [""], "label is empty; write one"),
        ("labels", ["x" * 51], "at most 50"),
        ("labels", [str(n) for n in range(21)], "21 labels; at most 20"),
        ("labels", [None], "label has to be text"),
        ("comments", [{"author": "a", "text": "b"}], "lacks its timestamp"),
        ("comments", [{"author": "a", "text": "", "timestamp": NOW}], "comment is empty; write one"),
        ("comments", [{"author": "", "text": "b", "timestamp": NOW}], "author of a comment is empty"),
        ("comments", [{"author": "a", "text": "b", "timestamp": "now"}], "is no time"),
        ("comments", ["text"], "comment has to be a mapping"),
        ("comments", {}, "comments have to be a list"),
        ("comments", [{"author": "a", "text": "b", "timestamp": NOW}] * 1001, "at most 1000"),
        ("github_issue_number", 0, "no number from 1 on"),
        ("github_issue_number", -1, "no number from 1 on"),
        ("github_issue_number", True, "no number from 1 on"),
        ("github_issue_number", "5", "no number from 1 on"),
        ("external_key", "", "external key is empty; write one"),
        ("external_key", "x" * 201, "at most 200"),
        ("created_at", "2026-02-30T00:00:00Z", "is no time"),
        ("created_at", "2026-01-01", "is no time"),
        ("created_at", "2026-01-01T00:00:00", "is no time"),
        ("created_at", "2026-W01-1T00:00:00.000000Z", "is no time"),
        ("created_at", "9999-12-31T23:59:59Z", "is no time"),
        ("created_at", "0001-01-01T00:00:00+12:00", "is no time"),
        ("created_at", 5, "is no time"),
        ("extra", {"title": "x"}, "no name for a further field"),
        ("extra", {"": 1}, "no name for a further field"),
        ("extra", {"a": float("nan")}, "no form in JSON"),
        ("extra", {"a": object()}, "no form in JSON"),
        ("extra", {"a": "\ud800"}, "no form in JSON"),
        ("extra", [], "have to be a mapping"),
        ("id", "T-0002", "no field 'id'"),
        ("nonsense\n", "x", r"no field 'nonsense\\n'"),
    ],
)
def test_bad_values_are_refused_in_one_line(name: str, value: object, message: str) -> None:
    with pytest.raises(TicketInvalidError, match=message) as caught:
        model.clean_fields({name: value})
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("title", "  Grüße, 世界 🚀 \n", "Grüße, 世界 🚀"),
        ("title", "non\u00a0breaking", "non\u00a0breaking"),
        ("title", "'\"; $(rm -rf /) {{ lookup('pipe','id') }}", "'\"; $(rm -rf /) {{ lookup('pipe','id') }}"),
        ("description", "a\r\nb\tc\n", "a\nb\tc\n"),
        ("description", "x" * 65536, "x" * 65536),
        ("labels", ["b", "a", " b "], ("a", "b")),
        ("labels", (), ()),
        ("created_at", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
        ("created_at", "2026-01-01T01:30:00.5+01:30", "2026-01-01T00:00:00.500000Z"),
        ("created_at", "2026-01-01t00:00:00.123456789z", "2026-01-01T00:00:00.123456Z"),
    ],
)
def test_good_values_have_one_form(name: str, value: object, stored: object) -> None:
    cleaned = model.clean_fields({name: value})
    assert cleaned == {name: stored}
    assert model.clean_fields(cleaned) == cleaned


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\0" * 512, "no JSON"),
        (b"[]", "no JSON object"),
        (b"{", "no JSON"),
        (encoded() + encoded(), "no JSON"),
        (b"\xff\xfe" + encoded(), "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b" " * (values.MAX_FILE_BYTES + 1), "larger than"),
        (encoded(id="T-0002"), "holds the id 'T-0002'"),
        (encoded(schema=0), "no version number"),
        (encoded(schema=True), "no version number"),
        (encoded(schema="1"), "no version number"),
        (encoded(title=None), "title has to be text"),
        (encoded(title="a\x1bb"), "control character"),
        (encoded(status="lost"), "status 'lost'"),
        (encoded(comments=[{}]), "lacks its author"),
        (encoded(later=float("inf")), "Infinity is no JSON"),
        (encoded()[:-1] + b', "later": 1e999}', "no form in JSON"),
        (encoded()[:-1] + b', "later": "\\ud800"}', "no form in JSON"),
        (encoded()[:-1] + b', "later": ' + b"9" * 5000 + b"}", "no JSON"),
        *(
            (
                json.dumps({k: v for k, v in MINIMAL.items() if k != name}).encode(),
                f"lacks the field '{name}'",
            )
            for name in MINIMAL
        ),
    ],
)
def test_damage_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(TicketDamagedError, match=reason):
        codec.decode(data, "T-0001")


def test_a_newer_schema_is_no_damage() -> None:
    with pytest.raises(TicketNewerError, match="schema 2"):
        codec.decode(json.dumps({"schema": 2, "id": "T-0001"}).encode(), "T-0001")


def test_further_fields_are_kept_and_changed_one_by_one() -> None:
    data = encoded(
        later={"a": [1, None]},
        extra="own",
        nothing=None,
        comments=[{"author": "a", "text": "b", "timestamp": NOW, "github_id": 7}],
    )
    ticket = codec.decode(data, "T-0001")
    assert ticket.extra == {"later": {"a": [1, None]}, "extra": "own", "nothing": None}
    assert ticket.comments[0].extra == {"github_id": 7}
    changed = model.changed(
        ticket, model.clean_fields({"extra": {"later": None, "new": 1}, "title": "Other"})
    )
    assert changed.extra == {"extra": "own", "nothing": None, "new": 1}
    assert codec.decode(codec.encode(changed), "T-0001") == changed


def test_a_ticket_does_not_grow_without_end() -> None:
    comment = model.Comment("a", "x" * values.MAX_TEXT, NOW)
    ticket = model.changed(codec.decode(encoded(), "T-0001"), {"comments": (comment,) * 70})
    with pytest.raises(TicketInvalidError, match="go on in a new ticket"):
        codec.encode(ticket)


def test_time_goes_on_even_when_the_clock_does_not() -> None:
    earlier = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    assert values.next_time(earlier, NOW) == "2026-01-02T03:04:05.000007Z"
    later = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    assert values.next_time(later, NOW) == "2027-01-01T00:00:00.000000Z"
    assert values.next_time(later, "9998-12-31T23:59:59.999999Z") > "9998-12-31T23:59:59.999999Z"


@pytest.mark.parametrize(
    "text", ["\u200b", "\u00ad", "\u2800", "\u3164\u3164", "\u200f", "\ufeff", "\U000e0041"]
)
def test_what_nobody_sees_is_empty_finding_g5(text: str) -> None:
    with pytest.raises(TicketInvalidError, match="is empty"):
        values.clean_title(text)
    with pytest.raises(TicketInvalidError, match="is empty"):
        values.clean_text(text, "A comment", empty=False)
    assert values.acceptable(text, one_line=True) == ""
    assert values.clean_title(f"a{text}b") == f"a{text}b"
