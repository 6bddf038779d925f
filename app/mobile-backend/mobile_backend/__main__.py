"""Serve the mobile backend: ``python -m mobile_backend``."""

import os

import uvicorn

from mobile_backend.app import create_app
from mobile_backend.config import load_config


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
        # The forwarded scheme ends up only in the URLs told to the very client that sent it.
        proxy_headers=True,
        forwarded_allow_ips="*",
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
