"""A loopback server beside a test that runs no loop, or must not share its own."""

from __future__ import annotations

import asyncio
import threading
from typing import Any


class Served:
    """A server on a loop of its own thread, for tests that run none."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Any:
        self._thread.start()
        self._do(self.server.__aenter__())
        return self.server

    def __exit__(self, *error: object) -> None:
        self._do(self.server.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
