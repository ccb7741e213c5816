"""Lab 2.2: the trap: everything at once, against a server that can carry 500."""

from __future__ import annotations

from collections.abc import Sequence

from labs import (
    Chart,
    Figure,
    Finding,
    Form,
    Series,
    Verdict,
    Way,
    compare,
    experiment,
    worst,
)
from labs.experiments._waves import (
    CAPACITY,
    QUICK_CAPACITY,
    QUICK_SERVICE_S,
    SERVICE_S,
    Server,
    Wave,
    naive,
    ours,
)

# How many at once, in capacities of the server: 1 to 2000 for a server of 500.
LEVELS = (0.002, 0.02, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
QUICK_LEVELS = (0.2, 1.0, 2.0, 4.0)
TWICE, FOUR_TIMES = 2.0, 4.0
CLAIMED_TWICE_PERCENT, CLAIMED_FOUR_TIMES_PERCENT = 57.4, 27.3


@experiment(
    "2.2",
    title="The trap: 1 to 2000 at once against a server that can carry 500",
    question="Is more at once faster?",
    hypothesis=(
        "Up to the server's capacity, yes: Little's law. Beyond it nothing is gained "
        "in speed, and what does not fit is refused."
    ),
    claim=("at 1000 at once 57.4 % success and 90.8 a second; at 2000 27.3 % success"),
    explanation="""
        A server that works on C requests at once for W seconds each gives C / W answers
        a second (Little's law, 1961). Fewer requests at once leave it idle; more cannot
        make it faster, so the surplus waits or, as here, gets 503 at once. gather over
        everything asks for the second case, and counts the refusals as its results.""",
    production="""
        AsyncHttpClient holds the line: one queue in front of a bounded number of slots,
        and a 503 that did no work is asked again later. map() pulls requests only as
        slots come free, so a million requests wait in the source, not on the wire.""",
)
def lab(form: Form) -> Finding:
    """Send waves with gather, then the largest two again with the platform."""
    server = form.pick(
        quick=Server(capacity=QUICK_CAPACITY, service_s=QUICK_SERVICE_S),
        whole=Server(capacity=CAPACITY, service_s=SERVICE_S),
    )
    levels = form.pick(quick=QUICK_LEVELS, whole=LEVELS)
    waves = [naive(server, sent=round(x * server.capacity)) for x in levels]
    held = [
        ours(server, sent=round(x * server.capacity), concurrency=server.capacity)[0]
        for x in (TWICE, FOUR_TIMES)
    ]
    twice, four = waves[-2:]
    return Finding(
        measured=(
            f"{twice.sent:,} at once: {twice.success_percent:.1f} % success, "
            f"{twice.per_s:.1f} a second; {four.sent:,}: {four.success_percent:.1f} %; "
            f"the platform: {held[0].success_percent:.1f} %, {held[0].per_s:.1f} a "
            f"second, and {held[1].success_percent:.1f} %"
        ),
        verdict=_verdict(server, waves, held),
        broken=Way(
            name="everything at once", code="await gather(*map(session.get, urls))"
        ),
        right=Way(
            name="a bounded client",
            code="async for outcome in client.map(requests): ...",
        ),
        figures=(*_figures("gather", waves), *_figures("platform", held)),
        charts=_charts(server, waves, held),
    )


def _verdict(server: Server, waves: Sequence[Wave], held: Sequence[Wave]) -> Verdict:
    twice, four = waves[-2:]
    lossless = all(wave.succeeded == wave.sent for wave in held)
    # 90.8 a second of 95.4: how much less depends on how fast a client can send.
    fastest = 1.05 * server.ceiling_per_s
    nothing_gained = twice.per_s < min(held[0].per_s, fastest)
    return worst(
        compare(twice.success_percent, claimed=CLAIMED_TWICE_PERCENT, tolerance=0.15),
        compare(
            four.success_percent, claimed=CLAIMED_FOUR_TIMES_PERCENT, tolerance=0.15
        ),
        "reproduced" if nothing_gained else "not reproduced",
        "better" if lossless else "not reproduced",
    )


def _figures(who: str, waves: Sequence[Wave]) -> list[Figure]:
    claimed = {1000: (57.4, 90.8), 2000: (27.3, None)} if who == "gather" else {}
    figures = []
    for wave in waves:
        name = f"{who}, {wave.sent:,} requests, {wave.at_once:,} at once"
        success, per_s = claimed.get(wave.sent, (None, None))
        share = wave.success_percent
        figures += [
            Figure(name=f"{name}: success", value=share, unit="%", claimed=success),
            Figure(name=f"{name}: speed", value=wave.per_s, unit="1/s", claimed=per_s),
        ]
    return figures


def _charts(
    server: Server, waves: Sequence[Wave], held: Sequence[Wave]
) -> tuple[Chart, ...]:
    sent, held_sent = [w.sent for w in waves], [w.sent for w in held]
    law = [min(n, server.capacity) / server.service_s for n in sent]
    speed = _chart(
        f"Answers a second, server of {server.capacity}",
        "successes a second",
        Series(label="gather", xs=sent, ys=[w.per_s for w in waves]),
        Series(label="platform", xs=held_sent, ys=[w.per_s for w in held]),
        Series(label="Little's law", xs=sent, ys=law, model=True),
    )
    success = _chart(
        f"Success, server of {server.capacity}",
        "%",
        Series(label="gather", xs=sent, ys=[w.success_percent for w in waves]),
        Series(label="platform", xs=held_sent, ys=[w.success_percent for w in held]),
    )
    return speed, success


def _chart(title: str, y: str, *series: Series) -> Chart:
    return Chart(
        title=title,
        x="requests sent at once",
        y=y,
        kind="line",
        log_x=True,
        series=series,
    )
