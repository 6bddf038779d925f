"""Serve the backend: ``python -m backend``."""

import os

import uvicorn

from backend.app import create_app
from backend.config import load_config


def main() -> None:
    config = load_config()
    uvicorn.run(
        create_app(config),
        host="0.0.0.0",  # noqa: S104 - it listens on each of its networks
        port=int(os.environ["DOCKFRA_PORT_HTTP"]),  # from the inventory; the health check asks it, too
        log_level=config.log_level,
        access_log=False,
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
