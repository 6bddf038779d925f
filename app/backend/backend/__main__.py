"""Serve the backend: ``python -m backend``."""

import uvicorn

from backend.app import create_app
from backend.config import load_config

PORT = 8081  # the one the health check asks, too


def main() -> None:
    config = load_config()
    uvicorn.run(
        create_app(config),
        host="0.0.0.0",  # noqa: S104 - it listens on each of its networks
        port=PORT,
        log_level=config.log_level,
        access_log=False,
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
