"""Synchronisation: idempotent, ordered, bounded."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

JSON = {"Content-Type": "application/json"}


def event(identifier, **changes):
    return {
        "id": identifier,
        "type": "note",
        "at": "2026-01-01T00:00:00Z",
        "data": {"text": identifier},
    } | changes


@pytest.fixture
def sync(client, device):
    def call(events=(), cursor=0):
        answer = client.post("/sync", json={"cursor": cursor, "events": list(events)}, headers=device)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return call


def test_acknowledges_a_batch_and_does_not_send_it_back(sync):
    answer = sync([event("a"), event("b")])
    assert answer["acknowledged"] == ["a", "b"]
    assert answer["events"] == []
    assert answer["cursor"] > 0
    assert not answer["more"]


def test_a_batch_sent_again_changes_nothing(sync):
    first = sync([event("a")])
    again = sync([event("a", data={"text": "another"})])
    assert again == first
    assert [item["data"] for item in sync()["events"]] == [{"text": "a"}]


def test_the_same_event_twice_in_a_batch(sync):
    assert sync([event("a"), event("a")])["acknowledged"] == ["a"]
    assert len(sync()["events"]) == 1


def test_what_is_new_since_the_cursor(sync):
    cursor = sync([event("a")])["cursor"]
    sync([event("b"), event("c")], cursor)
    answer = sync([event("d")], cursor)
    assert [item["id"] for item in answer["events"]] == ["b", "c"]
    assert answer["events"][0] == event("b")
    assert sync(cursor=answer["cursor"])["events"] == []


def test_everything_arrives_in_pieces(sync):
    identifiers = [f"e{number}" for number in range(250)]
    for start in range(0, 250, 100):
        sync([event(identifier) for identifier in identifiers[start : start + 100]])
    received, cursor, more = [], 0, True
    while more:
        answer = sync(cursor=cursor)
        assert len(answer["events"]) <= 100
        received += [item["id"] for item in answer["events"]]
        cursor, more = answer["cursor"], answer["more"]
    assert received == identifiers


def test_devices_do_not_see_each_other(client, sync, registration):
    sync([event("a")])
    other = client.post("/device/register", json=registration | {"installation_id": str(uuid4())}).json()
    headers = {"Authorization": f"Bearer {other['token']}"}
    answer = client.post("/sync", json={"events": [event("a", data={})]}, headers=headers).json()
    assert answer["acknowledged"] == ["a"]
    assert answer["events"] == []


def test_parallel_batches_of_one_device(sync):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: sync([event(f"p{number}"), event("shared")]), range(16)))
    assert sorted(item["id"] for item in sync()["events"]) == sorted(
        ["shared", *(f"p{n}" for n in range(16))]
    )


def test_old_events_are_forgotten(config, serve, eventually, client, device):
    small = serve(config.model_copy(update={"max_events_per_device": 3}))
    eventually(lambda: small.get("/health").status_code == 200)
    small.post("/sync", json={"events": [event(f"e{number}") for number in range(5)]}, headers=device)
    answer = client.post("/sync", json={}, headers=device).json()
    assert [item["id"] for item in answer["events"]] == ["e2", "e3", "e4"]


@pytest.mark.parametrize(
    "data", [{}, {"é": "🚀 '; DROP", "nul": "\x00"}, {"n": 10**40, "deep": [[[{"a": None}]]]}]
)
def test_data_comes_back_as_it_went(sync, data):
    sync([event("a", data=data)])
    assert sync()["events"][0]["data"] == data


@pytest.mark.parametrize("authorization", [None, b"", b"Bearer", b"Bearer wrong", b"Basic x", b"Bearer \xff"])
def test_needs_the_device_token(client, device, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = client.post("/sync", json={}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "x" * 65},
        {"id": "a b"},
        {"id": 1},
        {"type": "two\nlines"},
        {"at": "2026-01-01T00:00:00"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": None},
        {"data": []},
        {"data": {"text": "x" * 4096}},
        {"surprise": 1},
    ],
)
def test_refuses_what_is_no_event(client, sync, device, change):
    answer = client.post("/sync", json={"events": [event("good"), event("bad") | change]}, headers=device)
    assert answer.status_code == 422
    assert sync()["events"] == []


@pytest.mark.parametrize("cursor", [-1, 2**63, "x", 1.5, None])
def test_refuses_what_is_no_cursor(client, device, cursor):
    assert client.post("/sync", json={"cursor": cursor}, headers=device).status_code == 422


def test_bounds_a_batch(client, device):
    events = [event(f"e{number}") for number in range(101)]
    assert client.post("/sync", json={"events": events}, headers=device).status_code == 422


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", 422),
        (b"{", 422),
        (b"null", 422),
        (b'{"events": [{"id": "a", "type": "t", "at": "2026-01-01T00:00:00Z", "data": {"n": NaN}}]}', 422),
        (
            b'{"events": [{"id": "a", "type": "t", "at": "2026-01-01T00:00:00Z", "data": {"n": "\\ud800"}}]}',
            422,
        ),
        (b'{"events": [{"id": "a", "type": "t", "at": "2026-01-01T00:00:00Z", "data": %s}]}', 400),
        (b" " * (512 * 1024 + 1), 413),
    ],
    ids=["empty", "half", "null", "NaN", "surrogate", "deep", "large"],
)
def test_bodies_that_are_no_use(client, device, content, expected):
    if b"%s" in content:
        content = content.replace(b"%s", b'{"a":' * 50_000 + b"1" + b"}" * 50_000)
    assert client.post("/sync", content=content, headers=device | JSON).status_code == expected


def test_nesting_that_is_deep_but_small(client, device):
    nested = b'{"a":' * 600 + b"1" + b"}" * 600
    body = b'{"events": [{"id": "a", "type": "t", "at": "2026-01-01T00:00:00Z", "data": %s}]}' % nested
    assert client.post("/sync", content=body, headers=device | JSON).status_code in (200, 422)
    assert client.post("/sync", json={}, headers=device).status_code == 200
