# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A local certificate authority and its server certificates, as text (PEM)."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
from collections.abc import Sequence

from ..errors import KeyringError

with contextlib.suppress(ImportError):  # keyring.CRYPTOGRAPHY_ERROR says so
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
# Browsers refuse server certificates of more than 398 days (CA/Browser Forum baseline requirements, 6.3.2).
SERVER_DAYS = 397
RENEW_BEFORE_DAYS = 30

# Letters of other languages have to be written in their "xn--" form; the first label may be "*".
_HOSTNAME = re.compile(
    r"(?=.{1,253}$)(\*\.)?([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
)


def new_key() -> str:
    """Return a new private key (PEM)."""
    # P-256: every browser and Go's TLS accept it; ed25519 certificates are still refused by browsers.
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


def is_key(text: str) -> bool:
    """True, or a ValueError that says what is wrong."""
    return bool(_load_key(text))


def self_signed_authority(key_pem: str, project: str) -> str:
    """Return the certificate (PEM) of an authority for a key (PEM); ``project`` names it."""
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


def is_authority(pem: str, key_pem: str) -> bool:
    """Whether a certificate belongs to the authority's key, which may have been made anew, and lasts."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return certificate.public_key() == _load_key(key_pem).public_key() and _lasts(certificate)


def server_certificate(
    key_pem: str, hostnames: Sequence[str], authority_pem: str, authority_key_pem: str
) -> str:
    """Return a certificate (PEM) for a key and the host names it serves, signed by an authority.

    Raises:
        KeyringError: a name is no host name, or there is none.
    """
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


def is_good(pem: str, hostnames: Sequence[str], key_pem: str, authority_pem: str) -> bool:
    """Whether a server certificate is for these names and this key, of this authority, and lasts."""
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


def check_pair(pem: str, key_pem: str) -> None:
    """Accept a certificate, with or without others after it, and its private key, of whatever kind.

    Raises:
        ValueError: one is none, they do not belong together, or the certificate has ended.
    """
    certificate = x509.load_pem_x509_certificates(pem.encode())[0]
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:  # needs a passphrase, for example
        raise ValueError(str(error)) from error
    if key.public_key() != certificate.public_key():
        raise ValueError("the key is not that of the first certificate")
    if certificate.not_valid_after_utc <= datetime.datetime.now(datetime.UTC):
        raise ValueError(f"the certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}")


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


def _lasts(certificate: x509.Certificate) -> bool:
    now = datetime.datetime.now(datetime.UTC)
    return certificate.not_valid_after_utc - now > datetime.timedelta(days=RENEW_BEFORE_DAYS)
