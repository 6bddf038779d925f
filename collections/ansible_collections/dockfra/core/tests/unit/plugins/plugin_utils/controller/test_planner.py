# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is to be done on a Docker host, for every way in which it can differ."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.containers import host
from ansible_collections.dockfra.core.plugins.module_utils.errors import TopologyError
from ansible_collections.dockfra.core.plugins.module_utils.files import tree as file_tree
from ansible_collections.dockfra.core.plugins.module_utils.releases.record import Record
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring, new_ssh_key
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import planner
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Desired, Platform
from ansible_collections.dockfra.core.tests.unit import fake_engine
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine
from ansible_collections.dockfra.core.tests.unit.support import WEB_ROLE, Project, is_root, three_services


class Site:
    """A project and the Docker host it runs on."""

    def __init__(self, project: Project, engine: FakeEngine) -> None:
        self.project = project
        self.engine = engine

    def desired(self) -> tuple[Platform, dict[str, Desired]]:
        platform = self.project.platform()
        return platform, {name: platform.desired(name) for name in platform.topology.services}

    def plan(self, *names: str, force: bool = False) -> planner.HostPlan:
        """The plan for some services, all by default."""
        platform, desired = self.desired()
        chosen = {name: entry for name, entry in desired.items() if not names or name in names}
        state = host.read(**planner.query(platform, chosen, "localhost"), timeout=10)
        return planner.compare(platform, chosen, "localhost", state, len(chosen) < len(desired), force)

    def apply(self) -> None:
        """Bring the Docker host to the desired state."""
        platform, desired = self.desired()
        for name, settings in platform.networks("localhost").items():
            self.engine.networks[name] = fake_engine.network(
                name, "unit", settings["internal"], settings["ipv6"], *settings["subnets"]
            )
        for entry in desired.values():
            file_tree.apply(entry.directory, entry.files, entry.service.uid, 0o500)
            for image in entry.images:
                self.engine.images[image.reference] = fake_engine.image(image.reference)
            for volume in platform.topology.volumes(entry.service.name):
                self.engine.volumes[platform.topology.volume_name(volume.name)] = {"dockfra.project": "unit"}
            self.engine.apply(entry.container)


@pytest.fixture
def site(project: Project, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A platform of three services that is as declared."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    services = three_services()
    services["web"]["dockfra_ports"][0]["publish"] = port
    project.inventory(services)
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    site = Site(project, engine)
    site.apply()
    return site


def actions(plan: planner.HostPlan) -> dict[str, str]:
    return {service.name: service.action for service in plan.services}


def reasons(plan: planner.HostPlan) -> dict[str, list[str]]:
    return {service.name: service.reasons for service in plan.services}


pytestmark = is_root  # files get the services' owners


# Nothing to do, everything to do -------------------------------------------------------------------------------------


def test_a_platform_as_declared_needs_nothing(site: Site) -> None:
    plan = site.plan()
    assert not plan.work
    assert not plan.needs_base_image
    assert (plan.services, plan.networks, plan.volumes, plan.orphans) == ([], [], [], [])
    assert plan.total == 3
    planner.check_settled(plan)


def test_a_full_verification_looks_at_each_service(site: Site) -> None:
    assert actions(site.plan(force=True)) == dict.fromkeys(("store", "web", "cache"), "verify")


def test_on_an_empty_host_all_is_made(site: Site) -> None:
    for found in (site.engine.containers, site.engine.networks, site.engine.volumes, site.engine.images):
        found.clear()
    plan = site.plan()
    assert actions(plan) == dict.fromkeys(("store", "web", "cache"), "create")
    assert reasons(plan)["web"] == ["no container"]
    assert [(network["name"], network["exists"]) for network in plan.networks] == [
        ("unit-back", False),
        ("unit-front", False),
    ]
    assert plan.volumes == ["unit-store-data"]
    assert plan.work
    assert plan.needs_base_image
    assert {service.name: service.role for service in plan.services} == {
        "store": "store",
        "web": "web",
        "cache": "dockfra.core.service",
    }
    with pytest.raises(TopologyError) as caught:
        planner.check_settled(plan)
    assert any(problem.startswith("web") for problem in caught.value.problems)


def test_without_an_engine_all_is_to_be_made_and_the_reason_is_told(site: Site) -> None:
    site.engine.refuse = {"/": 500}
    plan = site.plan()
    assert plan.engine_error.startswith("The Docker Engine does not answer")
    assert actions(plan) == dict.fromkeys(("store", "web", "cache"), "create")
    with pytest.raises(TopologyError, match="does not answer"):
        planner.check_settled(plan)


# Images --------------------------------------------------------------------------------------------------------------


def test_an_image_that_several_stand_on_is_built_once(site: Site) -> None:
    site.engine.containers.clear()
    site.engine.images.clear()
    plan = site.plan()
    built = [
        (service.name, image["level"], image["repository"])
        for service in plan.services
        for image in service.build
    ]
    assert built == [("store", 0, "dockfra/base"), ("store", 1, "dockfra/store"), ("web", 1, "dockfra/web")]
    assert {service.levels for service in plan.services} == {2}
    base = next(service for service in plan.services if service.name == "store").build[0]
    assert base["arguments"] == {"BASE": "debian:trixie-slim"}
    web = next(service for service in plan.services if service.name == "web").build[0]
    assert web["arguments"] == {
        "BASE": f"dockfra/base:{base['tag']}",
        "SERVICE_USER": "somebody",
        "SERVICE_UID": "10002",
    }


def test_a_changed_context_builds_and_recreates_that_service_only(site: Site) -> None:
    site.project.write(
        {"roles/web/files/image/Dockerfile": WEB_ROLE["files/image/Dockerfile"] + "RUN true\n"}
    )
    plan = site.plan()
    assert actions(plan) == {"web": "recreate"}
    assert reasons(plan) == {"web": ["image dockfra/web to build"]}
    (service,) = plan.services
    assert [(image["level"], image["repository"]) for image in service.build] == [(1, "dockfra/web")]
    assert not plan.needs_base_image  # its parent is there


def test_a_removed_parent_is_built_only_when_something_is_to_stand_on_it(site: Site) -> None:
    base = next(name for name in site.engine.images if name.startswith("dockfra/base"))
    web = next(name for name in site.engine.images if name.startswith("dockfra/web"))
    del site.engine.images[base]
    assert not site.plan().work
    del site.engine.images[web]
    plan = site.plan()
    assert [image["level"] for image in plan.services[0].build] == [0, 1]
    assert plan.needs_base_image


# One container at a time ---------------------------------------------------------------------------------------------


def _alter(change: Callable[[dict[str, Any]], object]) -> Callable[[Site], object]:
    return lambda site: change(site.engine.containers["unit-web"])


@pytest.mark.parametrize(
    ("change", "action", "reason"),
    [
        (lambda site: site.engine.containers.pop("unit-web"), "create", "no container"),
        (_alter(lambda c: c["State"].update(Status="exited")), "start", "exited"),
        (_alter(lambda c: c["State"].update(Status="created")), "start", "created"),
        (_alter(lambda c: c["State"].update(Status="paused")), "start", "paused"),
        (_alter(lambda c: c["State"].update(Health={"Status": "unhealthy"})), "start", "unhealthy"),
        (_alter(lambda c: c.update(Image="sha256:other")), "recreate", "image differs"),
        (_alter(lambda c: c["Config"]["Env"].append("A=b")), "recreate", "env differs"),
        (_alter(lambda c: c["HostConfig"].update(Memory=1)), "recreate", "memory differs"),
        (_alter(lambda c: c["NetworkSettings"]["Networks"].pop("unit-back")), "recreate", "networks differs"),
        (
            _alter(lambda c: c["Config"]["Labels"].update({"dockfra.revision": "old"})),
            "recreate",
            "declared settings changed",
        ),
    ],
)
def test_a_container_altered_by_hand_is_the_only_one_repaired(
    site: Site, change: Callable[[Site], object], action: str, reason: str
) -> None:
    change(site)
    plan = site.plan()
    assert actions(plan) == {"web": action}
    assert reasons(plan) == {"web": [reason]}
    assert plan.work
    site.apply()
    assert not site.plan().work


def test_a_container_that_is_starting_is_waited_for_and_let_be_finding_p5(site: Site) -> None:
    health = site.engine.containers["unit-web"]["State"]["Health"]
    health["Status"] = "starting"
    plan = site.plan()
    assert (actions(plan), plan.work) == ({"web": "wait"}, False)
    with pytest.raises(TopologyError, match=r"^web is still starting"):
        planner.check_settled(plan)
    assert actions(site.plan(force=True)) == dict.fromkeys(three_services(), "verify")
    health["Status"] = "healthy"
    assert actions(site.plan()) == {}


def test_a_network_is_not_made_anew_under_somebody_elses_container_finding_p1(site: Site) -> None:
    network = site.engine.networks["unit-back"]
    stranger = dict(site.engine.containers["unit-web"], Name="/stranger", Id="5" * 64)
    stranger["Config"] = {**stranger["Config"], "Labels": {}}
    site.engine.add(stranger)
    assert not site.plan().work
    network["Internal"] = not network["Internal"]
    with pytest.raises(
        TopologyError, match=r"unit-back has to be made anew, but the container stranger, .*disconnect"
    ):
        site.plan()
    site.engine.containers.pop("stranger")
    assert [found["name"] for found in site.plan().networks] == ["unit-back"]


OWNER = {"id": "mine", "checkout": "/srv/mine", "who": "me", "since": "2026-01-01 12:00:00"}


def test_a_platform_belongs_to_the_checkout_that_brought_it_up_finding_p7(site: Site) -> None:
    platform, desired = site.desired()
    query = planner.query(platform, desired, "localhost")
    path = Path(query["owner_file"])

    def plan(identity: str) -> planner.HostPlan:
        state = host.read(**query, timeout=10)
        return planner.compare(
            platform, desired, "localhost", state, checkout={**OWNER, "id": identity, "checkout": "/srv/new"}
        )

    # Of a time before owners were written down: the first one who comes.
    assert plan("mine").owner["id"] == "mine"
    assert plan("mine").work
    path.write_text(json.dumps(OWNER))
    assert plan("mine").owner == {}
    assert not plan("mine").work

    with pytest.raises(TopologyError) as caught:
        plan("other")
    for words in ("'unit' on localhost", "/srv/mine", "me", "2026-01-01 12:00:00", "dockfra_takeover=true"):
        assert words in str(caught.value)
    platform.settings["dockfra_takeover"] = True
    assert plan("other").owner["id"] == "other"
    platform.settings["dockfra_takeover"] = False

    # Volumes alone lock nobody out.
    site.engine.containers.clear()
    assert plan("other").owner["id"] == "other"
    path.write_text("rubbish")
    assert plan("other").owner["id"] == "other"


def test_before_and_after_are_told_for_what_differs(site: Site) -> None:
    site.engine.containers["unit-web"]["HostConfig"]["Memory"] = 1
    (service,) = site.plan().services
    assert (service.before, service.after) == ({"memory": 1}, {"memory": 128 * 2**20})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.unlink(), "web.conf created"),
        (lambda path: (path.chmod(0o600), path.write_text("x"), path.chmod(0o400)), "web.conf updated"),
        (lambda path: path.chmod(0o444), "web.conf updated"),
        (lambda path: (path.parent.chmod(0o700), (path.parent / "extra").touch()), "extra removed"),
    ],
)
def test_a_configuration_altered_by_hand_is_put_right(
    site: Site, change: Callable[[Any], object], reason: str
) -> None:
    change(site.project.data / "unit/services/web/web.conf")
    assert reasons(site.plan()) == {"web": [reason]}


def test_a_changed_template_names_the_file(site: Site) -> None:
    site.project.write({"roles/web/templates/etc/web.conf.j2": "changed\n"})
    assert reasons(site.plan()) == {"web": ["web.conf updated"]}
    assert actions(site.plan()) == {"web": "recreate"}


def test_a_secret_that_is_changed_while_services_run_is_told_apart(site: Site) -> None:
    key = "{% for line in query('dockfra.core.ssh_key', 'keys/me', part='admitted') %}\nmay {{ line }}\n{% endfor %}\n"
    site.project.write({"roles/web/templates/etc/keys.j2": key})
    site.apply()
    assert actions(site.plan()) == {}
    change = Keyring(site.project.state).change("keys/me")
    label = site.engine.containers["unit-web"]["Config"]["Labels"]["dockfra.config"]
    for step in (lambda: change.add(lambda _text: new_ssh_key()), change.switch, change.retire):
        step()
        (service,) = site.plan().services
        assert (service.name, service.reasons, service.only_secrets) == ("web", ["keys updated"], True)
        site.apply()
        assert actions(site.plan()) == {}
        assert site.engine.containers["unit-web"]["Config"]["Labels"]["dockfra.config"] == label
    # What else differs is no secret alone: another file, another line, other settings.
    for other in (
        {"roles/web/templates/etc/web.conf.j2": "changed\n"},
        {"roles/web/templates/etc/keys.j2": f"{key}more\n"},
    ):
        change.add(lambda _text: new_ssh_key())
        site.project.write(other)
        (service,) = site.plan().services
        assert not service.only_secrets
        site.apply()
        change.switch()
        change.retire()
        site.apply()
    site.engine.containers["unit-web"]["HostConfig"]["Memory"] = 1
    assert [service.only_secrets for service in site.plan().services] == [False]


def test_a_host_key_is_put_in_place_without_a_start_by_a_rotation_alone(site: Site) -> None:
    key = "{{ lookup('dockfra.core.ssh_key', 'host_keys/web') | trim }}\n"
    site.project.write({"roles/web/templates/etc/host_key.j2": key})
    site.apply()
    change = Keyring(site.project.state).change("host_keys/web")
    change.add(lambda _text: new_ssh_key())
    assert actions(site.plan()) == {}
    change.switch()
    (service,) = site.plan().services
    assert (service.reasons, service.only_secrets) == (["host_key updated"], True)
    site.apply()
    change.retire()
    assert actions(site.plan()) == {}
    # One that is made anew because its file is gone, its server reads when it is started.
    (site.project.state / "host_keys/web/ssh_host_ed25519_key").unlink()
    (service,) = site.plan().services
    assert (service.reasons, service.only_secrets) == (["host_key updated"], False)


def test_a_ready_made_image_that_is_gone_is_no_image_to_build(site: Site) -> None:
    del site.engine.images["cache:1"]
    (service,) = site.plan().services
    assert (service.name, service.action, service.reasons, service.build) == (
        "cache",
        "recreate",
        ["image differs"],
        [],
    )


# One service after the other -----------------------------------------------------------------------------------------


@pytest.fixture
def serial(site: Site) -> Site:
    """A platform that is upgraded one service after the other, on which all containers differ."""
    path = site.project.root / "hosts.yml"
    inventory = yaml.safe_load(path.read_text())
    inventory["all"]["vars"]["dockfra_upgrade"] = "serial"
    inventory["all"]["hosts"]["store"]["dockfra_needs"] = ["cache"]
    path.write_text(yaml.safe_dump(inventory))
    for container in site.engine.containers.values():
        container["HostConfig"]["Memory"] = 1
    return site


def turns(plan: planner.HostPlan) -> dict[str, tuple[int, bool]]:
    return {service.name: (service.turn, service.alone) for service in plan.services}


def test_what_serves_is_replaced_alone_behind_what_it_needs(serial: Site) -> None:
    plan = serial.plan()
    assert turns(plan) == {"store": (1, True), "web": (2, True), "cache": (0, True)}
    assert {service.name: service.needs for service in plan.services}["store"] == ["cache"]
    # The same of some services only.
    assert turns(serial.plan("web")) == {"web": (2, True)}


def test_what_does_not_serve_waits_for_no_turn(serial: Site) -> None:
    serial.engine.containers["unit-store"]["State"]["Health"]["Status"] = "unhealthy"
    serial.engine.containers["unit-web"]["State"] = {"Status": "exited"}
    del serial.engine.containers["unit-cache"]
    assert {name: alone for name, (_turn, alone) in turns(serial.plan()).items()} == dict.fromkeys(
        ("store", "web", "cache"), False
    )


def test_one_that_is_starting_or_verified_has_its_turn(serial: Site) -> None:
    serial.engine.containers["unit-web"]["State"]["Health"]["Status"] = "starting"
    assert turns(serial.plan())["web"] == (2, True)
    serial.apply()
    assert turns(serial.plan()) == {}
    assert turns(serial.plan(force=True))["web"] == (2, True)
    # Only waited for, with the others.
    serial.engine.containers["unit-web"]["State"]["Health"]["Status"] = "starting"
    assert turns(serial.plan()) == {"web": (2, False)}


def test_whom_a_network_that_is_made_anew_cuts_off_waits_for_no_turn(serial: Site) -> None:
    serial.engine.networks["unit-front"]["Internal"] = True
    assert turns(serial.plan()) == {"store": (1, True), "web": (2, False), "cache": (0, True)}


# Networks, volumes, orphans ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"Internal": True},
        {"EnableIPv6": False},
        {"IPAM": {"Config": [{"Subnet": "172.30.0.0/16"}]}},
        {"IPAM": {"Config": None}},
    ],
)
def test_a_changed_network_is_made_anew_with_those_on_it(site: Site, change: dict[str, Any]) -> None:
    site.engine.networks["unit-front"].update(change)
    plan = site.plan()
    assert [(network["name"], network["exists"]) for network in plan.networks] == [("unit-front", True)]
    assert actions(plan) == {"web": "recreate"}
    assert reasons(plan) == {"web": ["network unit-front made anew"]}


def test_a_subnet_of_dockers_choice_is_no_change(site: Site) -> None:
    site.engine.networks["unit-back"]["IPAM"] = {"Config": [{"Subnet": "192.168.99.0/24"}]}
    assert not site.plan().work


def test_a_lost_volume_is_work(site: Site) -> None:
    site.engine.volumes.clear()
    plan = site.plan()
    assert plan.volumes == ["unit-store-data"]
    assert plan.work


def test_a_container_that_the_inventory_no_longer_has_is_an_orphan(site: Site) -> None:
    services = three_services()
    services["web"]["dockfra_ports"] = []
    del services["cache"]
    site.project.inventory(services, network_options={})
    assert site.plan().orphans == ["unit-cache"]


def test_a_renamed_container_is_an_orphan_and_made_anew(site: Site) -> None:
    details = site.engine.containers.pop("unit-web")
    site.engine.add({**details, "Name": "/unit-old"})
    plan = site.plan()
    assert plan.orphans == ["unit-old"]
    assert actions(plan) == {"web": "create"}


def test_containers_of_others_are_no_orphans(site: Site) -> None:
    details = site.engine.containers["unit-web"]
    other = {
        **details,
        "Id": "0" * 64,
        "Name": "/other",
        "HostConfig": {**details["HostConfig"], "PortBindings": None},
    }
    for labels in ({}, {"dockfra.project": "another"}):
        site.engine.add({**other, "Config": {**details["Config"], "Labels": labels}})
        assert not site.plan().work


def test_with_a_limit_the_others_are_no_orphans_and_not_looked_at(site: Site) -> None:
    site.engine.containers.pop("unit-cache")
    site.engine.containers["unit-web"]["State"]["Status"] = "exited"
    plan = site.plan("web")
    assert actions(plan) == {"web": "start"}
    assert (plan.orphans, plan.total) == ([], 1)


def test_a_container_with_a_services_name_that_is_not_ours_is_left_alone(site: Site) -> None:
    site.engine.containers["unit-web"]["Config"]["Labels"] = {}
    with pytest.raises(TopologyError) as caught:
        site.plan()
    assert caught.value.problems == [
        "The container unit-web on localhost was not made by this platform. "
        "Rename or remove it, or choose another dockfra_project."
    ]


# Ports ---------------------------------------------------------------------------------------------------------------


def test_a_taken_port_says_who_and_which_variable(site: Site) -> None:
    _platform, desired = site.desired()
    site.engine.containers.pop("unit-web")
    port = desired["web"].service.ports[0].publish
    with socket.create_server(("127.0.0.1", port)), pytest.raises(TopologyError) as caught:
        site.plan()
    (problem,) = caught.value.problems
    assert problem.startswith(f"web: port {port} of the host is already used by ")
    assert problem.endswith(
        ". Stop that, or change `publish` of 'http' in web's dockfra_ports (or dockfra_port_offset for all)."
    )
    assert "pid" in problem


def test_a_port_taken_by_another_container_names_it(site: Site) -> None:
    _platform, desired = site.desired()
    details = site.engine.containers.pop("unit-web")
    site.engine.add({**details, "Name": "/other-web", "Config": {**details["Config"], "Labels": {}}})
    with (
        socket.create_server(("127.0.0.1", desired["web"].service.ports[0].publish)),
        pytest.raises(TopologyError, match="is already used by container other-web"),
    ):
        site.plan()


def test_a_port_of_our_own_container_is_not_taken(site: Site) -> None:
    _platform, desired = site.desired()
    with socket.create_server(("127.0.0.1", desired["web"].service.ports[0].publish)):
        assert not site.plan().work
        # Also while it moves from one service to another.
        services = three_services()
        services["cache"]["dockfra_ports"] = [
            {"name": "http", "port": 80, "publish": desired["web"].service.ports[0].publish}
        ]
        services["web"]["dockfra_ports"] = []
        site.project.inventory(services)
        assert set(actions(site.plan())) == {"web", "cache"}


def test_all_that_is_in_the_way_is_told_at_once(site: Site) -> None:
    _platform, desired = site.desired()
    site.engine.containers["unit-store"]["Config"]["Labels"] = {}
    site.engine.containers.pop("unit-web")
    with (
        socket.create_server(("127.0.0.1", desired["web"].service.ports[0].publish)),
        pytest.raises(TopologyError) as caught,
    ):
        site.plan()
    assert len(caught.value.problems) == 2


# The Docker socket ---------------------------------------------------------------------------------------------------


def with_socket(site: Site, monkeypatch: pytest.MonkeyPatch, group: int | None, *groups: str) -> None:
    """Let web have the Docker socket, which has this group on the Docker host."""
    services = three_services()
    services["web"]["dockfra_ports"][0].pop("publish", None)
    services["web"] |= {
        "dockfra_docker_socket": True,
        "dockfra_binds": [{"source": "/var/run/docker.sock", "path": "/run/docker.sock"}],
        "dockfra_groups": list(groups),
    }
    site.project.inventory(services)
    known = {} if group is None else {"/var/run/docker.sock": group}
    monkeypatch.setattr(host, "_groups", lambda paths: {path: known[path] for path in paths if path in known})


def test_who_has_the_docker_socket_gets_the_group_that_it_has_on_the_host(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_socket(site, monkeypatch, 105, "44")
    [plan] = site.plan("web").services
    assert plan.container["groups"] == ["44", "105"]
    site.engine.apply(plan.container)
    assert site.plan("web").services == []
    # On another host, or after the group was made anew, it is another one.
    with_socket(site, monkeypatch, 996, "44")
    [plan] = site.plan("web").services
    assert (plan.action, plan.reasons, plan.after["groups"]) == (
        "recreate",
        ["groups differs"],
        ["44", "996"],
    )
    assert [entry for entry in site.plan("store", "cache").services if entry.container.get("groups")] == []


def test_a_socket_of_roots_group_is_told_and_not_given(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with_socket(site, monkeypatch, 0)
    with pytest.raises(
        TopologyError, match=r"web: /var/run/docker\.sock on localhost belongs to root's group"
    ):
        site.plan()


def test_a_socket_that_is_not_there_yet_gives_no_group(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with_socket(site, monkeypatch, None)
    assert "groups" not in site.plan("web").services[0].container


def test_a_release_of_other_source_is_told_and_changes_nothing(site: Site) -> None:
    services = three_services()
    site.project.write({"app/web/Dockerfile": "ARG BASE\nFROM ${BASE}\n", "app/web/run": "1\n"})
    services["web"] |= {
        "dockfra_image_context": "app/web",
        "dockfra_release": {"target": "web", "path": "web"},
    }
    services["cache"]["dockfra_release_targets"] = ["web"]
    site.project.inventory(services)
    site.apply()
    path = "/srv/releases/web/current/release.json"
    assert site.plan().releases == []
    tree = site.desired()[0].tree("web")
    for made_of, told in ((tree, []), ("0" * 40, ["web"]), ("", ["web"])):
        said = Record("20261125T131500Z-" + "a" * 12, "web", "a" * 40, "0" * 64, 0, "monitor", made_of)
        site.engine.files = {("unit-web", path): said.to_json()}
        plan = site.plan()
        assert [entry["service"] for entry in plan.releases] == told
        assert not plan.work
    site.engine.files = {("unit-web", path): b"{"}
    assert site.plan().releases == []
