"""Registration: once for each installation, and nothing in the database speaks for a device."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest


def register(client, registration):
    return client.post("/device/register", json=registration)


def bearer(answer):
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_registering_again_keeps_the_device_and_replaces_the_token(client, database, registration):
    first = register(client, registration)
    again = register(client, registration | {"version": "1.1.0"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert client.post("/sync", json={}, headers=bearer(first)).status_code == 401
    assert client.post("/sync", json={}, headers=bearer(again)).status_code == 200
    version = "SELECT version FROM mobile.devices WHERE id = %s"
    assert database.run(version, first.json()["id"]) == [("1.1.0",)]


def test_the_same_installation_many_times_at_once(client, registration):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: register(client, registration), range(16)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.status_code for answer in answers].count(201) == 1
    valid = [client.post("/sync", json={}, headers=bearer(answer)).status_code for answer in answers]
    assert valid.count(200) == 1


def test_stores_neither_token_nor_installation_id(client, database, registration):
    answer = register(client, registration).json()
    [(row, token_hash)] = database.run(
        "SELECT devices::text, token_hash FROM mobile.devices WHERE id = %s", answer["id"]
    )
    assert answer["token"] not in row
    assert registration["installation_id"] not in row
    assert token_hash == hashlib.sha256(answer["token"].encode()).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"installation_id": "1"},
        {"installation_id": "00000000-0000-0000-0000-000000000000"},
        {"installation_id": None},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "two\nlines"},
        {"name": "nul\x00"},
        {"platform": "toaster"},
        {"version": "1 OR 1=1"},
        {"architecture": "'; DROP TABLE mobile.devices; --"},
        {"token": "mine"},
    ],
)
def test_refuses_what_is_no_registration(client, registration, change):
    answer = register(client, registration | change)
    assert answer.status_code == 422
    assert registration["installation_id"] not in answer.text


def test_keeps_a_name_as_it_is(client, database, registration):
    name = "Robert'); DROP TABLE devices;-- %s é🚀"
    identifier = register(client, registration | {"name": name}).json()["id"]
    assert database.run("SELECT name FROM mobile.devices WHERE id = %s", identifier) == [(name,)]


def test_ends_at_the_limit_but_lets_known_devices_in(
    config, database, serve, eventually, client, registration
):
    [(count,)] = database.run("SELECT count(*) FROM mobile.devices")
    limited = serve(config.model_copy(update={"max_devices": count + 1}))
    eventually(lambda: limited.get("/health").status_code == 200)
    assert register(limited, registration).status_code == 201
    assert register(limited, registration | {"installation_id": str(uuid4())}).status_code == 503
    assert register(limited, registration).status_code == 200
