# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the inventory and the roles of a small project make of its services."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import TopologyError
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Platform
from ansible_collections.dockfra.core.tests.unit.support import STORE_ROLE, Project, service, three_services


def with_change(project: Project, name: str, **variables: Any) -> Platform:
    services = three_services()
    services[name].update(variables)
    project.inventory(services)
    return project.platform()


def refused(project: Project, name: str, **variables: Any) -> list[str]:
    def work_out() -> None:
        platform = with_change(project, name, **variables)
        platform.check()
        for host in three_services():
            platform.desired(host)

    with pytest.raises(TopologyError) as caught:
        work_out()
    return caught.value.problems


def revisions(platform: Platform) -> dict[str, str]:
    return {
        name: platform.desired(name).container["labels"]["dockfra.revision"]
        for name in platform.topology.services
    }


# What comes out ------------------------------------------------------------------------------------------------------


def test_the_container_of_a_service(project: Project) -> None:
    desired = project.platform().desired("store")
    spec = dict(desired.container)
    labels = spec.pop("labels")
    assert {key: labels[key] for key in ("dockfra.project", "dockfra.service")} == {
        "dockfra.project": "unit",
        "dockfra.service": "store",
    }
    assert all(re.fullmatch("[0-9a-f]{16}", labels[key]) for key in ("dockfra.config", "dockfra.revision"))
    directory = f"{project.data}/unit/services/store"
    assert desired.directory == directory
    assert spec.pop("mounts") == [
        {
            "type": "volume",
            "source": "unit-store-data",
            "target": "/data",
            "read_only": False,
            "labels": {"dockfra.project": "unit"},
        },
        {"type": "bind", "source": directory, "target": "/etc/dockfra", "read_only": True},
    ]
    assert spec == {
        "name": "unit-store",
        "image": desired.images[-1].reference,
        "hostname": "unit-store",
        "user": "10001:10001",
        "env": {"DOCKFRA_PORT_DB": "5432"},
        "networks": [{"name": "unit-back", "aliases": ["store", "store.back"]}],
        "published_ports": [],
        "tmpfs": [f"{path}:rw,noexec,nosuid,nodev,size=64m,mode=1777" for path in ("/tmp", "/run")],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opts": ["no-new-privileges"],
        "memory": 128 * 2**20,
        "memory_swap": 128 * 2**20,
        "pids_limit": 128,
        "sysctls": {"net.ipv6.conf.all.disable_ipv6": "1"},
        "init": True,
        "restart_policy": "unless-stopped",
        "stop_timeout": 10,
        "log_driver": "json-file",
        "log_options": {"max-size": "10m", "max-file": "3"},
        "healthcheck": {
            "test": ["CMD", "/usr/local/bin/healthcheck"],
            "interval": "10s",
            "timeout": "10s",
            "start_period": "60s",
        },
    }


def test_a_service_is_found_only_where_it_listens(project: Project) -> None:
    assert project.platform().desired("web").container["networks"] == [
        {"name": "unit-back", "aliases": []},
        {"name": "unit-front", "aliases": ["web", "web.front"]},
    ]


def test_a_ready_made_image_is_taken_as_it_is(project: Project) -> None:
    desired = project.platform().desired("cache")
    assert (desired.images, desired.container["image"], desired.files) == ([], "cache:1", {})
    assert desired.container["mounts"] == []
    assert "healthcheck" not in desired.container


def test_settings_of_a_service_reach_its_container(project: Project) -> None:
    platform = with_change(
        project,
        "cache",
        dockfra_command=["serve", "--fast"],
        dockfra_env={"SIZE": 5, "ON": True},
        dockfra_memory="1g",
        dockfra_pids=7,
        dockfra_tmpfs={"/cache": "", "/run": "rw,size=1m"},
        dockfra_volumes=[{"name": "v", "path": "/v", "read_only": True}],
        dockfra_ports=[{"name": "http", "port": 80, "publish": 8080}],
        dockfra_publish_address="0.0.0.0",
        dockfra_port_offset=100,
        dockfra_health=["true"],
        dockfra_health_interval=3,
    )
    spec = platform.desired("cache").container
    assert spec["command"] == ["serve", "--fast"]
    assert spec["env"] == {
        "DOCKFRA_HEALTH_PATH": "/",
        "DOCKFRA_PORT_HTTP": "80",
        "ON": "True",
        "SIZE": "5",
    }
    assert (spec["memory"], spec["pids_limit"]) == (2**30, 7)
    assert [entry.split(":")[0] for entry in spec["tmpfs"]] == ["/tmp", "/run", "/cache"]
    assert "/run:rw,size=1m" in spec["tmpfs"]
    assert [(mount["source"], mount["read_only"]) for mount in spec["mounts"]] == [("unit-v", True)]
    assert spec["published_ports"] == ["0.0.0.0:8180:80/tcp"]
    assert spec["healthcheck"]["test"] == ["CMD", "true"]
    assert spec["healthcheck"]["interval"] == "3s"


def test_images_stand_on_those_of_the_roles_they_depend_on(project: Project) -> None:
    platform = project.platform()
    store, web = platform.desired("store").images, platform.desired("web").images
    assert [image.repository for image in store] == ["dockfra/base", "dockfra/store"]
    assert store[0].parent == "debian:trixie-slim"
    assert store[1].parent == store[0].reference
    assert store[0].reference == web[0].reference  # built once, for nobody in particular
    assert dict(store[0].arguments) == {}
    assert dict(store[1].arguments) == {"SERVICE_USER": "somebody", "SERVICE_UID": "10001"}


def test_a_context_of_ones_own_stands_on_the_roles_images(project: Project) -> None:
    project.write({"mine/Dockerfile": "FROM scratch\n"})
    images = with_change(project, "store", dockfra_image_context="mine").desired("store").images
    assert [image.repository for image in images] == ["dockfra/base", "dockfra/store", "dockfra/store"]
    assert images[-1].parent == images[-2].reference
    assert sorted(images[-1].context()) == ["Dockerfile"]


def test_a_service_without_a_role_may_bring_its_image_only(project: Project) -> None:
    project.write({"mine/Dockerfile": "FROM scratch\n"})
    services = three_services() | {"plain": service(10009, "back", image_context="mine")}
    project.inventory(services)
    desired = project.platform().desired("plain")
    assert desired.images[-1].repository == "dockfra/plain"
    assert desired.images[-1].reference == desired.container["image"]
    assert desired.files == {}


def test_a_service_is_applied_by_the_nearest_role_that_has_tasks(project: Project) -> None:
    platform = project.platform()
    assert [platform.role_name(name) for name in ("store", "cache")] == ["store", "dockfra.core.service"]
    (project.root / "roles/store/tasks/main.yml").unlink()
    assert project.platform().role_name("store") == "dockfra.core.service"


def test_networks_are_those_the_docker_host_needs(project: Project) -> None:
    services = three_services()
    services["cache"]["dockfra_docker_host"] = "elsewhere"
    services["cache"]["dockfra_networks"] = ["far"]
    options = {"front": {"gateway": True, "subnet": "10.1.0.0/24"}, "back": {"internal": True}}
    project.inventory(services, network_options=options)
    platform = project.platform()
    assert platform.networks("localhost") == {
        "unit-back": {"internal": True, "ipv6": False, "subnets": []},
        "unit-front": {
            "internal": False,
            "ipv6": True,
            "subnets": ["10.1.0.0/24", platform.topology.ipv6_subnet("front")],
        },
    }
    assert list(platform.networks("elsewhere")) == ["unit-far"]


# Configuration files and secrets -------------------------------------------------------------------------------------


def test_templates_see_defaults_host_variables_neighbours_and_what_follows(project: Project) -> None:
    platform = with_change(project, "store", store_size="7")
    secret = (
        (project.state / "secrets/store/writer").read_text() if (project.state / "secrets").exists() else None
    )
    assert secret is None  # nothing is made before it is asked for
    files = platform.desired("store").files
    secret = (project.state / "secrets/store/writer").read_text().strip()
    assert {path: (file.content.decode(), file.mode) for path, file in files.items()} == {
        "store.conf": (f"size=7\npassword={secret}\nlisten=store.back\n", 0o400)
    }
    assert platform.desired("web").files["web.conf"].content == b"store=5432\n"


def test_a_template_that_renders_to_white_space_makes_no_file(project: Project) -> None:
    assert sorted(project.platform().desired("store").files) == ["store.conf"]
    assert sorted(with_change(project, "store", store_optional=True).desired("store").files) == [
        "extra/optional.conf",
        "store.conf",
    ]


def test_without_files_there_is_no_mount(project: Project) -> None:
    project.write({"templates/etc/web.conf.j2": "{# nothing #}\n\n"}, "roles/web")
    desired = project.platform().desired("web")
    assert desired.files == {}
    assert [mount["target"] for mount in desired.container["mounts"]] == []


def test_the_nearer_role_wins_where_two_bring_the_same_file(project: Project) -> None:
    project.write(
        {"templates/etc/web.conf.j2": "parent\n", "templates/etc/more.j2": "parent\n"}, "roles/parent"
    )
    project.write({"meta/main.yml": "dependencies: [parent, dockfra.core.base]\n"}, "roles/web")
    files = project.platform().desired("web").files
    assert {path: file.content for path, file in files.items()} == {
        "web.conf": b"store=5432\n",
        "more": b"parent\n",
    }


def test_no_secret_is_in_the_container_or_its_labels(project: Project) -> None:
    platform = project.platform()
    specs = json.dumps([platform.desired(name).container for name in platform.topology.services])
    secret = (project.state / "secrets/store/writer").read_text().strip()
    assert secret not in specs
    # Nor in what is shown of it by accident.
    assert secret not in repr(platform.desired("store"))


def test_a_new_secret_makes_a_new_revision_of_its_user_only(project: Project) -> None:
    before = revisions(project.platform())
    (project.state / "secrets/store/writer").unlink()
    after = revisions(project.platform())
    assert {name for name in before if before[name] != after[name]} == {"store"}


def test_check_mode_makes_no_secret(project: Project) -> None:
    platform = project.platform(check_mode=True)
    assert b"password=" in platform.desired("store").files["store.conf"].content
    assert not project.state.exists()


def test_a_template_that_cannot_be_rendered_says_which_and_for_whom(project: Project) -> None:
    project.write({"templates/etc/web.conf.j2": "{{ nowhere }}\n"}, "roles/web")
    with pytest.raises(
        TopologyError, match=r"^web: .*roles/web/templates/etc/web.conf.j2 cannot be rendered:.*nowhere"
    ):
        project.platform().desired("web")


# What a change touches -----------------------------------------------------------------------------------------------


def test_nothing_changes_by_itself(project: Project) -> None:
    assert revisions(project.platform()) == revisions(project.platform())


@pytest.mark.parametrize(
    ("file", "text", "touched"),
    [
        ("roles/web/templates/etc/web.conf.j2", "changed\n", {"web"}),
        (
            "roles/store/templates/etc/store.conf.j2",
            STORE_ROLE["templates/etc/store.conf.j2"] + "# more\n",
            {"store"},
        ),
        ("roles/store/templates/etc/new.conf.j2", "new\n", {"store"}),
        ("roles/web/files/image/new", "new\n", {"web"}),
        ("roles/store/defaults/main.yml", "store_size: 6\nstore_optional: false\n", {"store"}),
        ("roles/store/README.md", "words\n", set()),
        ("roles/store/tasks/main.yml", "# nothing\n[]\n", set()),
    ],
)
def test_a_changed_file_of_one_role_touches_its_service_only(
    project: Project, file: str, text: str, touched: set[str]
) -> None:
    before = revisions(project.platform())
    project.write({file: text})
    after = revisions(project.platform())
    assert {name for name in before if before[name] != after[name]} == touched


@pytest.mark.parametrize(
    ("name", "variables", "touched"),
    [
        ("web", {"dockfra_memory": "64m"}, {"web"}),
        ("web", {"dockfra_env": {"A": "b"}}, {"web"}),
        ("web", {"dockfra_stop_timeout": 30}, {"web"}),
        ("web", {"dockfra_description": "Something else"}, set()),
        # web's template names the store's port, and the store's own container knows it.
        ("store", {"dockfra_ports": [{"name": "db", "port": 5433}]}, {"store", "web"}),
        ("store", {"dockfra_uid": 10044}, {"store"}),
    ],
)
def test_a_changed_variable_touches_those_who_use_it(
    project: Project, name: str, variables: dict[str, Any], touched: set[str]
) -> None:
    before = revisions(project.platform())
    after = revisions(with_change(project, name, **variables))
    assert {host for host in before if before[host] != after[host]} == touched


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variables", "message"),
    [
        (
            "web",
            {"dockfra_memroy": "1g"},
            "web: the variable 'dockfra_memroy' is unknown; did you mean 'dockfra_memory'?",
        ),
        (
            "store",
            {"store_siez": 1},
            "store: the variable 'store_siez' is unknown; did you mean 'store_size'?",
        ),
        (
            "web",
            {"dockfra_qqqqqqqq": 1},
            "web: the variable 'dockfra_qqqqqqqq' is unknown; see the argument specification of its role.",
        ),
        (
            "web",
            {"dockfra_uid": "many"},
            r"web: argument 'dockfra_uid' is of type .*str.* cannot be converted to .*int",
        ),
        ("web", {"dockfra_networks": {"a": 1}}, r"web: argument 'dockfra_networks' is of type .*dict.*list"),
        (
            "web",
            {"dockfra_ports": [{"name": "http"}]},
            r"web: missing required arguments: port found in dockfra_ports",
        ),
        (
            "web",
            {"dockfra_ports": [{"name": "http", "port": 80, "publsh": 80}]},
            r"web: dockfra_ports.publsh. Supported parameters include: loopback, name, networks, port, publish",
        ),
        ("store", {"store_size": "big"}, r"store: argument 'store_size' is of type .*int"),
        ("web", {"dockfra_memory": "lots"}, r"web: dockfra_memory is 'lots'; write it like 256m or 1g\."),
        ("web", {"dockfra_uid": 0}, r"web: dockfra_uid is 0; choose 1000 or more\."),
        ("web", {"dockfra_role": "ghost"}, r"There is no role 'ghost'"),
        (
            "web",
            {"dockfra_image_context": "ghost"},
            r"ghost does not exist, but an image is to be built from it",
        ),
        ("web", {"dockfra_env": "{{ nowhere }}"}, r"web: a variable cannot be worked out: .*nowhere"),
    ],
)
def test_a_wrong_value_is_refused_in_a_line_that_names_service_and_variable(
    project: Project, name: str, variables: dict[str, Any], message: str
) -> None:
    (problem,) = refused(project, name, **variables)
    pattern = message if "\\" in message or ".*" in message else re.escape(message)
    assert re.search(pattern, problem), problem
    assert not project.data.exists()


def test_a_service_without_an_image_is_refused(project: Project) -> None:
    project.inventory(three_services() | {"bare": service(10009, "back")})
    with pytest.raises(TopologyError, match="bare: has no image; set dockfra_image or dockfra_image_context"):
        project.platform().desired("bare")


def test_a_host_whose_networks_are_misspelt_is_a_service_all_the_same(project: Project) -> None:
    services = three_services()
    services["web"]["dockfra_netwroks"] = services["web"].pop("dockfra_networks")
    project.inventory(services)
    with pytest.raises(TopologyError) as caught:
        project.platform()
    assert caught.value.problems == [
        "web: the variable 'dockfra_netwroks' is unknown; did you mean 'dockfra_networks'? (hosts.yml:30)",
        "web: missing required arguments: dockfra_networks",
    ]


def test_all_wrong_values_are_told_at_once(project: Project) -> None:
    services = three_services()
    services["web"]["dockfra_uid"] = "x"
    services["store"]["dockfra_colour"] = "red"
    project.inventory(services)
    with pytest.raises(TopologyError) as caught:
        project.platform()
    assert sorted(problem.split(":")[0] for problem in caught.value.problems) == ["store", "web"]


def test_contradictions_are_found_by_the_check(project: Project) -> None:
    ports = [{"name": "http", "port": 80, "publish": 28080}]
    platform = with_change(project, "cache", dockfra_ports=ports)
    with pytest.raises(TopologyError, match="publishes port 28080"):
        platform.check()


def test_an_inventory_without_services_says_so(empty_project: Project) -> None:
    empty_project.inventory({"some": {}})
    with pytest.raises(TopologyError, match=r"The inventory has no services.*Use -i inventories/local"):
        empty_project.platform()


def test_a_broken_role_is_told_and_not_passed_over(project: Project) -> None:
    project.write({"meta/main.yml": "dependencies: [\n"}, "roles/web")
    with pytest.raises(TopologyError, match=r"roles/web/meta/main.yml is no valid YAML"):
        project.platform()


# One service among many ----------------------------------------------------------------------------------------------


def test_one_service_alone_is_what_it_is_among_all(project: Project) -> None:
    for name in three_services():
        whole, alone = project.platform().desired(name), project.platform(only=[name]).desired(name)
        assert (alone.container, alone.files) == (whole.container, whole.files)
        assert [image.reference for image in alone.images] == [image.reference for image in whole.images]


def test_mistakes_of_others_do_not_matter_to_one_service(project: Project) -> None:
    services = three_services()
    services["cache"]["dockfra_colour"] = "red"
    project.inventory(services)
    assert project.platform(only=["web"]).desired("web").files
