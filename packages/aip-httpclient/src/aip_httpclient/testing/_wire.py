"""A client whose server is a model in the same process: for virtual time."""

from __future__ import annotations

import asyncio

from multidict import CIMultiDict

from aip_httpclient._client import AsyncHttpClient
from aip_httpclient._wire import Answer, AttemptFailed, Parcel, Wire

from ._model import Fate, FaultModel

_FIRST_FAILURE = 300


async def _ok() -> bytes:
    return b'{"ok": true}'


class ModelClient(AsyncHttpClient):
    """An `AsyncHttpClient` that talks to a `FaultModel` instead of a socket.

    Everything but aiohttp is the real client; with `run_in_fake_time` an hour of
    brownouts takes a moment, and the same seeds give the same run. Takes the model as
    *model* and the client's settings as they are.

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
        self, *, model: FaultModel, one_way_s: float = 0.0005, **settings: object
    ) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]  # the client's own check
        self._model_wire = _ModelWire(model, one_way_s=one_way_s)

    def _open_wire(self) -> Wire:
        return self._model_wire


class _ModelWire:
    def __init__(self, model: FaultModel, *, one_way_s: float) -> None:
        self._model = model
        self._one_way_s = one_way_s

    async def send(self, parcel: Parcel, *, timeout_s: float, fresh: bool) -> Answer:  # noqa: ARG002  # every exchange is fresh
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(self._one_way_s)
                fate = await self._model.handle(
                    _ok,
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


def _answer(fate: Fate[bytes]) -> Answer:
    if fate.cut:
        raise AttemptFailed("transport", "connection broke: cut", early=True)
    headers = CIMultiDict(fate.headers)
    if fate.status >= _FIRST_FAILURE:
        raise AttemptFailed(
            "status",
            f"answered {fate.status}",
            status=fate.status,
            headers=headers,
            body=fate.text.encode(),
        )
    return fate.status, headers, fate.done or b""
