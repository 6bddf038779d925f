# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a builder works with: its directories, its programs, and the times that steps have."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...module_utils.errors import BuildError

# What of the image's environment a command gets: how it writes, and whom it trusts.
_KEPT = ("LANG", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin"


@dataclass(frozen=True)
class Means:
    """What a builder works with.

    Attributes:
        listen: hosts and ports.
        work: an empty directory that is its own, in memory.
        python: the directory of an environment whose ``bin/python`` is the one of the services.
        pip: the command of a pip of that interpreter.
        wheels: wheels that the image brought.
        pip_config: pip's configuration file; none where it is empty.
        proxy: the way to package indexes; none where it is empty.
        seconds: for the whole of a build.
        step_limit: for one step of one service.
        life: seconds that it lives at least, see `server`.
    """

    listen: tuple[tuple[str, int], ...]
    work: str = "/work"
    python: str = "/usr/local/lib/dockfra/python-env"
    pip: tuple[str, ...] = ("/usr/local/lib/dockfra/pip/bin/pip",)
    wheels: str = "/usr/local/lib/dockfra/wheels"
    pip_config: str = ""
    proxy: str = ""
    seconds: float = 1800.0
    step_limit: float = 900.0
    life: float = 0.0

    @property
    def interpreter(self) -> str:
        """The interpreter that the services have."""
        return os.path.join(self.python, "bin", "python")

    def environment(self, python: str = "", network: bool = False) -> dict[str, str]:
        """Return the environment of a command.

        Args:
            python: the directory of the environment whose programs it finds first.
            network: whether it is told the way to the package indexes.
        """
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        found = {
            **kept,
            "HOME": f"{self.work}/home",
            "PATH": f"{python or self.python}/bin:{_SYSTEM_PATH}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PIP_CONFIG_FILE": self.pip_config or os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_INPUT": "1",
            "PIP_FIND_LINKS": self.wheels,
        }
        if network and self.proxy:
            names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
            found.update(dict.fromkeys(names, self.proxy), no_proxy="localhost,127.0.0.1")
        return found


def load(path: Path) -> Means:
    """Return what a configuration file says; raises BuildError where it cannot be read."""
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
        values["listen"] = tuple((str(place["host"]), int(place["port"])) for place in values["listen"])
        if "pip" in values:
            values["pip"] = tuple(values["pip"])
        known = {entry.name for entry in fields(Means)}
        return Means(**{key: value for key, value in values.items() if key in known})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{path} cannot be read: {error!r}; run site.yml again") from error
