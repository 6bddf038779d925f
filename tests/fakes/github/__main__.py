"""Run the fake GitHub until it is told to end: python -m tests.fakes.github --port 8900 --state /tmp/github.json"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from .server import FakeGitHub


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.github", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any; it is printed)")
    parser.add_argument("--state", type=Path, help="file that holds everything between two runs")
    parser.add_argument("--repo", default="octo/hello", help="repository there is (default: %(default)s)")
    parser.add_argument("--token", default="fake-token", help="token it accepts (default: %(default)s)")
    parser.add_argument("--prefix", default="", help="path of the API, /api/v3 as on GitHub Enterprise")
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with FakeGitHub(
        arguments.repo,
        arguments.token,
        host=arguments.host,
        port=arguments.port,
        prefix=arguments.prefix,
        state=arguments.state,
    ) as fake:
        print(fake.url, flush=True)
        ended.wait()
        for problem in fake.problems:
            print(problem, file=sys.stderr)
        return 1 if fake.problems else 0


if __name__ == "__main__":
    sys.exit(main())
