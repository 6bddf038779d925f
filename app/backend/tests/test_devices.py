"""Devices: the backend's own and the mobile ones, whatever the mobile backend is like."""

import pytest
from backend.dependencies import device_token

EDGE = {"kind": "edge", "architecture": "aarch64", "address": "rpi3", "version": "1.0.0"}


def test_the_first_report_adds_a_device_and_the_next_updates_it(writer):
    first = writer.put("/api/devices/rpi3", json=EDGE)
    again = writer.put("/api/devices/rpi3", json=EDGE | {"version": "1.1.0", "address": None})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert [(device["name"], device["version"]) for device in writer.get("/api/devices").json()] == [
        ("rpi3", "1.1.0")
    ]


def test_a_device_tells_how_it_is(writer):
    told = {"release": "20261125T131500Z-0123456789ab", "uptime": 90, "disk_used": 7, "temperature": 48.5}
    assert writer.put("/api/devices/rpi3", json=EDGE | told).status_code == 201
    [found] = writer.get("/api/devices").json()
    assert {name: found[name] for name in told} == told
    # What it does not say is not known; what it said before is no answer to that.
    writer.put("/api/devices/rpi3", json=EDGE)
    [found] = writer.get("/api/devices").json()
    assert [found[name] for name in told] == ["", None, None, None]


def test_a_devices_own_token_reports_that_device_and_does_nothing_else(client, config):
    own = device_token(config.api_token, "rpi3").get_secret_value()
    client.headers["Authorization"] = f"Bearer {own}"
    assert client.put("/api/devices/rpi3", json=EDGE).status_code == 201
    assert client.put("/api/devices/rpi4", json=EDGE).status_code == 401
    assert client.post("/api/devices", json=EDGE | {"name": "rpi3"}).status_code == 401
    assert client.post("/api/deployments", json={}).status_code == 401
    client.headers["Authorization"] = f"Bearer {own.upper()}"
    assert client.put("/api/devices/rpi3", json=EDGE).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"uptime": -1},
        {"disk_used": 101},
        {"temperature": 1e9},
        {"temperature": "hot"},
        {"release": "../etc"},
        {"uptime": 1e30},
    ],
)
def test_refuses_what_no_device_can_be_like(writer, change):
    assert writer.put("/api/devices/rpi3", json=EDGE | change).status_code == 422


def test_a_name_is_added_only_once(writer):
    assert writer.post("/api/devices", json=EDGE | {"name": "rpi3"}).status_code == 201
    answer = writer.post("/api/devices", json=EDGE | {"name": "rpi3", "version": "2"})
    assert answer.status_code == 409
    assert "rpi3" in answer.json()["detail"]
    assert writer.get("/api/devices").json()[0]["version"] == "1.0.0"


@pytest.mark.parametrize("change", [{"kind": "tank"}, {"architecture": ""}, {"address": "a b"}, {"id": 1}])
def test_refuses_what_is_no_device(writer, change):
    assert writer.put("/api/devices/rpi3", json=EDGE | change).status_code == 422


@pytest.mark.parametrize("name", ["a b", "-x", "x" * 64, "ü", "a'b"])
def test_refuses_what_is_no_name(writer, name):
    assert writer.put(f"/api/devices/{name}", json=EDGE).status_code == 422


@pytest.fixture
def mobile(database):
    """Runs statements of the mobile backend's owner."""

    def run(*statements):
        with database.inside() as connection:
            for statement in statements:
                connection.execute(statement)

    run("CREATE SCHEMA mobile")
    return run


TABLE = """
    CREATE TABLE mobile.devices
        (id uuid, name text, architecture text, version text, last_seen timestamptz, token_hash bytea);
    INSERT INTO mobile.devices VALUES
        ('1b671a64-40d5-491e-99b0-da01ff1f3341', 'Ann''s phone', 'arm64', '2.0', '2100-01-01Z', 'secret')
"""


def test_lists_mobile_devices_beside_its_own(writer, database, mobile):
    mobile(TABLE, f'GRANT USAGE ON SCHEMA mobile TO "{database.name}"')
    mobile(f'GRANT SELECT ON mobile.devices TO "{database.name}"')
    writer.put("/api/devices/rpi3", json=EDGE)
    answer = writer.get("/api/devices")
    assert [(device["name"], device["kind"]) for device in answer.json()] == [
        ("Ann's phone", "mobile"),
        ("rpi3", "edge"),
    ]
    assert "secret" not in answer.text
    assert len(writer.get("/api/devices?limit=1").json()) == 1


def test_does_without_mobile_devices(writer, database, mobile):
    def names():
        return [device["name"] for device in writer.get("/api/devices").json()]

    writer.put("/api/devices/rpi3", json=EDGE)
    assert names() == ["rpi3"]  # no such table
    mobile(TABLE)
    assert names() == ["rpi3"]  # not permitted
    mobile(f'GRANT USAGE ON SCHEMA mobile TO "{database.name}"')
    mobile(f'GRANT SELECT ON mobile.devices TO "{database.name}"', "ALTER TABLE mobile.devices DROP version")
    assert names() == ["rpi3"]  # another shape
    mobile("DROP SCHEMA mobile CASCADE")
    assert names() == ["rpi3"]
