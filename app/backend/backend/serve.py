"""What the supervisor serves: ``backend.serve:application``, see release.yml."""

import logging

from fastapi import FastAPI

from backend.app import create_app
from backend.config import config_path, load_config


def application() -> FastAPI:
    """The application, configured by its file. The server's own messages are as loud as its own."""
    config = load_config()
    for name in ("uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(config.log_level.upper())
    return create_app(config, config_path())
