# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What has to be known of a server so that others reach it: asked by the form that is filled in, and by the plan."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re

# The only one that the link takes, see HostKeyAlgorithms in its ssh_config.
_TYPE = "ssh-ed25519"
_BYTES = 32
_A_TYPE = re.compile(r"(sk-)?(ssh|ecdsa)-[a-z0-9-]+(@openssh\.com)?")

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def address_problem(text: str) -> str:
    """Return why a server cannot be found by an address, as the end of a sentence; empty where nothing says that it cannot.

    Containers have no IPv6, so no link gets there by it, and what is published is so by IPv4.
    """
    wanted = "it is a name or an IPv4 address"
    try:
        version = ipaddress.ip_address(text.strip("[]")).version
    except ValueError:
        return "" if _NAME.fullmatch(text) else wanted
    return "" if version == 4 else f"{wanted}, and containers and published ports have no IPv6"


def host_key_problem(line: str) -> str:
    """Return why a line is no host key by which a server can be known, as the end of a sentence; empty where it is one."""
    words = line.split()
    wanted = f"it is a public key of the type {_TYPE}, such as {_TYPE} AAAA…"
    if len(words) > 1 and not _A_TYPE.fullmatch(words[0]) and _A_TYPE.fullmatch(words[1]):
        return f"that is a whole line of ssh-keyscan, and {words[0]} is the address in it; give what comes after that"
    if not words or not _A_TYPE.fullmatch(words[0]):
        return wanted
    if words[0] != _TYPE:
        return f"{wanted}, and this one is of the type {words[0]}"
    try:
        content = base64.b64decode(words[1] if len(words) > 1 else "", validate=True)
    except binascii.Error:
        content = b""
    # As in RFC 8709: the type and the key, each with its length.
    begin = len(_TYPE).to_bytes(4, "big") + _TYPE.encode() + _BYTES.to_bytes(4, "big")
    if not content.startswith(begin) or len(content) != len(begin) + _BYTES:
        return f"{wanted}, and what follows the type here is no such key, or not all of it"
    return ""
