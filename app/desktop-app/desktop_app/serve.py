"""What the supervisor serves: ``desktop_app.serve:application``, see release.yml."""

import json
import logging
import os
from pathlib import Path

from starlette.applications import Starlette

from desktop_app.app import create_app

# What the image brought.
ARTIFACTS = Path(__file__).parent.with_name("artifacts")


def application() -> Starlette:
    """The application for the files of a release. The server's own messages are as loud as its own."""
    config = json.loads(
        Path(os.environ.get("DESKTOP_APP_CONFIG", "/etc/dockfra/desktop-app.json")).read_bytes()
    )
    for name in ("uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(config["log_level"].upper())
    return create_app(Path(os.environ.get("DOCKFRA_RELEASE_FILES") or ARTIFACTS))
