# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets of a backup, out of files or Ansible Vault, for a platform that keeps them in either."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...module_utils.backups import archive, snapshots
from ...module_utils.backups.parts import ARCHIVE, CONTROLLER, Manifest
from ...module_utils.errors import BackupError, KeyringError
from ...module_utils.secrets.keyring import FOLDERS
from ...module_utils.secrets.stores import Directory, is_public
from .keyrings import CHECKOUT
from .vaults import NOTES, Vault, decrypted

# The part of a backup with the state directory, and where the vault is that a backup of an earlier version does not name.
STATE = "state"
_USUAL = "inventory/group_vars/all/vault.yml"
_SECRETS = "secrets/"
_MAX_VAULT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Keeping:
    """Where a platform keeps its secrets.

    Attributes:
        state_dir: its state directory.
        vault: the file of Ansible Vault; empty where they are files of the state directory.
        identity: the vault id of that file.
    """

    state_dir: str
    vault: str
    identity: str

    def checkout(self) -> str:
        """Return by what the Docker hosts know this checkout of the project; empty where it has nothing yet. Raises KeyringError."""
        path = f"{_SECRETS}{CHECKOUT}"
        store = (
            Vault(self.vault, {}, self.identity, self.state_dir) if self.vault else Directory(self.state_dir)
        )
        return store.read(path) or ""

    def keep_vault(self) -> None:
        """Copy the vault, as it is, to where it stays until the restore has ended; raises OSError."""
        if os.path.isfile(self.vault):
            copy = self._copy
            if os.path.lexists(copy):  # what an earlier try has kept is not lost to this one
                copy += f".{time.time_ns()}"
            shutil.copy2(self.vault, copy)

    def kept(self) -> list[str]:
        """Return what is kept of what was there: directories, and copies of the vault."""
        heads = (f"{self.state_dir}{snapshots.BEFORE}", self._copy)
        return sorted(path for head in heads for path in glob.glob(f"{glob.escape(head)}*"))

    @property
    def _copy(self) -> str:
        return f"{self.state_dir}.vault{snapshots.BEFORE}"


def bring(
    folder: str, here: Keeping, moved: bool = False, keep: tuple[str, ...] = (), dry_run: bool = False
) -> tuple[bool, list[str]]:
    """Bring keys and secrets to what a snapshot has of them.

    Args:
        folder: of the snapshot.
        here: where they are to be kept.
        moved: whether the snapshot is of other Docker hosts, to which this checkout need not be known as what it is here.
        keep: files of the state directory that stay as they are.
        dry_run: only look.

    Returns:
        Whether anything differed, and what is kept of what was there, by tries that were cut off as well.

    Raises:
        BackupError: the snapshot lacks something.
        KeyringError: a vault cannot be read or written; nothing was changed.
        OSError: the system refuses.
    """
    inside = os.path.join(folder, snapshots.HOSTS, CONTROLLER)
    if not dry_run:
        snapshots.recovered(here.state_dir)
    manifest = Manifest.read(inside)
    there = _vault_of(manifest, inside)
    own = here.checkout() if moved else ""
    if not (there or here.vault or own):
        changed, _before = snapshots.put_back(folder, STATE, here.state_dir, keep, dry_run)
        return changed, here.kept()
    content = _decrypted(inside, there) if there else None
    if here.vault:
        Vault(here.vault, {}, here.identity, here.state_dir).check()

    def change(restored: str) -> None:
        secrets = _taken(restored) if content is None else dict(content)
        _clear(restored, there)
        if own:
            secrets[f"{_SECRETS}{CHECKOUT}"] = own
        if not here.vault:
            _put_files(restored, secrets)
            return
        here.keep_vault()
        path = os.path.relpath(here.vault, here.state_dir)
        # A vault in the state directory takes its place with that.
        vault = here.vault if path.startswith("..") else os.path.join(restored, path)
        Vault(vault, {}, here.identity, restored).replace(secrets)

    changed, _before = snapshots.put_back(folder, STATE, here.state_dir, keep, dry_run, change)
    return changed, here.kept()


def _vault_of(manifest: Manifest, inside: str) -> str:
    """The vault of a snapshot, as its manifest writes it; empty where secrets are files."""
    if manifest.vault:
        return manifest.vault
    path = os.path.join(inside, ARCHIVE)
    files = list(archive.names(path))
    if any(name.startswith(f"files/{STATE}/{_SECRETS}") for name in files):
        return ""
    return _USUAL if f"files/{_USUAL}" in files else ""


def _decrypted(inside: str, vault: str) -> dict[str, str]:
    data = archive.read_file(os.path.join(inside, ARCHIVE), f"files/{vault}", _MAX_VAULT)
    if data is None:
        raise BackupError(
            f"The snapshot lacks {vault}, which has the platform's keys and passwords; take another one. Nothing was changed."
        )
    try:
        return decrypted(data)
    except ValueError as error:
        head = data.split(b"\n", 1)[0].decode(errors="replace").split(";")
        identity = head[3] if len(head) > 3 else "default"
        raise KeyringError(
            f"The keys and passwords of the backup are in a vault ({vault}) that cannot be decrypted: {error}. Give the password "
            f"that it had then as well, with --vault-id {identity}@prompt or --vault-id {identity}@FILE. Nothing was changed."
        ) from error


def _taken(restored: str) -> dict[str, str]:
    """Return the secrets that are files of a state directory."""
    return {
        relative: (Path(restored) / relative).read_text(encoding="utf-8")
        for relative in _files(restored)
        if not is_public(relative)
    }


def _clear(restored: str, vault: str) -> None:
    """Remove what a state directory has of secrets, and what belongs to a vault."""
    for relative in _files(restored):
        if not is_public(relative):
            os.unlink(os.path.join(restored, relative))
    part, _slash, path = vault.partition("/")
    for name in (*NOTES, *((path,) if part == STATE else ())):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(restored, name))


def _files(restored: str) -> list[str]:
    """The files in the folders of secrets, keys and certificates, by their paths in the state directory."""
    return [
        os.path.relpath(os.path.join(place, name), restored)
        for folder in FOLDERS
        for place, _folders, names in os.walk(os.path.join(restored, folder))
        for name in names
    ]


def _put_files(restored: str, secrets: Mapping[str, str]) -> None:
    store = Directory(restored)
    for relative, text in secrets.items():
        store.write(relative, text, replace=True)
