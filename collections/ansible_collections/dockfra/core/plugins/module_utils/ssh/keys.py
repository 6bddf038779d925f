# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whose a key is that sshd has admitted, as authorized_keys says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable

_GATE = re.compile(r'command="/usr/local/bin/gate ([^"\s]+)"')
_KEY = re.compile(
    r"(?:^|\s)(?:sk-)?ssh-ed25519(?:@openssh\.com)?\s+(?P<blob>[A-Za-z0-9+/=]+)(?:\s+(?P<comment>.*))?$"
)


def names(lines: Iterable[str]) -> dict[str, str]:
    """Return the name of each key by its fingerprint: the gate's caller, or else the comment behind the key."""
    found: dict[str, str] = {}
    for line in lines:
        key = _KEY.search(line.strip())
        if key is None:
            continue
        caller = _GATE.search(line)
        print_ = fingerprint(key["blob"])
        if print_:
            found[print_] = caller[1] if caller else (key["comment"] or print_)
    return found


def fingerprint(blob: str) -> str:
    """Return a key's fingerprint as sshd writes it, empty for what is no key."""
    try:
        digest = hashlib.sha256(base64.b64decode(blob, validate=True)).digest()
    except (binascii.Error, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
