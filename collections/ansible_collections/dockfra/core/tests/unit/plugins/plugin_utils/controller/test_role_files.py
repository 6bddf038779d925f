# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is read from roles, and in which order."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader

from ansible_collections.dockfra.core.plugins.module_utils.errors import TopologyError
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.role_files import RoleFinder
from ansible_collections.dockfra.core.tests.unit.support import Project


@pytest.fixture
def finder(empty_project: Project) -> RoleFinder:
    return RoleFinder(DataLoader(), empty_project.root)


def names(finder: RoleFinder, role: str) -> list[str]:
    return [entry.name for entry in finder.chain(role)]


def test_a_role_is_read_once_with_all_it_brings(empty_project: Project, finder: RoleFinder) -> None:
    empty_project.write(
        {
            "defaults/main.yml": "a_size: '{{ other }}'\n",
            "meta/main.yml": "dependencies: [b, {role: c}, {name: dockfra.core.base}]\n",
            "meta/argument_specs.yml": "argument_specs: {main: {options: {a_size: {type: int}}}}\n",
            "files/image/Dockerfile": "FROM scratch\n",
            "templates/etc/z.conf.j2": "",
            "templates/etc/sub/a.conf.j2": "",
            "templates/etc/README": "",
            "templates/other/b.j2": "",
        },
        "roles/a",
    )
    role = finder.role("a")
    assert role.dependencies == ("b", "c", "dockfra.core.base")
    assert role.defaults == {"a_size": "{{ other }}"}
    assert role.options == {"a_size": {"type": "int"}}
    assert role.image_context == empty_project.root / "roles/a/files/image"
    assert [path for path, _source in role.templates()] == ["sub/a.conf", "z.conf"]
    assert finder.role("a") is role


def test_a_role_may_bring_nothing(empty_project: Project, finder: RoleFinder) -> None:
    empty_project.write(
        {"tasks/main.yml": "", "meta/main.yml": "---\n", "defaults/main.yml": "---\n"}, "roles/a"
    )
    role = finder.role("a")
    assert (role.dependencies, role.defaults, role.options, role.image_context) == ((), {}, {}, None)
    assert list(role.templates()) == []


def test_a_context_needs_a_dockerfile(empty_project: Project, finder: RoleFinder) -> None:
    empty_project.write({"files/image/README": ""}, "roles/a")
    assert finder.role("a").image_context is None


@pytest.mark.parametrize(
    ("roles", "chain"),
    [
        ({"a": "b, c", "b": "d", "c": "d, b", "d": ""}, ["a", "c", "b", "d"]),
        ({"a": "c, b", "b": "d", "c": "d, b", "d": ""}, ["a", "c", "b", "d"]),
        # What is named last is nearest: the heavy packages lie below the commands, on what both stand on.
        (
            {"manager": "packages, gate", "packages": "sshd", "gate": "sshd", "sshd": ""},
            ["manager", "gate", "packages", "sshd"],
        ),
    ],
)
def test_the_chain_names_each_role_once_and_before_what_it_depends_on(
    empty_project: Project, finder: RoleFinder, roles: dict[str, str], chain: list[str]
) -> None:
    for role, dependencies in roles.items():
        empty_project.write({"meta/main.yml": f"dependencies: [{dependencies}]\n"}, f"roles/{role}")
    assert names(finder, next(iter(roles))) == chain


def test_roles_that_depend_on_each_other_end(empty_project: Project, finder: RoleFinder) -> None:
    for role, dependency in {"a": "b", "b": "a"}.items():
        empty_project.write({"meta/main.yml": f"dependencies: [{dependency}]\n"}, f"roles/{role}")
    assert names(finder, "a") == ["a", "b"]


def test_roles_of_the_collection_are_found_by_their_full_name(finder: RoleFinder) -> None:
    assert names(finder, "dockfra.core.service") == ["dockfra.core.service", "dockfra.core.platform"]
    assert finder.role("dockfra.core.service").short_name == "service"


@pytest.mark.parametrize("role", ["missing", "dockfra.core.missing", "no.such.role", "..", "../x"])
def test_a_role_that_is_not_there_is_told(finder: RoleFinder, role: str) -> None:
    assert not finder.exists(role)
    with pytest.raises(TopologyError, match=f"^There is no role '{role}'.*Correct dockfra_role"):
        finder.role(role)


def test_a_missing_dependency_is_told(empty_project: Project, finder: RoleFinder) -> None:
    empty_project.write({"meta/main.yml": "dependencies: [ghost]\n"}, "roles/a")
    with pytest.raises(TopologyError, match="There is no role 'ghost'"):
        finder.chain("a")


@pytest.mark.parametrize("file", ["meta/main.yml", "meta/argument_specs.yml"])
@pytest.mark.parametrize("text", ["a: [1\n", "a: b: c\n", "!!python/object:os.system x\n"])
def test_invalid_yaml_names_its_file(
    empty_project: Project, finder: RoleFinder, file: str, text: str
) -> None:
    empty_project.write({file: text}, "roles/a")
    with pytest.raises(TopologyError) as caught:
        finder.role("a")
    assert str(caught.value).startswith(f"{empty_project.root / 'roles/a' / file} is no valid YAML: ")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("meta/main.yml", "just words\n"),
        ("meta/argument_specs.yml", "- a list\n"),
        ("defaults/main.yml", "- a list\n"),
    ],
)
def test_yaml_that_says_something_else_is_told(
    empty_project: Project, finder: RoleFinder, file: str, text: str
) -> None:
    empty_project.write({file: text}, "roles/a")
    with pytest.raises(TopologyError, match=r"roles/a/(meta|defaults)/"):
        finder.role("a")


def test_a_role_with_invalid_yaml_is_there_nevertheless(empty_project: Project, finder: RoleFinder) -> None:
    """So that a service with a broken role is told about it, and does not silently get another role."""
    empty_project.write({"meta/main.yml": "a: [1\n"}, "roles/a")
    assert finder.exists("a")
    with pytest.raises(TopologyError, match="is no valid YAML"):
        finder.chain("a")


def test_invalid_defaults_name_their_file(empty_project: Project, finder: RoleFinder) -> None:
    empty_project.write({"defaults/main.yml": "a: [1\n"}, "roles/a")
    with pytest.raises(TopologyError, match=r"roles/a/defaults/main.yml is no valid YAML: .*flow sequence"):
        finder.role("a")
