# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The connections on which PyGithub asks: its own ones, and what comes on them has its bounds (see `answers.http`).

Nothing here is imported before something is asked of GitHub; what it takes is not there in every container.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..answers.http import Bounded, Bounds, unpacked

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

# How much is unpacked at once.
_PART = 64 * 1024

_INJECTING = threading.Lock()


@contextmanager
def injected(bounds: Bounds) -> Iterator[None]:
    """A requester of PyGithub that is made within reads no more than an answer may have, in no more than its time."""
    from github.Requester import HTTPRequestsConnectionClass, HTTPSRequestsConnectionClass, Requester

    class Plain(HTTPRequestsConnectionClass):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.session.mount("http://", _adapter(bounds, self.retry, self.pool_size))

    class Secure(HTTPSRequestsConnectionClass):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.session.mount("https://", _adapter(bounds, self.retry, self.pool_size))

    # A requester keeps the classes that it was made with. PyGithub takes them for all that are made at the time.
    with _INJECTING:
        Requester.injectConnectionClasses(Plain, Secure)
        try:
            yield
        finally:
            Requester.resetConnectionClasses()


def _adapter(bounds: Bounds, retry: Any, pool_size: int) -> HTTPAdapter:
    """An adapter of requests whose answers are read when it returns them; raises TooMuchError and LateError besides."""
    from requests import PreparedRequest, Response
    from requests.adapters import HTTPAdapter
    from requests.exceptions import ChunkedEncodingError
    from urllib3.exceptions import HTTPError

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **options)
            self.poolmanager.pool_classes_by_scheme = _pools(bounds)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options)
            manager.pool_classes_by_scheme = _pools(bounds)
            return manager

        def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
            response = super().send(request, *arguments, **options)
            try:
                body = unpacked(response.raw.stream(_PART, decode_content=True), bounds)
            except (
                HTTPError
            ) as error:  # as requests says it of a body that breaks off or is not what it was called
                raise ChunkedEncodingError(error) from error
            response.raw = io.BytesIO(body)
            # That of JSON. To guess it of a long text takes minutes.
            response.encoding = "utf-8"
            return response

    return Adapter(max_retries=retry, pool_connections=pool_size, pool_maxsize=pool_size)


def _pools(limits: Bounds) -> dict[str, Any]:
    """The pools of urllib3 by scheme, with connections that have bounds."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(Bounded, HTTPConnection):
        bounds = limits

    class Secure(Bounded, HTTPSConnection):
        bounds = limits

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
