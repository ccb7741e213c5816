"""Running many calls against a misbehaving server, and what came of it."""

from __future__ import annotations

import asyncio
import time
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
) -> Run:
    """Make all calls at once, told nothing but what is passed."""
    sent: list[float] = []

    def note(event: Event) -> None:
        if event.kind == "recovered":
            sent.append(event.at_s)

    async with (
        serving("faults", faults) as server,
        AsyncHttpClient(
            base_url=server.url,
            rate=rate,
            attempt_timeout_s=attempt_timeout_s,
            mint_idempotency_keys=True,
            on_event=note,
            seed=faults.seed,
        ) as client,
    ):
        limits: list[float] = []
        watching = asyncio.create_task(_watch(client, limits))
        started, loop_started = time.perf_counter(), asyncio.get_running_loop().time()
        errors = await asyncio.gather(*[_one(client, i) for i in range(calls)])
        seconds = time.perf_counter() - started
        watching.cancel()
        counts = await server.counts()
    failures = tuple(error for error in errors if error)
    return Run(
        calls=calls,
        good=calls - len(failures),
        seconds=seconds,
        limits=tuple(limits),
        recovered_s=sent[-1] - loop_started if sent else None,
        errors=failures,
        **counted(counts),
    )


def model_run(
    faults: Faults,
    *,
    calls: int,
    rate: Rate | None = None,
    attempt_timeout_s: float = 60.0,
) -> Run:
    """Make all calls at once to a model of the server, in virtual time."""
    limits: list[float] = []

    async def main() -> Run:
        model = FaultModel(faults)
        client = ModelClient(
            model=model,
            rate=rate,
            attempt_timeout_s=attempt_timeout_s,
            mint_idempotency_keys=True,
            seed=faults.seed,
        )
        async with client:
            watching = asyncio.create_task(_watch(client, limits))
            errors = await asyncio.gather(
                *[_one(client, i, path=f"{MODEL}/x") for i in range(calls)]
            )
            watching.cancel()
        failures = tuple(error for error in errors if error)
        return Run(
            calls=calls,
            good=calls - len(failures),
            seconds=asyncio.get_running_loop().time(),
            limits=tuple(limits),
            arrived=model.arrived,
            outcomes=dict(model.outcomes),
            duplicates=sum(n - 1 for n in model.worked.values()),
            errors=failures,
        )

    return run_in_fake_time(main())


def counted(counts: dict[str, Any]) -> dict[str, Any]:
    """Pick what a `Run` keeps of the server's counts."""
    return {name: counts[name] for name in ("arrived", "outcomes", "duplicates")}


async def _one(client: AsyncHttpClient, number: int, *, path: str = "x") -> str:
    try:
        await client.post(path, json=number, headers={"X-Request-Id": str(number)})
    except HttpClientError as error:
        return type(error).__name__
    return ""


async def _watch(client: AsyncHttpClient, limits: list[float]) -> None:
    while True:
        limits.append(client.stats.limit)
        await asyncio.sleep(WATCH_S)
