"""Sends lines to a gate over one connection, one after the other. Runs inside a role's container.

Reads ``[server, [[line, input], …]]`` from standard input, lines and inputs in Base64 because they need not be text, and prints
``[[exit status, output, error output], …]``.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time


def main() -> None:
    server, calls = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = os.path.join(folder, "connection")
        ssh = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", f"ControlPath={path}"]
        with subprocess.Popen([*ssh, "-M", "-N", "--", server], stdin=subprocess.DEVNULL) as connection:
            while not os.path.exists(path) and connection.poll() is None:
                time.sleep(0.02)
            answers = []
            for line, text in calls:
                # Not over a connection of its own, should this one have ended.
                command = [*ssh, "-o", "ProxyCommand=false", "--", server, base64.b64decode(line)]
                done = subprocess.run(command, input=base64.b64decode(text), capture_output=True, timeout=120)
                texts = [text.decode(errors="replace") for text in (done.stdout, done.stderr)]
                answers.append([done.returncode, *texts])
            connection.terminate()
    json.dump(answers, sys.stdout)


main()
