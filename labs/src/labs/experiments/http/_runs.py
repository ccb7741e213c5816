"""Running many calls against a misbehaving server, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aip_httpclient import AsyncHttpClient, Event, HttpClientError, Rate
from aip_httpclient.testing import (
    Brownout,
    FaultModel,
    Faults,
    Latency,
    ModelClient,
    run_in_fake_time,
)
from labs.experiments.http._server import serving

QUARTER = Latency(median_s=0.25)
WATCH_S = 0.25
MODEL = "http://model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run brought.

    Args:
        calls: made.
        good: came through.
        seconds: from the first call to the last answer.
        arrived: requests the server saw.
        outcomes: by what the server did.
        duplicates: work done more than once for one call.
        limits: the client's limit, every `WATCH_S` seconds.
        recovered_s: from the server's start to the first good answer after an
            outage, or None.
        errors: the failures by name.
    """

    calls: int
    good: int
    seconds: float
    arrived: int
    outcomes: dict[str, int]
    duplicates: int
    limits: tuple[float, ...] = ()
    recovered_s: float | None = None
    errors: tuple[str, ...] = ()

    @property
    def extra(self) -> float:
        """Requests beyond one for each call, as a share."""
        return self.arrived / self.calls - 1


def mix(seed: int) -> Faults:
    """Build the fault mix: its limits, its faults and its outage."""
    return Faults(
        seed=seed,
        latency=Latency(median_s=0.25, sigma=0.4),
        capacity=50,
        queue=25,
        requests_per_window=150,
        window_s=1.0,
        limiter="bucket",
        error_rate=0.05,
        reset_rate=0.005,
        reset_after_rate=0.005,
        hang_rate=0.01,
        brownouts=(Brownout(start_s=2.0, end_s=7.0),),
        honours_keys=True,
    )


async def run(
    faults: Faults,
    *,
    calls: int,
    rate: Rate | None = None,
    attempt_timeout_s: float = 60.0,
    concurrency: int | None = None,
) -> Run:
    """Make all calls at once, told nothing but what is passed."""
    recovered: list[float] = []
    async with (
        serving("faults", faults) as server,
        AsyncHttpClient(
            base_url=server.url,
            concurrency="adaptive" if concurrency is None else concurrency,
            rate=rate,
            attempt_timeout_s=attempt_timeout_s,
            mint_idempotency_keys=True,
            on_event=_note_recoveries(recovered),
            seed=faults.seed,
        ) as client,
    ):
        began = asyncio.get_running_loop().time()
        seen = await _crowd(client, calls, path="x")
        counts = await server.counts()
    if recovered:
        seen["recovered_s"] = recovered[-1] - began
    return Run(calls=calls, **seen, **counted(counts))


def _note_recoveries(at_s: list[float]) -> Callable[[Event], None]:
    """Give what writes down when the client is through with an outage."""

    def note(event: Event) -> None:
        if event.kind == "recovered":
            at_s.append(event.at_s)

    return note


async def _crowd(client: AsyncHttpClient, calls: int, *, path: str) -> dict[str, Any]:
    """Make *calls* at once, watching the limit; return the client's side of a `Run`."""
    limits: list[float] = []
    loop = asyncio.get_running_loop()
    watching = asyncio.create_task(_watch(client, limits))
    started = loop.time()
    ended = await asyncio.gather(*[_one(client, i, path=path) for i in range(calls)])
    seconds = loop.time() - started
    watching.cancel()
    errors = tuple(error for error in ended if error)
    good = calls - len(errors)
    return {"good": good, "seconds": seconds, "limits": tuple(limits), "errors": errors}


def model_run(
    faults: Faults,
    *,
    calls: int,
    rate: Rate | None = None,
    attempt_timeout_s: float = 60.0,
) -> Run:
    """Make all calls at once to a model of the server, in virtual time."""

    async def main() -> Run:
        model = FaultModel(faults)
        async with ModelClient(
            model=model,
            rate=rate,
            attempt_timeout_s=attempt_timeout_s,
            mint_idempotency_keys=True,
            seed=faults.seed,
        ) as client:
            seen = await _crowd(client, calls, path=f"{MODEL}/x")
        return Run(
            calls=calls,
            **seen,
            arrived=model.arrived,
            outcomes=dict(model.outcomes),
            duplicates=sum(n - 1 for n in model.worked.values()),
        )

    return run_in_fake_time(main())


def counted(counts: dict[str, Any]) -> dict[str, Any]:
    """Pick what a `Run` keeps of the server's counts."""
    return {name: counts[name] for name in ("arrived", "outcomes", "duplicates")}


async def _one(client: AsyncHttpClient, number: int, *, path: str) -> str:
    try:
        await client.post(path, json=number, headers={"X-Request-Id": str(number)})
    except HttpClientError as error:
        return type(error).__name__
    return ""


async def _watch(client: AsyncHttpClient, limits: list[float]) -> None:
    while True:
        limits.append(client.stats.limit)
        await asyncio.sleep(WATCH_S)
