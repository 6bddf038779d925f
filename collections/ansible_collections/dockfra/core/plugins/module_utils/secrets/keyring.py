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
import datetime
import ipaddress
import os
import re
import secrets
import string
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import KeyringError
from ..files import atomic

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    CRYPTOGRAPHY_ERROR: ImportError | None = None
except ImportError as error:
    CRYPTOGRAPHY_ERROR = error

PASSWORD_LENGTH = 48
PASSWORD_CHARACTERS = string.ascii_letters + string.digits
CA_DAYS = 3650
# Browsers refuse server certificates of more than 398 days (CA/Browser Forum baseline requirements, 6.3.2).
SERVER_DAYS = 397
RENEW_BEFORE_DAYS = 30

# Letters of other languages have to be written in their "xn--" form; the first label may be "*".
_HOSTNAME = re.compile(
    r"(?=.{1,253}$)(\*\.)?([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
)
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
            lambda: _self_signed_ca(key, self._comment),
            accept=lambda text: _is_authority(text, key),
        )

    def server_key(self, name: str) -> str:
        """Return the private key (PEM) of the server certificate ``name``."""
        return self._file(f"tls/{_checked_certificate(name)}.key", _new_tls_key, accept=_is_tls_key)

    def server_certificate(self, name: str, hostnames: Sequence[str]) -> str:
        """Return a certificate (PEM) for ``hostnames``, renewed 30 days before it ends or when the names change."""
        authority = self.ca_certificate()
        authority_key = self._authority_key()
        key = self.server_key(name)
        return self._file(
            f"tls/{name}.crt",
            lambda: _server_certificate(key, hostnames, authority, authority_key),
            accept=lambda text: _still_good(text, hostnames, key, authority),
        )

    def _authority_key(self) -> str:
        return self._file("tls/ca.key", _new_tls_key, accept=_is_tls_key)

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


def _is_tls_key(text: str) -> bool:
    """True, or a ValueError that says what is wrong."""
    return bool(_load_key(text))


def _new_ssh_key() -> str:
    return (
        ed25519.Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        .decode()
    )


def _new_tls_key() -> str:
    # P-256: every browser and Go's TLS accept it; ed25519 certificates are still refused by browsers.
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


def _builder(subject: str, public_key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # An hour back, for clients whose clock is behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:  # needs a passphrase, for example
        raise ValueError(str(error)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve key")
    return key


def _self_signed_ca(key_pem: str, project: str) -> str:
    key = _load_key(key_pem)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(f"{project} local CA", key.public_key(), CA_DAYS)
    certificate = (
        builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{project} local CA")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _alternative_names(hostnames: Sequence[str]) -> list[x509.GeneralName]:
    if not hostnames:
        raise KeyringError("A server certificate needs at least one host name. Set dockfra_hostnames.")
    names: list[x509.GeneralName] = []
    for hostname in hostnames:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(hostname)))
        except ValueError:
            names.append(_dns_name(hostname))
    return names


def _dns_name(hostname: str) -> x509.DNSName:
    if not _HOSTNAME.fullmatch(hostname):
        raise KeyringError(f"'{hostname}' is no host name for a certificate. Correct dockfra_hostnames.")
    return x509.DNSName(hostname)


def _server_certificate(
    key_pem: str, hostnames: Sequence[str], authority_pem: str, authority_key_pem: str
) -> str:
    names = _alternative_names(hostnames)
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    authority_key = _load_key(authority_key_pem)
    public_key = _load_key(key_pem).public_key()
    certificate = (
        _builder(hostnames[0][:64], public_key, SERVER_DAYS)  # a common name has at most 64 characters
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _is_authority(pem: str, key_pem: str) -> bool:
    """Whether a certificate belongs to the authority's key, which may have been made anew, and lasts."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return certificate.public_key() == _load_key(key_pem).public_key() and _lasts(certificate)


def _lasts(certificate: x509.Certificate) -> bool:
    now = datetime.datetime.now(datetime.UTC)
    return certificate.not_valid_after_utc - now > datetime.timedelta(days=RENEW_BEFORE_DAYS)


def _still_good(pem: str, hostnames: Sequence[str], key_pem: str, authority_pem: str) -> bool:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    try:
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, TypeError, ValueError, x509.ExtensionNotFound):
        return False
    return (
        _lasts(certificate)
        and list(names) == _alternative_names(hostnames)
        and certificate.public_key() == _load_key(key_pem).public_key()
    )
