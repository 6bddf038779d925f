# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets, SSH keys and certificates of one platform, made on first use and kept in its state directory.

Layout below the state directory (mode 0700, files 0600)::

    secrets/<name>                          random passwords and tokens
    keys/<name>/id_ed25519{,.pub}           SSH client keys
    host_keys/<service>/ssh_host_ed25519_key{,.pub}
    tls/{ca,<name>}.{key,crt}               the local certificate authority and its server certificates

A file appears whole or not at all, and when two processes make the same one, both end with the same content.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import string
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import KeyringError
from ..files import atomic
from . import certificates

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    CRYPTOGRAPHY_ERROR: ImportError | None = None
except ImportError as error:
    CRYPTOGRAPHY_ERROR = error

PASSWORD_LENGTH = 48
PASSWORD_CHARACTERS = string.ascii_letters + string.digits

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*")


class Keyring:
    """Reads secrets from a state directory and makes those that are missing.

    Args:
        state_dir: the platform's state directory, for example ``.dockfra/local``.
        persist: False keeps what is made in memory only, for a dry run.
        comment: ends each public key line, so that a person sees where a key comes from.
    """

    def __init__(
        self, state_dir: str | os.PathLike[str], persist: bool = True, comment: str = "dockfra"
    ) -> None:
        self._root = Path(state_dir)
        self._persist = persist
        self._comment = comment
        self._memory: dict[str, str] = {}

    def password(self, name: str) -> str:
        """Return the random secret called ``name``: 48 letters and digits (285 bits)."""
        return self._file(f"secrets/{_checked(name)}", _new_password).rstrip("\n")

    def ssh_private_key(self, name: str) -> str:
        """Return the OpenSSH private key called ``keys/<owner>`` or ``host_keys/<service>`` (ed25519)."""
        return self._file(_ssh_path(name), _new_ssh_key, accept=_is_ssh_key)

    def ssh_public_key(self, name: str) -> str:
        """Return the public line of the key called ``name``, without a newline."""
        private = serialization.load_ssh_private_key(self.ssh_private_key(name).encode(), password=None)
        line = (
            private.public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .decode()
        )
        public = f"{line} {self._comment}-{name.rpartition('/')[2]}\n"
        return self._file(
            f"{_ssh_path(name)}.pub", lambda: public, accept=lambda text: text.startswith(line)
        ).rstrip("\n")

    def ca_certificate(self) -> str:
        """Return the certificate (PEM) of the platform's own certificate authority."""
        key = self._authority_key()
        return self._file(
            "tls/ca.crt",
            lambda: certificates.self_signed_authority(key, self._comment),
            accept=lambda text: certificates.is_authority(text, key),
        )

    def server_key(self, name: str) -> str:
        """Return the private key (PEM) of the server certificate ``name``."""
        return self._file(
            f"tls/{_checked_certificate(name)}.key", certificates.new_key, accept=certificates.is_key
        )

    def server_certificate(self, name: str, hostnames: Sequence[str]) -> str:
        """Return a certificate (PEM) for ``hostnames``, renewed 30 days before it ends or when the names change."""
        authority = self.ca_certificate()
        authority_key = self._authority_key()
        key = self.server_key(name)
        return self._file(
            f"tls/{name}.crt",
            lambda: certificates.server_certificate(key, hostnames, authority, authority_key),
            accept=lambda text: certificates.is_good(text, hostnames, key, authority),
        )

    def _authority_key(self) -> str:
        return self._file("tls/ca.key", certificates.new_key, accept=certificates.is_key)

    def _file(self, relative: str, make: Callable[[], str], accept: Callable[[str], bool] = bool) -> str:
        """Return the acceptable content of a file; otherwise make it anew.

        The first of several concurrent makers wins, unless an unacceptable file is being replaced.
        """
        if CRYPTOGRAPHY_ERROR is not None:
            raise KeyringError(
                f"The Python library 'cryptography' is missing ({CRYPTOGRAPHY_ERROR}); run ./init.sh again."
            )
        if relative in self._memory:
            return self._memory[relative]
        path = self._root / relative
        try:
            replace = path.exists()
            text = path.read_text(encoding="utf-8") if replace else ""
            good = bool(text.strip()) and accept(text)
        except OSError as error:
            raise KeyringError(f"{path} cannot be read: {error.strerror}. Check its owner.") from error
        except ValueError as error:
            raise KeyringError(f"{path} is damaged ({error}). Remove it to have a new one made.") from error
        if not good:
            text = make()
            try:
                text = self._write(path, text, replace) if self._persist else text
            except OSError as error:
                raise KeyringError(
                    f"{path} cannot be written: {error.strerror}. Check owner and free space."
                ) from error
        self._memory[relative] = text
        return text

    def _write(self, path: Path, text: str, replace: bool) -> str:
        self._make_private(path.parent)
        if replace:
            atomic.replace(path, text.encode(), mode=0o600)
            return text
        with contextlib.suppress(FileExistsError):
            atomic.create(path, text.encode(), mode=0o600)
        return path.read_text(encoding="utf-8")

    def _make_private(self, folder: Path) -> None:
        """Make the state directory and a folder below it, each for the owner only."""
        self._root.parent.mkdir(parents=True, exist_ok=True)
        for path in reversed([folder, *folder.parents]):
            if path.is_relative_to(self._root):
                # Unlike `mkdir(parents=True)`, which gives its mode to the last directory only.
                path.mkdir(mode=0o700, exist_ok=True)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise KeyringError(
            f"'{name}' cannot name a secret: use lower-case letters, digits, '.', '_', '-' and '/'."
        )
    return name


def _checked_certificate(name: str) -> str:
    if _checked(name) == "ca":
        raise KeyringError("'ca' cannot name a server certificate: it is the authority's own name.")
    return name


def _ssh_path(name: str) -> str:
    kind, _separator, owner = _checked(name).partition("/")
    files = {"keys": "id_ed25519", "host_keys": "ssh_host_ed25519_key"}
    if kind not in files or not owner or "/" in owner:
        raise KeyringError(
            f"'{name}' cannot name an SSH key: it must be keys/<owner> or host_keys/<service>."
        )
    return f"{kind}/{owner}/{files[kind]}"


def _new_password() -> str:
    return "".join(secrets.choice(PASSWORD_CHARACTERS) for _unused in range(PASSWORD_LENGTH)) + "\n"


def _is_ssh_key(text: str) -> bool:
    """True, or a ValueError that says what is wrong."""
    try:
        serialization.load_ssh_private_key(text.encode(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:  # needs a passphrase, for example
        raise ValueError(str(error)) from error
    return True


def _new_ssh_key() -> str:
    return (
        ed25519.Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        .decode()
    )
