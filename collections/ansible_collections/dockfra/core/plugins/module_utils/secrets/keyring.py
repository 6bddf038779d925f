# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets, SSH keys and certificates of one platform, made on first use and kept in its state directory.

Layout below the state directory, or in another store (see `stores`)::

    secrets/<name>                          random passwords and tokens
    keys/<name>/id_ed25519{,.pub}           SSH client keys
    host_keys/<service>/ssh_host_ed25519_key{,.pub}
    tls/{ca,<name>}.{key,crt}               the local certificate authority and its server certificates

A file appears whole or not at all, and when two processes make the same one, both end with the same content.
"""

from __future__ import annotations

import os
import re
import secrets
import string
from collections.abc import Callable, Sequence

from ..errors import KeyringError
from . import certificates
from .stores import Directory, Store

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
        store: where they are kept instead of in files of the state directory.
    """

    def __init__(
        self,
        state_dir: str | os.PathLike[str],
        persist: bool = True,
        comment: str = "dockfra",
        store: Store | None = None,
    ) -> None:
        self._store = store or Directory(state_dir)
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
        try:
            text = self._store.read(relative)
            good = text is not None and bool(text.strip()) and accept(text)
        except ValueError as error:
            raise KeyringError(
                f"{self._store.place(relative)} is damaged ({error}). Remove it to have a new one made."
            ) from error
        if text is None or not good:
            made = make()
            text = self._store.write(relative, made, text is not None) if self._persist else made
        self._memory[relative] = text
        return text


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
