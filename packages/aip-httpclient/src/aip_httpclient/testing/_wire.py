"""A client whose server is a model in the same process: for virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from multidict import CIMultiDict

from aip_httpclient._client import AsyncHttpClient
from aip_httpclient._wire import Answer, AttemptFailed, Parcel, Wire

from ._model import Fate, FaultModel

_FIRST_FAILURE = 300

Handler: TypeAlias = Callable[[bytes], tuple[int, bytes]]
"""Takes the body of a request; gives the status and the body of the answer."""


def _ok(_: bytes) -> tuple[int, bytes]:
    return 200, b'{"ok": true}'


class ModelClient(AsyncHttpClient):
    """An `AsyncHttpClient` that talks to a `FaultModel` instead of a socket.

    Everything but aiohttp is the real client; with `run_in_fake_time` an hour of
    brownouts takes a moment, and the same seeds give the same run. Takes the model as
    *model*, what it answers when nothing is wrong as *answer*, and the client's
    settings as they are.

    >>> from aip_httpclient.testing import Brownout, Faults, run_in_fake_time
    >>> async def demo():
    ...     model = FaultModel(Faults(brownouts=(Brownout(start_s=0, end_s=3600),)))
    ...     async with ModelClient(model=model, deadline_s=None, seed=1) as client:
    ...         response = await client.post("http://model/", json={})
    ...     return response.status, model.outcomes["200"]
    >>> run_in_fake_time(demo())
    (200, 1)
    """

    def __init__(
        self,
        *,
        model: FaultModel,
        answer: Handler = _ok,
        one_way_s: float = 0.0005,
        **settings: object,
    ) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]  # the client's own check
        self._model_wire = _ModelWire(model, answer=answer, one_way_s=one_way_s)

    def _open_wire(self) -> Wire:
        return self._model_wire


class _ModelWire:
    def __init__(self, model: FaultModel, *, answer: Handler, one_way_s: float) -> None:
        self._model = model
        self._answer = answer
        self._one_way_s = one_way_s

    async def send(self, parcel: Parcel, *, timeout_s: float, fresh: bool) -> Answer:  # noqa: ARG002  # every exchange is fresh
        async def work() -> tuple[int, bytes]:
            return self._answer(parcel.body or b"")

        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(self._one_way_s)
                fate = await self._model.handle(
                    work,
                    key=parcel.headers.get("Idempotency-Key", ""),
                    name=parcel.headers.get("X-Request-Id", ""),
                    cost=float(parcel.headers.get("X-Cost", "0")),
                )
                await asyncio.sleep(self._one_way_s)
        except TimeoutError as error:
            what = f"no whole answer in {timeout_s:g} s"
            raise AttemptFailed("timeout", what) from error
        return _answer(fate)

    async def close(self) -> None:
        self._model.closing.set()


def _answer(fate: Fate[tuple[int, bytes]]) -> Answer:
    if fate.cut:
        raise AttemptFailed("transport", "connection broke: cut", early=True)
    headers = CIMultiDict(fate.headers)
    status, body = fate.done or (fate.status, fate.text.encode())
    if status >= _FIRST_FAILURE:
        raise AttemptFailed(
            "status",
            f"answered {status}",
            status=status,
            headers=headers,
            body=body,
        )
    return status, headers, body
