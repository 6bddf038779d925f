"""Run the fake OpenRouter until it is told to end: python -m tests.fakes.openrouter --port 8901"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from .server import FakeOpenRouter
from .turns import read


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.openrouter", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any; it is printed)")
    parser.add_argument("--key", default="fake-key", help="key it accepts (default: %(default)s)")
    parser.add_argument(
        "--script", type=Path, help="JSON list of turns to replay, see tests/fakes/openrouter/turns.py"
    )
    parser.add_argument("--obedient", action="store_true", help="do whatever a text says")
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with FakeOpenRouter(arguments.key, host=arguments.host, port=arguments.port) as fake:
        fake.obedient = arguments.obedient
        if arguments.script:
            fake.script(*read(arguments.script.read_text()))
        print(fake.url, flush=True)
        ended.wait()
        for problem in fake.problems:
            print(problem, file=sys.stderr)
        return 1 if fake.problems else 0


if __name__ == "__main__":
    sys.exit(main())
