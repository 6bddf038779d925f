# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets in one file of Ansible Vault, which Ansible itself decrypts once a run, beside the variables of the inventory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, VaultSecretsContext, match_best_secret

from ...module_utils.errors import KeyringError
from ...module_utils.files import atomic
from ...module_utils.locks import file_lock
from ...module_utils.secrets.stores import PUBLIC_HALF, Directory, is_public

# The one variable in the file: the secrets by their paths.
VARIABLE = "dockfra_vault"

# In the state directory: tells whether what Ansible has decrypted is still what the file has, see `_note`.
_NOTE = "vault.note"
_LOCK = "vault.lock"
# The files of a vault there.
NOTES = (_NOTE, _LOCK)

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
        # Of the file whose content is known: inode, time of the last change, size.
        self._seen: tuple[int, int, int] | None = None

    def place(self, relative: str) -> str:
        return self._files.place(relative) if is_public(relative) else f"{relative} in {self._path}"

    def read(self, relative: str) -> str | None:
        if is_public(relative):
            return self._files.read(relative)
        self._renew()
        return self._known.get(relative)

    def write(self, relative: str, text: str, replace: bool) -> str:
        if is_public(relative):
            return text if self._is_of_another(relative) else self._files.write(relative, text, replace)

        def keep(content: dict[str, str]) -> None:
            if replace or relative not in content:
                content[relative] = text

        return self._changed(keep)[relative]

    def _is_of_another(self, relative: str) -> bool:
        """Whether the file of a private key that this would lie beside is not of the key here: whoever replaces that brings both."""
        private = relative.removesuffix(PUBLIC_HALF)
        if private == relative:
            return False
        copy = self._files.read(private)
        return copy is not None and copy != self.read(private)

    def shift(self, coming: str, used: str, former: str) -> None:
        def move(content: dict[str, str]) -> None:
            if coming not in content or used not in content:
                raise KeyringError(
                    f"{self.place(coming if used in content else used)} is not there any more."
                )
            content[former] = content[used]
            content[used] = content.pop(coming)

        self._changed(move)

    def remove(self, relative: str) -> None:
        self._changed(lambda content: content.pop(relative, None))

    def check(self) -> None:
        """Raise KeyringError where the file could not be read or written for want of its password."""
        self._secrets()
        self._renew()

    def replace(self, content: Mapping[str, str]) -> None:
        """Have exactly these secrets in the file; raises KeyringError."""

        def put(kept: dict[str, str]) -> None:
            kept.clear()
            kept.update(content)

        self._changed(put)

    def _changed(self, change: Callable[[dict[str, str]], object]) -> dict[str, str]:
        """Change the content and return it; the file is replaced at once, or stays as it was."""
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file_lock.held(self._state_dir / _LOCK, _PATIENCE):
                self._renew()
                content = dict(self._known)
                change(content)
                if content != self._known:
                    self._save(content)
        except OSError as error:
            raise KeyringError(
                f"{error.filename or self._path} cannot be written: {error.strerror}. Check owner and free space."
            ) from error
        return content

    def _renew(self) -> None:
        """Know the content as it is now: it may have been changed since Ansible decrypted the file, and by this very run."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_mtime_ns, status.st_size)
                if seen == self._seen:
                    return
                encrypted = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise KeyringError(f"{self._path} cannot be read: {error.strerror}. Check its owner.") from error
        if self._read_note() != _note(encrypted, self._known):
            self._known = self._decrypted(encrypted)
            with contextlib.suppress(OSError):  # whoever may not write decrypts each time
                self._write_note(_note(encrypted, self._known))
        self._seen = seen

    def _decrypted(self, encrypted: bytes) -> dict[str, str]:
        try:
            return _read(encrypted, self._secrets())
        except ValueError as error:
            raise KeyringError(
                f"{self._path} cannot be decrypted: {error}. Give its password, or put back a copy of the file."
            ) from error

    def _save(self, content: Mapping[str, str]) -> None:
        secrets = self._secrets()
        best = match_best_secret(secrets, [self._identity]) or secrets[0]
        text = yaml.safe_dump({VARIABLE: dict(sorted(content.items()))}, allow_unicode=True)
        encrypted = VaultLib(secrets).encrypt(text, secret=best[1], vault_id=self._identity)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Cut between the two, the note is of no file: then the file is decrypted.
        self._write_note(_note(encrypted, content))
        atomic.replace(self._path, encrypted, mode=0o600, temporary=f".{self._path.name}.new")
        self._known = dict(content)

    def _read_note(self) -> str:
        try:
            return (self._state_dir / _NOTE).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def _write_note(self, note: str) -> None:
        atomic.replace(self._state_dir / _NOTE, note.encode(), mode=0o600)

    def _secrets(self) -> list[tuple[str, VaultSecret]]:
        context = VaultSecretsContext.current(optional=True)
        if context is None or not context.secrets:
            raise KeyringError(
                f"{self._path} keeps the platform's secrets and needs a password: add --vault-id {self._identity}@prompt, or "
                f"--vault-id {self._identity}@FILE with a file or a program that has it."
            )
        return list(context.secrets)


def decrypted(encrypted: bytes) -> dict[str, str]:
    """Return the content of a vault that is not the platform's own, with whatever passwords Ansible was given.

    Raises:
        ValueError: none of them opens it, or it is no such file.
    """
    context = VaultSecretsContext.current(optional=True)
    if context is None or not context.secrets:
        raise ValueError("no password was given")
    return _read(encrypted, list(context.secrets))


def _read(encrypted: bytes, secrets: list[tuple[str, VaultSecret]]) -> dict[str, str]:
    """Return the secrets in a file; ValueError says why not."""
    try:
        content = yaml.safe_load(VaultLib(secrets).decrypt(encrypted))[VARIABLE] or {}
        return {str(relative): str(text) for relative, text in content.items()}
    except AnsibleError as error:
        raise ValueError(str(error).rstrip(".")) from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        # What is told of YAML would show a part of it.
        raise ValueError(f"it has no {VARIABLE}") from error


def _note(encrypted: bytes, content: Mapping[str, str]) -> str:
    """Which content a file has, so that who knows both can tell that they belong together; says nothing of either."""
    plain = json.dumps(sorted(content.items())).encode()
    return hashlib.sha256(hashlib.sha256(encrypted).digest() + hashlib.sha256(plain).digest()).hexdigest()
