"""In the place of community.docker's module: a container is made as declared, and is well unless the test says otherwise."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Works on the controller."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        root, name = Path(os.environ["STAGED"]), self._task.args["name"]
        found = json.loads((root / "declared.json").read_text())[name]
        if name in json.loads((root / "ill.json").read_text()):
            found["status"] = "unhealthy"
        (root / "made" / f"{name}.json").write_text(json.dumps(found))
        with (root / "made.log").open("a") as log:
            log.write(f"{name}\n")
        return {"changed": True}
