# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where images are built and sent, of plans that the planner has made."""

from __future__ import annotations

from typing import Any

from ansible_collections.dockfra.core.plugins.plugin_utils.controller import planner, routes, shipping
from ansible_collections.dockfra.core.tests.unit.support import Project, three_services

NOTHING: dict[str, Any] = {
    "containers": {},
    "networks": {},
    "volumes": [],
    "images": {},
    "files": {},
    "engine_error": "",
}


def plans(project: Project, held: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The plans of two Docker hosts, ``first`` with the web server and ``second`` with the store and what comes ready-made."""
    services = three_services()
    for name, place in (("web", "first"), ("store", "second"), ("cache", "second")):
        services[name]["dockfra_docker_host"] = place
    project.inventory(services)
    platform = project.platform()
    made = []
    for place in ("first", "second"):
        desired = {
            service.name: platform.desired(service.name)
            for service in platform.topology.containers()
            if service.docker_host == place
        }
        images = {
            name: {"id": name, "env": [], "command": None, "entrypoint": None} for name in held.get(place, ())
        }
        made.append(planner.compare(platform, desired, place, {**NOTHING, "images": images}).as_result())
    return made


def references(images: list[dict[str, Any]]) -> list[str]:
    return [image["repository"] for image in images]


def test_each_image_is_built_once_and_sent_where_it_is_needed(project: Project) -> None:
    found = routes.assign(plans(project, {}), "first", ())
    # The base belongs to the first who waits for it, and levels are those of all hosts.
    assert {name: references(images) for name, images in found.builds.items()} == {
        "web": ["dockfra/base", "dockfra/web"],
        "store": ["dockfra/store"],
    }
    assert (found.levels, found.needs_base_image) == (2, True)
    [transfer] = found.transfers
    [image] = transfer["images"]
    assert (transfer["target"], image["service"]) == ("second", "store")
    assert [name.partition(":")[0] for name in image["chain"]] == ["dockfra/base", "dockfra/store"]


def test_what_the_builder_has_is_only_sent(project: Project) -> None:
    made = plans(project, {})
    found = routes.assign(made, "first", routes.wanted(made))
    assert not any(found.builds.values())
    assert (found.levels, found.needs_base_image) == (0, False)
    assert [transfer["target"] for transfer in found.transfers] == ["second"]
    # Of the parents it may have lost some, which nothing missing stands on.
    [own] = [name for name in routes.wanted(made) if name.startswith("dockfra/store")]
    assert references(routes.assign(made, "first", {own}).builds["store"]) == []


def test_what_a_host_has_is_not_sent_to_it(project: Project) -> None:
    everything = routes.wanted(plans(project, {}))
    made = plans(project, {"second": everything})
    found = routes.assign(made, "first", ())
    assert (found.transfers, list(found.builds)) == ([], ["web"])
    # What was built there when it was alone is of no use to the other.
    made = plans(project, {"second": [name for name in everything if "store" not in name]})
    found = routes.assign(made, "first", ())
    assert [len(image["chain"]) for image in found.transfers[0]["images"]] == [2]


def test_another_builder_than_the_first(project: Project) -> None:
    found = routes.assign(plans(project, {}), "second", ())
    assert [transfer["target"] for transfer in found.transfers] == ["first"]
    assert found.builder == "second"


def test_shared_layers_are_counted_once() -> None:
    known = {name: {"size": size} for name, size in (("base", 100), ("a", 130), ("b", 250))}
    assert shipping.unique_size([["base", "a"], ["base", "b"]], known) == 100 + 30 + 150
    # Without the parents each counts in full: rather too much than too little.
    assert shipping.unique_size([["base", "a"], ["base", "b"]], {"a": known["a"], "b": known["b"]}) == 380
