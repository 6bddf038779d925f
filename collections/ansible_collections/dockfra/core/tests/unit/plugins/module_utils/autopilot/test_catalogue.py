# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A catalogue is taken whole or refused with the line of what is wrong."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import catalogue, schema, windows
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.inventory import Inventory
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.windows import Window
from ansible_collections.dockfra.core.plugins.module_utils.errors import AutopilotError, CatalogueError
from ansible_collections.dockfra.core.tests.unit import piloting


def test_a_catalogue_says_what_stands_in_it(tmp_path: Path) -> None:
    found = piloting.loaded(tmp_path)
    assert list(found.actions) == ["restart", "deploy", "tell"]
    restart = found.actions["restart"]
    assert (restart.subject, restart.cooldown, restart.per_hour, restart.changes) == ("service", 120, 2, True)
    assert restart.parameters["service"].schema(piloting.INVENTORY)["enum"] == ["web", "store"]
    assert [str(each) for each in restart.precondition] == [
        "service.fault is stopped or unhealthy",
        "service.needs is working",
    ]


# What is replaced in the catalogue, by what, in which line the error is told, and what it says.
DAMAGE = {
    "no YAML": ("risk: medium", "risk: [", "that is no YAML"),
    "unknown key": ("cooldown: 120", "cooldwn: 120", "did you mean cooldown?"),
    "risk": ("risk: medium", "risk: none", "'none' is not known"),
    "kind": ("{kind: target}", "{kind: path}", "'path' is not known"),
    "service": ('"!page"', '"!pgae"', "'pgae' is neither a group"),
    "nobody left": ('[all, "!page"]', '[page, "!page"]', "nothing is left"),
    "verb": ("[request-deploy]", "[deploy-all]", "may not use deploy-all"),
    "place": ("{manager: [ticket-create]}", "{developer: [ticket-create]}", "only at the manager"),
    "fact": ("service.needs", "service.nedes", "did you mean service.needs?"),
    "foreign fact": ("service.needs", "ticket.status", "'ticket.status' is not known"),
    "word": ("[stopped, unhealthy]}", "[stoped]}", "did you mean stopped?"),
    "number as word": (
        "{fact: target.faulty, most: 0}",
        "{fact: target.faulty, is: [no]}",
        "say least or most",
    ),
    "cron": ('"0 2 * * 0"', '"0 25 * * 0"', "no cron expression"),
    "cron of six": ('"0 2 * * 0"', '"0 0 2 * * 0"', "five fields"),
    "range": ("per_hour: 2", "per_hour: 0", "no whole number from 1 to 100"),
    "twice": ("    cooldown: 120\n", "    cooldown: 120\n    cooldown: 5\n", "stands there twice"),
    "alias": ("    cooldown: 120\n", "    cooldown: &a 120\n", "anchors"),
    "tag": ("    cooldown: 120\n", "    cooldown: !!python/object:os.x 120\n", "no whole number"),
    "name": ("  deploy:\n", "  De ploy:\n", "no name of a action"),
    "placeholder": ("title: $service is $fault", "title: $service is $broken", "nothing is called $broken"),
    "attribute": ("title: $service is $fault}", "title: '${service.x}'}", "a $ stands before a name"),
    "missing parameter": ("with: {service: $service}", "with: {target: web}", "these are to be service"),
    "undo": ("    per_hour: 2\n", "    per_hour: 2\n    undo: deploy\n", "needs commit, target"),
    "undo unknown": ("    per_hour: 2\n", "    per_hour: 2\n    undo: redo\n", "no action 'redo'"),
    "window": ("    per_hour: 2\n", "    per_hour: 2\n    windows: [monday]\n", "'monday' is not known"),
    "free text": ("{kind: line, most: 80}", "{kind: line, most: 99999}", "no whole number from 1 to 4000"),
    "no subject": ("      target: {kind: target}\n", "", "nobody knows what it is about"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_catalogue_is_refused_with_file_and_line(tmp_path: Path, damage: str) -> None:
    before, after, message = DAMAGE[damage]
    assert before in piloting.CATALOGUE
    text = piloting.CATALOGUE.replace(before, after, 1)
    with pytest.raises(CatalogueError) as caught:
        piloting.loaded(tmp_path, text)
    assert message in str(caught.value)
    found = re.match(rf"{re.escape(str(tmp_path / catalogue.NAME))}:(\d+): ", str(caught.value))
    assert found, str(caught.value)
    right = piloting.CATALOGUE.count("\n", 0, piloting.CATALOGUE.index(before)) + 1
    assert abs(int(found[1]) - right) <= 4, str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["precondition", "probe"])
def test_what_changes_something_says_when_and_how_it_is_proved(tmp_path: Path, missing: str) -> None:
    text = re.sub(rf"    {missing}:\n(      - .*\n)+", "", piloting.CATALOGUE, count=1)
    with pytest.raises(CatalogueError, match=rf":7: actions.restart.{missing}: is missing"):
        piloting.loaded(tmp_path, text)


def test_an_action_without_its_playbook_is_refused_in_its_line(tmp_path: Path) -> None:
    piloting.written(tmp_path)
    (tmp_path / "deploy.yml").unlink()
    with pytest.raises(
        CatalogueError, match=r"catalogue.yml:24: actions.deploy: its playbook .*deploy.yml cannot be read"
    ):
        catalogue.read(tmp_path, piloting.INVENTORY, piloting.POLICY)
    (tmp_path / "deploy.yml").symlink_to("/etc/hostname")
    with pytest.raises(CatalogueError, match="cannot be read"):
        catalogue.read(tmp_path, piloting.INVENTORY, piloting.POLICY)


@pytest.mark.parametrize("data", [b"", b"\xff", b"a: " + b"x" * 200_000, b"[" * 50])
def test_what_is_no_catalogue_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / catalogue.NAME).write_bytes(data)
    with pytest.raises(CatalogueError, match=r"catalogue.yml:\d+: "):
        catalogue.read(tmp_path, piloting.INVENTORY, piloting.POLICY)


def test_an_action_is_added_by_an_entry_and_a_playbook(tmp_path: Path) -> None:
    entry = """\
  warm-up:
    title: Warm a service up
    risk: medium
    verbs: {monitor: [request-restart]}
    parameters: {service: {kind: service, among: [front]}}
    precondition: [{fact: service.fault, is: [none]}]
    probe: [{fact: service.fault, is: [none]}]
"""
    piloting.written(tmp_path, piloting.CATALOGUE + entry, "restart", "deploy", "tell", "warm-up")
    found = catalogue.read(tmp_path, piloting.INVENTORY, piloting.POLICY)
    one = {"action": "warm-up", "parameters": {"service": "page"}, "evidence": [], "reason": ""}
    whole = Draft202012Validator(schema.plan_schema(found, piloting.INVENTORY))
    assert whole.is_valid({"proposals": [one]})
    assert not whole.is_valid({"proposals": [{**one, "parameters": {"service": "store"}}]})


def test_the_schema_is_one(tmp_path: Path) -> None:
    whole = schema.plan_schema(piloting.loaded(tmp_path), piloting.INVENTORY)
    Draft202012Validator.check_schema(whole)
    for each in whole["properties"]["proposals"]["items"]["anyOf"]:
        assert each["additionalProperties"] is False
        assert each["properties"]["parameters"]["additionalProperties"] is False


def test_an_approval_holds_for_one_version_of_a_playbook_only(tmp_path: Path) -> None:
    before = piloting.loaded(tmp_path).actions["restart"].digest
    assert piloting.loaded(tmp_path).actions["restart"].digest == before
    (tmp_path / "restart.yml").write_text(piloting.PLAYBOOK + "# other\n")
    found = catalogue.read(tmp_path, piloting.INVENTORY, piloting.POLICY)
    assert found.actions["restart"].digest != before


def test_needs_that_run_in_a_circle_or_to_nobody_are_refused() -> None:
    hosts = {name: {"dockfra_networks": ["n"], "dockfra_needs": [other]} for name, other in ("ab", "ba")}
    with pytest.raises(AutopilotError, match=r"circle: (a → b → a|b → a → b)"):
        Inventory.from_variables({}, hosts)
    hosts["b"]["dockfra_needs"] = ["nobody"]
    with pytest.raises(AutopilotError, match="dockfra_needs names 'nobody'"):
        Inventory.from_variables({}, hosts)


def test_an_inventory_comes_back_as_it_went() -> None:
    assert Inventory.from_dict(piloting.INVENTORY.to_dict()) == piloting.INVENTORY
    with pytest.raises(AutopilotError, match=r"run site\.yml again"):
        Inventory.from_dict({"groups": []})


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("2027-01-17T01:59:59+00:00", False),
        ("2027-01-17T02:00:00+00:00", True),
        ("2027-01-17T02:59:59+00:00", True),
        ("2027-01-17T03:00:00+00:00", False),
        ("2027-01-18T02:30:00+00:00", False),
    ],
)
def test_a_window_is_open_from_its_beginning_to_its_end(text: str, is_open: bool) -> None:
    assert Window("0 2 * * 0", 60).open_at(datetime.datetime.fromisoformat(text).timestamp()) is is_open


@pytest.mark.parametrize("text", ["", "* * * *", "61 * * * *", "0 0 31 2 *", "@daily", "x x x x x"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(AutopilotError):
        windows.check(text)
