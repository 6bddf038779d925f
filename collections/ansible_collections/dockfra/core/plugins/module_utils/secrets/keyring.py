# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets, SSH keys and certificates of one platform, made on first use and kept in its state directory.

Layout below the state directory, or in another store (see `stores`)::

    secrets/<name>                          random passwords and tokens
    keys/<name>/id_ed25519{,.pub}           SSH client keys
    …{.next,.old}                           of what is being changed, see `changes`
    host_keys/<service>/ssh_host_ed25519_key{,.pub}
    tls/{ca,<name>}.{key,crt}               the local certificate authority and its server certificates

A file appears whole or not at all, and when two processes make the same one, both end with the same content.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import KeyringError
from . import certificates, changes
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

# Where secrets, keys and certificates lie below the state directory.
FOLDERS = ("secrets", "keys", "host_keys", "tls")

# What the names of SSH keys begin with.
_KEYS = ("keys/", "host_keys/")

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*")


class Login(NamedTuple):
    """As whom a service logs in at another: one of the two users that take turns, and its password."""

    user: str
    password: str


class Keyring:
    """Reads secrets from a state directory and makes those that are missing.

    Args:
        state_dir: the platform's state directory, for example ``.dockfra/local``.
        persist: False keeps what is made in memory only, for a dry run.
        comment: ends each public key line, so that a person sees where a key comes from.
        store: where they are kept instead of in files of the state directory.

    Attributes:
        in_use: what was asked for and can be changed while services run: ``keys/<owner>``, ``host_keys/<service>``, and the names
            of logins.
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
        self._shown: dict[str, str] = {}
        self._turns: dict[str, str] = {}
        self.in_use: set[str] = set()

    def password(self, name: str) -> str:
        """Return the random secret called ``name``: 48 letters and digits (285 bits)."""
        return self._file(f"secrets/{_checked(name)}", new_password).partition("\n")[0]

    def login(self, name: str) -> Login:
        """Return as whom one logs in with the secret called ``<service>/<user>``."""
        self.in_use.add(name)
        return self.logins(name)[0]

    def logins(self, name: str) -> list[Login]:
        """Return every login with that secret that is admitted: one, or two while it is being changed."""
        self.password(name)
        texts = [self._memory[f"secrets/{name}"], *self._beside(f"secrets/{name}")]
        found = [_login(name, text) for text in texts]
        for entry in found:
            self._hide(name, entry.password, hashlib.sha256(entry.password.encode()).hexdigest())
        self._turns[changes.second_user(name)] = changes.first_user(name)
        return list(dict.fromkeys(found))

    def ssh_private_key(self, name: str) -> str:
        """Return the OpenSSH private key called ``keys/<owner>`` or ``host_keys/<service>`` (ed25519)."""
        text = self._file(_ssh_path(name), new_ssh_key, accept=_is_ssh_key)
        self.in_use.add(name)
        self._hide(name, text.strip())
        return text

    def ssh_public_key(self, name: str) -> str:
        """Return the public line of the key called ``name``, without a newline."""
        public = self._public(name, self.ssh_private_key(name))
        line = public.rpartition(" ")[0]
        return self._file(
            f"{_ssh_path(name)}.pub", lambda: f"{public}\n", accept=lambda text: text.startswith(line)
        ).rstrip("\n")

    def ssh_admitted(self, name: str) -> list[str]:
        """Return the public line of each key called ``name`` that is admitted: one, or two while it is being changed."""
        beside = [self._public(name, text) for text in self._beside(_ssh_path(name))]
        return list(dict.fromkeys([self.ssh_public_key(name), *beside]))

    def change(self, name: str) -> changes.Change:
        """Return how far a secret is on its way to the next, and what takes it there."""
        return changes.Change(self._store, path_of(name))

    def newest(self, name: str) -> str:
        """Return the private key called ``name`` that is used from the next step of a change on."""
        return self._read(f"{_ssh_path(name)}{changes.NEXT}") or self.ssh_private_key(name)

    def former(self, name: str) -> str:
        """Return the private key called ``name`` that was used before and is still admitted; empty where it is not being changed."""
        text = self._read(f"{_ssh_path(name)}{changes.OLD}") or ""
        if text:
            self._hide(name, text.strip())
        return text

    def changing(self, name: str) -> bool:
        """Whether a secret is on its way to the next."""
        return self.change(name).stage != changes.SETTLED

    def newest_public(self, name: str) -> str:
        """Return the public line of the key that is used from the next step of a change on, without a newline."""
        change = self.change(name)
        return self._public(name, change.coming or change.used)

    def newest_login(self, name: str) -> Login:
        """Return the login that is used from the next step of a change on."""
        text = self._read(f"secrets/{_checked(name)}{changes.NEXT}")
        return _login(name, text) if text else self.logins(name)[0]

    def named(self, text: str) -> str:
        """Return a text with the name of each secret in it that can be changed while services run, and each line once.

        It is the same before, during and after such a change. A text without such a secret stays as it is.
        """
        named = text
        for shown, name in self._shown.items():
            named = named.replace(shown, f"<{name}>")
        if named == text:
            return text
        for second, first in self._turns.items():
            named = re.sub(rf"\b{re.escape(second)}\b", first, named)
        return "\n".join(dict.fromkeys(named.split("\n")))

    def waits_for_start(self, text: str) -> bool:
        """Whether a text has a host key that its server takes up when it is started: no rotation is there to tell it."""
        return any(
            shown in text and self.change(name).stage != changes.SWITCHED
            for shown, name in self._shown.items()
            if name.startswith("host_keys/") and shown.startswith("-----BEGIN ")
        )

    def _hide(self, name: str, *texts: str) -> None:
        self._shown.update(dict.fromkeys(texts, name))

    def _public(self, name: str, private: str) -> str:
        line = (
            serialization.load_ssh_private_key(private.encode(), password=None)
            .public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .decode()
        )
        self._hide(name, line)
        return f"{line} {self._comment}-{name.rpartition('/')[2]}"

    def _beside(self, relative: str) -> list[str]:
        """What is admitted beside a secret that is being changed: the one to come, or the one that was."""
        return [
            text for text in (self._read(f"{relative}{end}") for end in (changes.NEXT, changes.OLD)) if text
        ]

    def _read(self, relative: str) -> str:
        """The content of a file that need not be there."""
        try:
            return self._store.read(relative) or ""
        except ValueError as error:
            raise KeyringError(
                f"{self._store.place(relative)} is damaged ({error}). Put back a copy of it, or remove it."
            ) from error

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


def _login(name: str, text: str) -> Login:
    return Login(changes.user(name, text), text.partition("\n")[0])


def path_of(name: str) -> str:
    """Return where a secret lies below the state directory: that of a key for ``keys/…`` and ``host_keys/…``, else of a password."""
    return _ssh_path(name) if is_ssh_key(name) else f"secrets/{_checked(name)}"


def is_ssh_key(name: str) -> bool:
    """Whether the secret of that name is an SSH key, and not a password."""
    return name.startswith(_KEYS)


def _ssh_path(name: str) -> str:
    kind, _separator, owner = _checked(name).partition("/")
    files = {"keys": "id_ed25519", "host_keys": "ssh_host_ed25519_key"}
    if kind not in files or not owner or "/" in owner:
        raise KeyringError(
            f"'{name}' cannot name an SSH key: it must be keys/<owner> or host_keys/<service>."
        )
    return f"{kind}/{owner}/{files[kind]}"


def new_password() -> str:
    """Return a random password, as a file holds it."""
    return "".join(secrets.choice(PASSWORD_CHARACTERS) for _unused in range(PASSWORD_LENGTH)) + "\n"


def _is_ssh_key(text: str) -> bool:
    """True, or a ValueError that says what is wrong."""
    try:
        serialization.load_ssh_private_key(text.encode(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:  # needs a passphrase, for example
        raise ValueError(str(error)) from error
    return True


def new_ssh_key() -> str:
    """Return a new private key (OpenSSH)."""
    return (
        ed25519.Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        .decode()
    )
