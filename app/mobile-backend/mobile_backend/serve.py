"""What the supervisor serves: ``mobile_backend.serve:application``, see release.yml."""

import logging

from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from mobile_backend.app import create_app
from mobile_backend.config import config_path, load_config


def application() -> ASGIApp:
    """The application, configured by its file. The server's own messages are as loud as its own."""
    config = load_config()
    for name in ("uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(config.log_level.upper())
    # The forwarded scheme ends up only in the URLs told to the very client that sent it.
    return ProxyHeadersMiddleware(create_app(config, config_path()), trusted_hosts="*")  # type: ignore[arg-type, return-value]
