# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets in one file of Ansible Vault, which Ansible itself decrypts once a run, beside the variables of the inventory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, VaultSecretsContext, match_best_secret

from ...module_utils.errors import KeyringError
from ...module_utils.files import atomic
from ...module_utils.locks import file_lock
from ...module_utils.secrets import changes
from ...module_utils.secrets.stores import Directory, is_public

# The one variable in the file: the secrets by their paths.
VARIABLE = "dockfra_vault"

# Seconds to wait for another process that keeps a secret.
_PATIENCE = 60.0


class Vault:
    """A `Store`. What is no secret, public keys and certificates, goes to the state directory as files.

    Args:
        path: the file, which need not be there yet.
        known: its content, as Ansible has decrypted it at the start of the run.
        identity: the vault id with whose password it is encrypted; without a password of that id, with any there is.
        state_dir: the platform's state directory.
    """

    def __init__(
        self, path: str, known: Mapping[str, str], identity: str, state_dir: str | os.PathLike[str]
    ) -> None:
        self._path = Path(path)
        self._known = {str(relative): str(text) for relative, text in known.items()}
        self._identity = identity
        self._state_dir = Path(state_dir)
        self._files = Directory(state_dir)

    def place(self, relative: str) -> str:
        return self._files.place(relative) if is_public(relative) else f"{relative} in {self._path}"

    def read(self, relative: str) -> str | None:
        if is_public(relative):
            return self._files.read(relative)
        # Nothing in a vault is on its way to a new one (`secret_change` refuses that), so it is not decrypted to look for it.
        if relative.endswith((changes.NEXT, changes.OLD)):
            return None
        if relative not in self._known and self._path.exists():
            # Made since the run began, perhaps.
            self._known = self._load()
        return self._known.get(relative)

    def write(self, relative: str, text: str, replace: bool) -> str:
        if is_public(relative):
            return self._files.write(relative, text, replace)
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file_lock.held(self._state_dir / "vault.lock", _PATIENCE):
                known = self._load() if self._path.exists() else {}
                if replace or relative not in known:
                    known[relative] = text
                    self._save(known)
                self._known = known
        except OSError as error:
            raise KeyringError(
                f"{error.filename or self._path} cannot be written: {error.strerror}. Check owner and free space."
            ) from error
        return known[relative]

    def _load(self) -> dict[str, str]:
        try:
            plain = VaultLib(self._secrets()).decrypt(self._path.read_bytes())
            content = yaml.safe_load(plain)[VARIABLE] or {}
            return {str(relative): str(text) for relative, text in content.items()}
        except OSError as error:
            raise KeyringError(f"{self._path} cannot be read: {error.strerror}. Check its owner.") from error
        except (AnsibleError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            # What is told of YAML would show a part of it.
            reason = str(error) if isinstance(error, AnsibleError) else f"it has no {VARIABLE}"
            raise KeyringError(
                f"{self._path} cannot be decrypted: {reason}. Give its password, or put back a copy of the file."
            ) from error

    def _save(self, content: Mapping[str, str]) -> None:
        secrets = self._secrets()
        best = match_best_secret(secrets, [self._identity]) or secrets[0]
        text = yaml.safe_dump({VARIABLE: dict(sorted(content.items()))}, allow_unicode=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic.replace(
            self._path, VaultLib(secrets).encrypt(text, secret=best[1], vault_id=self._identity), mode=0o600
        )

    def _secrets(self) -> list[tuple[str, VaultSecret]]:
        context = VaultSecretsContext.current(optional=True)
        if context is None or not context.secrets:
            raise KeyringError(
                f"{self._path} keeps the platform's secrets and needs a password: add --vault-id {self._identity}@prompt, or "
                f"--vault-id {self._identity}@FILE with a file or a program that has it."
            )
        return list(context.secrets)
