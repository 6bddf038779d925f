import asyncio
import unittest

from greeter import application


def answer(path):
    """Status and body of a request, without a server."""
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(application({"type": "http", "path": path}, None, send))
    return sent[0]["status"], sent[1]["body"]


class Greeter(unittest.TestCase):
    def test_it_greets(self):
        assert answer("/greeter") == (200, b"Hello\n")

    def test_what_is_not_there_is_not_found(self):
        assert answer("/other")[0] == 404
