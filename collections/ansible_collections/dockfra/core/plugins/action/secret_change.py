# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Take one step of the change of a secret; see the documentation of the module of the same name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import DockfraError, UsageError
from ..module_utils.files import atomic
from ..module_utils.files.tree import WantedFile, write_file
from ..module_utils.secrets import changes, keyring
from ..plugin_utils.controller import operator_files, rotation
from ..plugin_utils.controller.desired import Platform
from ..plugin_utils.controller.failures import failed

_ARGUMENTS = {
    "step": {"type": "str", "required": True, "choices": ["begin", "add", "switch", "retire", "end"]},
    "name": {"type": "str"},
}


class ActionModule(ActionBase):
    """Works on the controller only."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, options = self.validate_argument_spec(
            argument_spec=_ARGUMENTS,
            required_if=[["step", step, ["name"]] for step in ("add", "switch", "retire", "end")],
        )
        try:
            platform = Platform(
                self._templar, self._loader, task_vars["hostvars"], task_vars["groups"]["all"]
            )
            if options["step"] == "begin":
                return {**result, **self._begin(platform)}
            return {**result, **self._step(platform, options["step"], options["name"])}
        except DockfraError as error:
            return failed(result, error)

    def _begin(self, platform: Platform) -> dict[str, Any]:
        """What is to be changed, an earlier rotation's rest first; a real device's keys only where nobody chose."""
        known = rotation.known(platform)
        words = platform.settings["dockfra_rotate"]
        names = rotation.chosen(known, words)
        away = {name: found for name in names if (found := rotation.devices_with(platform.topology, name))}
        if away and words:
            raise UsageError(
                " ".join(
                    f"{name} opens {', '.join(found)} as well, and what a device admits is written by playbooks/devices/prepare.yml "
                    'alone. See docs/rotation.md, "Devices".'
                    for name, found in away.items()
                )
            )
        names = [name for name in names if name not in away]
        journal = changes.Journal(operator_files.directory(platform))
        before = journal.left()
        gone = [name for name in before if name not in known]
        if gone:
            raise UsageError(
                f"An earlier rotation has {', '.join(gone)} left, which the inventory no longer has. "
                f"Remove {operator_files.directory(platform) / changes.JOURNAL} and run this again."
            )
        if self._task.check_mode:
            left = list(dict.fromkeys([*before, *(names if words or not before else [])]))
        else:
            left = journal.begin(names if words or not before else [])
        return {"changed": left != before, "left": left, "resumed": bool(before), "on_devices": away}

    def _step(self, platform: Platform, step: str, name: str) -> dict[str, Any]:
        state_dir = operator_files.directory(platform)
        ring = platform.keyring()
        change = ring.change(name)
        if self._task.check_mode:
            return {"changed": False, "stage": change.stage}
        steps: dict[str, Callable[[], bool]] = {
            "add": lambda: change.add(lambda text: _successor(name, text)),
            "switch": change.switch,
            "retire": change.retire,
            "end": lambda: _end(state_dir, name),
        }
        changed = steps[step]()
        result: dict[str, Any] = {
            "changed": changed,
            "stage": change.stage,
            "proof": rotation.proof(platform.topology, name, change.stage).to_dict(),
        }
        vault = platform.settings["dockfra_vault_file"]
        if vault and changed and step != "end":
            result["vault"] = str(Path(vault).absolute())
        if not keyring.is_ssh_key(name):
            result["former"] = change.former(name)
            return result
        files = operator_files.render(platform)
        if vault:
            _show_coming(state_dir, keyring.path_of(name), files, change)
        if step in ("add", "switch"):
            text = rotation.ssh_config(files["ssh_config"], state_dir, name, change.stage)
            _write(state_dir / rotation.SSH_CONFIG, text, 0o600)
            result["ssh_config"] = str(state_dir / rotation.SSH_CONFIG)
            result["public"] = " ".join(ring.newest_public(name).split()[:2])
            if result["proof"]["kind"] == "host_key":
                line = f"{name.rpartition('/')[2]} {result['public']}\n"
                _write(state_dir / rotation.KNOWN_HOSTS, line, 0o600)
        return result


def _successor(name: str, text: str) -> str:
    """What a secret is after the change."""
    if keyring.is_ssh_key(name):
        return keyring.new_ssh_key()
    return changes.other_login(name, text, keyring.new_password())


def _show_coming(state_dir: Path, relative: str, files: Mapping[str, str], change: changes.Change) -> None:
    """Have the key to come as a file while it is to be proved, where the person at the controller logs in with it."""
    path = state_dir / f"{relative}{changes.NEXT}"
    if relative in files and change.coming is not None:
        _write(path, change.coming, operator_files.mode(relative))
    else:
        atomic.remove(path)


def _write(path: Path, text: str, mode: int) -> None:
    write_file(path, WantedFile(text.encode(), mode))


def _end(state_dir: Path, name: str) -> bool:
    for file in (rotation.SSH_CONFIG, rotation.KNOWN_HOSTS):
        atomic.remove(state_dir / file)
    return changes.Journal(state_dir).done(name)
