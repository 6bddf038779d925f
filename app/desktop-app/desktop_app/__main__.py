"""Serve the artifacts: ``python -m desktop_app``."""

import json
import os
from pathlib import Path

import uvicorn

from desktop_app.app import create_app

ARTIFACTS = Path(__file__).parent.with_name("artifacts")


def main() -> None:
    config = json.loads(
        Path(os.environ.get("DESKTOP_APP_CONFIG", "/etc/dockfra/desktop-app.json")).read_bytes()
    )
    uvicorn.run(
        create_app(ARTIFACTS),
        host="0.0.0.0",  # noqa: S104 - it listens on each of its networks
        port=int(os.environ["DOCKFRA_PORT_HTTP"]),  # from the inventory; the health check asks it, too
        log_level=config["log_level"],
        access_log=False,
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
