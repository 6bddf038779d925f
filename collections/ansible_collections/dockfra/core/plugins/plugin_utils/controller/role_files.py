# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the roles of a service bring with them: variables, their specification, image context and templates.

A service's roles form a chain: its own role first, and each before all it depends on. Of several dependencies in
``meta/main.yml`` the last named is the nearest, as Ansible runs them one after the other. The nearer role wins where two
bring the same, and its image stands on those of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible import constants
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.utils.collection_loader._collection_finder import _get_collection_role_path

from ...module_utils.errors import TopologyError

TEMPLATE_SUFFIX = ".j2"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Role:
    """A role on disk.

    Attributes:
        name: as written in the inventory or a dependency, for example ``dockfra.core.sshd`` or ``traefik``.
        path: its directory.
        dependencies: the roles its ``meta/main.yml`` depends on.
        defaults: raw content of ``defaults/main.yml``.
        options: ``main`` entry of ``meta/argument_specs.yml``.
    """

    name: str
    path: Path
    dependencies: tuple[str, ...]
    defaults: dict[str, Any]
    options: dict[str, Any]

    @property
    def short_name(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def image_context(self) -> Path | None:
        """The role's docker build context, or None when it has none."""
        context = self.path / "files" / "image"
        return context if (context / "Dockerfile").is_file() else None

    @property
    def has_tasks(self) -> bool:
        return (self.path / "tasks" / "main.yml").is_file()

    def templates(self) -> Iterator[tuple[str, Path]]:
        """Yield (path below /etc/dockfra, template file) of each configuration file the role renders."""
        root = self.path / "templates" / "etc"
        for path in sorted(root.rglob(f"*{TEMPLATE_SUFFIX}")):
            # Editors keep their locks beside a file, as .#name.
            if not path.name.startswith(".#"):
                yield path.relative_to(root).as_posix().removesuffix(TEMPLATE_SUFFIX), path


class RoleFinder:
    """Loads roles as Ansible would find them, each once.

    Args:
        loader: the play's data loader; variables it reads are trusted as templates, as in any role.
        project_root: directory below which ``roles/`` is looked for too.
    """

    def __init__(self, loader: DataLoader, project_root: str | Path) -> None:
        self._loader = loader
        self._search = [
            Path(project_root) / "roles",
            *(Path(path) for path in constants.DEFAULT_ROLES_PATH or ()),
        ]
        self._roles: dict[str, Role] = {}

    def role(self, name: str) -> Role:
        """Return the role; raises TopologyError when there is none of that name."""
        if name not in self._roles:
            self._roles[name] = self._load(name)
        return self._roles[name]

    def _load(self, name: str) -> Role:
        path = self._path(name)
        meta = _plain_yaml(path / "meta" / "main.yml")
        specs = _plain_yaml(path / "meta" / "argument_specs.yml")
        dependencies = tuple(
            entry if isinstance(entry, str) else str(entry.get("role") or entry.get("name"))
            for entry in meta.get("dependencies") or ()
        )
        return Role(
            name=name,
            path=path,
            dependencies=dependencies,
            defaults=self._templated_yaml(path / "defaults" / "main.yml"),
            options=((specs.get("argument_specs") or {}).get("main") or {}).get("options") or {},
        )

    def names(self) -> list[str]:
        """The roles of the project and of what else Ansible is told to look in, those of collections left out."""
        return sorted({path.name for folder in self._search for path in folder.glob("*/")})

    def exists(self, name: str) -> bool:
        """Whether a role of that name can be found."""
        return self._find(name) is not None

    def chain(self, name: str) -> list[Role]:
        """Return the role and all it depends on, nearest first, each once: the reverse of Ansible's own order."""
        seen: set[str] = set()
        order: list[Role] = []

        def add(role_name: str) -> None:
            if role_name in seen:
                return
            seen.add(role_name)
            role = self.role(role_name)
            for dependency in role.dependencies:
                add(dependency)
            order.append(role)

        add(name)
        return order[::-1]

    def _find(self, name: str) -> Path | None:
        if name.count(".") == 2:
            found = _get_collection_role_path(name)
            return Path(found[1]) if found else None
        return next((folder / name for folder in self._search if (folder / name).is_dir()), None)

    def _path(self, name: str) -> Path:
        path = self._find(name)
        if path is not None:
            return path
        places = ", ".join(str(folder) for folder in self._search)
        raise TopologyError(
            [f"There is no role '{name}' (looked in {places} and the collections). Correct dockfra_role."]
        )

    def _templated_yaml(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            return {}
        try:
            return _mapping(
                path, self._loader.load_from_file(str(path), cache="all", trusted_as_template=True)
            )
        except AnsibleError as error:
            raise TopologyError([f"{path} is no valid YAML: {error}"]) from error


def _plain_yaml(path: Path) -> dict[str, Any]:
    """Load a file that holds no templates; libyaml is ten times as fast as Ansible's tagging loader."""
    if not path.is_file():
        return {}
    try:
        return _mapping(path, yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER))  # noqa: S506  a safe one
    except yaml.YAMLError as error:
        raise TopologyError([f"{path} is no valid YAML: {error}"]) from error


def _mapping(path: Path, content: Any) -> dict[str, Any]:
    if content is not None and not isinstance(content, dict):
        raise TopologyError([f"{path} has to hold a mapping of names to values."])
    return content or {}
