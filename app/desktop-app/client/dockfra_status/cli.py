"""dockfra-status: exit 0 when all is well, 1 when something is down or unreachable, 2 on wrong usage."""

import argparse
import os
import re
import ssl
import sys
import time
from urllib.parse import urlsplit

import msgspec

from dockfra_status import __version__
from dockfra_status.device import state
from dockfra_status.platform import Platform, PlatformError, Snapshot
from dockfra_status.tables import printable, render

# As the platform takes it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
MAX_TOKEN = 1024
# What goes there is on no network.
LOCAL = ("localhost", "127.0.0.1", "::1")


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        tls = ssl.create_default_context(cafile=options.ca_file)
    except OSError as error:  # an SSLError, for a file without certificates, is one too
        parser.error(f"--ca-file {options.ca_file}: {error.strerror or error}")
    platform = Platform(options.url, tls)
    token = _token(parser, options) if options.report else ""
    code = 1
    try:
        while True:
            if options.report:
                code = _report(platform, options.report, token)
            else:
                snapshot = platform.look()
                code = 0 if snapshot.healthy else 1
                _show(snapshot, as_json=options.json, redraw=options.watch is not None)
            if options.watch is None:
                return code
            time.sleep(options.watch)
    except KeyboardInterrupt:
        return code
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code


def _token(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The device's token; where it cannot be had, or would go over the network as it is, that is wrong usage."""
    parts = urlsplit(options.url)
    if parts.scheme != "https" and parts.hostname not in LOCAL:
        parser.error(f"--report sends a token, which {options.url} would show to all on the way; use https")
    if not options.token_file:
        parser.error("--report needs --token-file")
    try:
        with open(options.token_file, encoding="ascii") as file:
            token = file.read(MAX_TOKEN).strip()
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"--token-file {options.token_file}: {getattr(error, 'strerror', '') or 'is no token'}")
    if not token.isalnum():
        parser.error(f"--token-file {options.token_file}: is no token")
    return token


def _report(platform: Platform, name: str, token: str) -> int:
    try:
        platform.report(name, token, state())
    except PlatformError as error:
        print(f"dockfra-status: {printable(str(error))}", file=sys.stderr, flush=True)
        return 1
    return 0


def _show(snapshot: Snapshot, as_json: bool, redraw: bool) -> None:
    terminal = sys.stdout.isatty()
    if as_json:
        print(msgspec.json.encode(snapshot).decode(), flush=True)
    else:
        if redraw and terminal:
            print("\x1b[H\x1b[2J", end="")
        text = render(snapshot, colour=terminal and "NO_COLOR" not in os.environ)
        if text:
            print(text, flush=True)
    for problem in snapshot.problems:
        print(f"dockfra-status: {printable(problem)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dockfra-status",
        description="Show the services, deployments and devices of a Dockfra platform.",
        epilog="Exit code: 0 all is well, 1 something is down or unreachable, 2 wrong usage.",
    )
    parser.add_argument(
        "--url", type=_url, default="https://localhost", help="the platform (default: %(default)s)"
    )
    parser.add_argument(
        "--ca-file", metavar="FILE", help="CA certificate (PEM) that signed the platform's own"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument(
        "--watch",
        type=_seconds,
        nargs="?",
        const=5.0,
        metavar="SECONDS",
        help="look, or report, again every SECONDS (default: 5)",
    )
    parser.add_argument(
        "--report",
        type=_name,
        metavar="NAME",
        help="show nothing, and tell the platform how this device is, under its name",
    )
    parser.add_argument("--token-file", metavar="FILE", help="with --report: the device's own token")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not like https://host or http://host:port")
    return text


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a device: letters, digits, and . _ - within"
        )
    return text


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError("must be from 1 to 86400")
    return seconds
