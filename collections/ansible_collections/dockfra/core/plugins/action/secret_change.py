# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Take one step of the change of a secret; see the documentation of the module of the same name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import DockfraError, UsageError
from ..module_utils.files.tree import WantedFile, write_file
from ..module_utils.secrets import changes, keyring
from ..plugin_utils.controller import operator_files, rotation
from ..plugin_utils.controller.desired import Platform
from ..plugin_utils.controller.failures import failed

_ARGUMENTS = {
    "step": {"type": "str", "required": True, "choices": ["begin", "add", "switch", "retire", "end"]},
    "name": {"type": "str"},
}
# The operator's SSH configuration with the one key that is to be proved.
_SSH_CONFIG = "rotation.ssh_config"


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
        if platform.settings["dockfra_vault_file"]:
            raise UsageError(
                f"The platform's secrets are in {platform.settings['dockfra_vault_file']}, and only those in files can be changed by this. "
                "Nothing was changed."
            )
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
        change = changes.Change(state_dir / keyring.path_of(name))
        if self._task.check_mode:
            return {"changed": False, "stage": change.stage}
        steps: dict[str, Callable[[], bool]] = {
            "add": lambda: change.add(lambda text: _successor(name, text)),
            "switch": change.switch,
            "retire": change.retire,
            "end": lambda: _end(state_dir, name),
        }
        changed = steps[step]()
        result = {
            "changed": changed,
            "stage": change.stage,
            "proof": rotation.proof(platform.topology, name).to_dict(),
        }
        if not name.startswith("keys/"):
            result["former"] = change.former(name)
        elif step in ("add", "switch"):
            path = state_dir / _SSH_CONFIG
            text = rotation.ssh_config(operator_files.render(platform)["ssh_config"], state_dir, name)
            write_file(path, WantedFile(text.encode(), 0o600))
            result["ssh_config"] = str(path)
        return result


def _successor(name: str, text: str) -> str:
    """The content of a secret's file after the change."""
    if name.startswith("keys/"):
        return keyring.new_ssh_key()
    return changes.other_login(name, text, keyring.new_password())


def _end(state_dir: Path, name: str) -> bool:
    (state_dir / _SSH_CONFIG).unlink(missing_ok=True)
    return changes.Journal(state_dir).done(name)
