# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The secrets that a role has where it runs, by their values: those of its settings, its keys, and what its configuration holds."""

from __future__ import annotations

import itertools
import os
import re
import stat
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import LLMSettingError

# Files, and bytes of each, that are looked through.
_MOST_FILES = 500
_MAX_FILE = 256 * 1024

# What the platform makes itself: long runs of letters and digits, and not digests, which have small hexadecimal digits only.
_MADE = re.compile(r"(?<![A-Za-z0-9])(?![0-9a-f]+(?![A-Za-z0-9]))[A-Za-z0-9]{32,512}(?![A-Za-z0-9])")
_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----", re.DOTALL
)

# The password in an address.
_IN_ADDRESS = re.compile(r"[a-z+.-]+://[^:@/\s]*:([^@/\s]+)@")


def of_settings(get: Callable[[str], Any], names: Iterable[str]) -> list[str]:
    """Return the values of secret settings; each of several in one counts for itself.

    Args:
        get: returns the value of a setting.
        names: of the settings that are secret.
    """
    return [part for name in names for part in str(get(name)).split(",") if part]


def of_files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the private keys and the long random values that files hold.

    Args:
        paths: files and folders; those that are not there are passed over.

    Raises:
        LLMSettingError: one cannot be read, or there are more than can be looked through, so it is not known what is secret.
    """
    found: list[str] = []
    for number, path in enumerate(_files(paths)):
        if number >= _MOST_FILES:
            raise LLMSettingError(
                f"There are more than {_MOST_FILES} files with secrets; no model is asked. Remove some."
            )
        text = _read(path)
        found += _KEY.findall(text)
        found += _chosen(os.path.basename(path), text)
        found += _MADE.findall(_KEY.sub("", text))
    return list(dict.fromkeys(found))


def _chosen(name: str, text: str) -> Iterator[str]:
    """The passwords that people chose, of files in which programs look for such."""
    if name == ".netrc":  # one line or many
        words = text.split()
        yield from (after for word, after in itertools.pairwise(words) if word == "password")
    elif name == ".git-credentials":
        for match in _IN_ADDRESS.finditer(text):
            yield from (match[1], urllib.parse.unquote(match[1]))
    elif name == ".pgpass":
        for line in text.splitlines():
            # Behind host, port, database and user; a backslash stands before a colon that parts nothing.
            *before, password = re.split(r"(?<!\\):", line.strip())
            if before and not line.startswith("#"):
                yield re.sub(r"\\(.)", r"\1", password)


def _files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    for path in paths:
        if not os.path.isdir(path):
            yield os.fspath(path)
        for folder, _folders, names in os.walk(path):
            yield from (os.path.join(folder, name) for name in sorted(names))


def _read(path: str) -> str:
    try:
        # Not waiting, in case there is a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return ""
            if status.st_size > _MAX_FILE:
                raise LLMSettingError(
                    f"{path} has more than {_MAX_FILE} bytes, too many to look for secrets; no model is asked."
                )
            return file.read(_MAX_FILE).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise LLMSettingError(
            f"{path} cannot be read ({error.strerror}), so it is not known what is secret; no model is asked."
        ) from error
