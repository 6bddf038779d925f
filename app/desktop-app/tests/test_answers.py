"""What the client makes of answers without an end."""

import itertools
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress

import dockfra_status.platform
import pytest
from dockfra_status.platform import MAX_ANSWER, Platform

HEAD = b"HTTP/1.1 200 OK\r\n"
ENDLESS = itertools.repeat(b"[" * 65536)


@contextmanager
def answering(parts, pause=0.0):
    """The address of a server that answers once with these parts; and, in a list, how many bytes were taken."""
    sent = [0]

    def serve(listener):
        with suppress(OSError), listener.accept()[0] as client:
            client.recv(65536)
            for part in parts:
                client.sendall(part)
                sent[0] += len(part)
                time.sleep(pause)
        # Whatever else is asked for is hung up on at once.
        with suppress(OSError):
            while True:
                listener.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", sent
        listener.shutdown(socket.SHUT_RDWR)


def problems(url):
    return Platform(url, ssl.create_default_context()).look().problems


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([HEAD, b"\r\n"], f"/api/status: the answer is larger than {MAX_ANSWER} bytes"),
        ([HEAD, b"Content-Length: 99999999999\r\n\r\n"], f"larger than {MAX_ANSWER} bytes"),
        ([HEAD, b"X-Long: "], "got more than"),
        ([b"HTTP/1.1 500 No\r\n\r\n"], "/api/status: HTTP 500"),
        ([b"HTTP/1.1 302 Moved\r\nLocation: http://127.0.0.1:9/\r\n\r\n"], "Connection refused"),
    ],
)
def test_finding_s4_an_endless_answer_is_not_read_on(parts, said):
    with answering(itertools.chain(parts, ENDLESS)) as (url, sent):
        found = problems(url)
        assert said in found[0]
        assert sent[0] < MAX_ANSWER + 16 * 1024 * 1024


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [HEAD, b"X-Slow: "],
        [HEAD, b"\r\n"],
        [HEAD, b"Transfer-Encoding: chunked\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n"],
    ],
)
def test_finding_s4_an_answer_that_drips_ends_when_its_time_is_up(parts, monkeypatch):
    monkeypatch.setattr(dockfra_status.platform, "TIMEOUT", 1)
    begin = time.monotonic()
    with answering(itertools.chain(parts, itertools.repeat(b"1")), 0.05) as (url, _sent):
        assert problems(url) == [f"{url}: no answer in 1 s"]
    assert time.monotonic() - begin < 5
