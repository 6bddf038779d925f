# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's watch as its container runs it, but in a folder, for tests and benchmarks that start it as a process."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.settings.file import EnvFile
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import application, engines, health
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.containers import Containers
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import watch
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.chronicle import Chronicle
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.courier import Courier
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import ledger

PLACE = Place("monitor", "ssh-monitor", Policy({}, {}), {"monitor": "ssh-monitor"})


def main(folder: Path, period: float = watch.PERIOD) -> int:
    """Watch what ``targets.json`` in the folder names; snapshot, history, audit log, settings and the application that is told are there too."""
    threading.stack_size(watch.STACK)
    health.CONFIGURATION = folder / "targets.json"
    daemon = Daemon("watch", folder)
    engines.CONFIGURATION = folder / "docker.json"
    containers = Containers()
    application.CONFIGURATION = folder / "deployments.json"
    ledger.PLACE = folder / "deploys.json"
    chronicle = Chronicle(folder / "history.sqlite", daemon.log)
    log = AuditLog(folder / "ssh-monitor.jsonl")
    courier = Courier(EnvFile(folder / ".env", "monitor"), daemon.log)
    looks = watch.Watch(
        daemon,
        PLACE,
        log,
        courier,
        list,
        containers.latest,
        folder / "history.sqlite",
        lambda: 3600.0,
        asked=folder / "asked",
        sampled=chronicle.sampled,
    )
    return daemon.serve(looks.step, period)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
