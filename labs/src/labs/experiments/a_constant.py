"""Lab 2.3: a semaphore finds the line, until the server is another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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

# Semaphores of 10 to 500 for a server of 500; each sends two waves.
LEVELS, QUICK_LEVELS = (0.02, 0.1, 0.2, 0.5, 1.0), (0.2, 1.0)
CLAIMED_PER_S, CLAIMED_SUCCESS_PERCENT = 95.4, 100.0
SMALLER, CLAIMED_SMALLER_PERCENT = 5, 20.0
# Two servers that the client is told nothing about, with the requests to send.
UNKNOWN = (
    (Server(capacity=15, service_s=0.2), 1200),
    (Server(capacity=60, service_s=0.2), 3600),
)
QUICK_UNKNOWN = (
    (Server(capacity=8, service_s=0.1), 200),
    (Server(capacity=25, service_s=0.1), 500),
)
ENOUGH = 0.5  # of what the best constant does, slow start included
# A larger server must get a larger limit: with a constant between the two, repeats
# would still get everything through.
APART = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One unknown server: the constant that fits it, and the client that finds out."""

    server: Server
    known: Wave
    adaptive: Wave
    limit: float

    @property
    def share(self) -> float:
        """The client's speed over that of the fitting constant."""
        return self.adaptive.per_s / self.known.per_s


def meet(server: Server, *, sent: int) -> Pair:
    """Send to a server with the constant that fits it, then without any."""
    known = naive(server, sent=sent, at_once=server.capacity)
    adaptive, limit = ours(server, sent=sent, concurrency="adaptive")
    return Pair(server=server, known=known, adaptive=adaptive, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of every wave.

    Args:
        server: the server of the claims.
        waves: sent to it, behind larger and larger semaphores.
        wrong: sent to a smaller server, behind the largest of them.
        pairs: the unknown servers, the larger one last.
    """

    server: Server
    waves: tuple[Wave, ...]
    wrong: Wave
    pairs: tuple[Pair, ...]

    @property
    def best(self) -> Wave:
        """The wave behind the constant that fits."""
        return self.waves[-1]

    @property
    def lossless(self) -> bool:
        """Whether the client got everything through, told nothing."""
        return all(p.adaptive.succeeded == p.adaptive.sent for p in self.pairs)

    @property
    def apart(self) -> float:
        """How many times the limit the larger unknown server got."""
        return self.pairs[-1].limit / self.pairs[0].limit


def measure(form: Form) -> Measured:
    """Send to the server of the claims, to a smaller one, and to unknown ones."""
    capacity, service_s = form.pick(
        quick=(QUICK_CAPACITY, QUICK_SERVICE_S), whole=(CAPACITY, SERVICE_S)
    )
    server = Server(capacity=capacity, service_s=service_s)
    smaller = Server(capacity=capacity // SMALLER, service_s=service_s)
    levels = form.pick(quick=QUICK_LEVELS, whole=LEVELS)
    counts = [round(x * capacity) for x in levels]
    unknown = form.pick(quick=QUICK_UNKNOWN, whole=UNKNOWN)
    return Measured(
        server=server,
        waves=tuple(naive(server, sent=2 * n, at_once=n) for n in counts),
        wrong=naive(smaller, sent=capacity, at_once=capacity),
        pairs=tuple(meet(there, sent=sent) for there, sent in unknown),
    )


@experiment(
    "2.3",
    title="A semaphore of the right size, and a server of another",
    question="Which number goes into the semaphore?",
    hypothesis=(
        "The server's capacity: less leaves it idle, more is refused. But the number "
        "is a property of a server on a day, and nobody tells it to the client."
    ),
    claim=(
        "Semaphore(500): 100 % success and 95.4 a second, against 90.8 without; the "
        "same constant against a server of 100: 20 % success"
    ),
    explanation="""
        Behind a semaphore of the server's capacity, all is answered at the speed of
        Little's law. The same number is five times too many for a server a fifth as
        large: four of five are refused at once. A limiter that watches the answers
        needs no number: it grows while more at once brings more answers a second, and
        cuts when the server refuses or slows.""",
    production="""
        concurrency="adaptive" is the default of aip ingest. Give a constant only for a
        quota that you know, and rate= for requests or tokens a minute.""",
)
def lab(form: Form) -> Finding:
    """Try constants on the server of the claims, a smaller one, and unknown ones."""
    found = measure(form)
    best, capacity = found.best, found.server.capacity
    shares = " and ".join(f"{100 * pair.share:.0f} %" for pair in found.pairs)
    return Finding(
        measured=(
            f"Semaphore({capacity}): {best.success_percent:.1f} %, {best.per_s:.1f} a "
            f"second; against a server of {capacity // SMALLER}: "
            f"{found.wrong.success_percent:.1f} %; adaptive, told nothing: "
            f"{100 if found.lossless else 0} % on both, at {shares} of the fitting "
            f"constant, the larger with {found.apart:.1f} times the limit"
        ),
        verdict=_verdict(found),
        broken=Way(name="a constant", code="async with Semaphore(500): ..."),
        right=Way(
            name="a limiter that watches",
            code='AsyncHttpClient(concurrency="adaptive")',
        ),
        figures=(
            *_semaphore_figures(found.waves),
            _wrong_figure(found.wrong),
            *_unknown_figures(found.pairs),
        ),
        charts=_charts(found.server, found.waves, found.pairs),
    )


def _verdict(found: Measured) -> Verdict:
    best, wrong, ceiling_per_s = found.best, found.wrong, found.server.ceiling_per_s
    claimed_per_s = CLAIMED_PER_S * ceiling_per_s / (CAPACITY / SERVICE_S)
    close = all(pair.share > ENOUGH for pair in found.pairs)
    finds_out = found.lossless and found.apart > APART and close
    return worst(
        compare(best.success_percent, claimed=CLAIMED_SUCCESS_PERCENT, tolerance=0.001),
        compare(best.per_s, claimed=claimed_per_s, tolerance=0.3, good="higher"),
        compare(wrong.success_percent, claimed=CLAIMED_SMALLER_PERCENT, tolerance=0.15),
        "better" if finds_out else "not reproduced",
    )


def _semaphore_figures(waves: Sequence[Wave]) -> Iterator[Figure]:
    for wave in waves:
        said = wave.at_once == CAPACITY
        name = f"Semaphore({wave.at_once})"
        yield Figure(
            name=f"{name}: success",
            value=wave.success_percent,
            unit="%",
            claimed=CLAIMED_SUCCESS_PERCENT if said else None,
        )
        yield Figure(
            name=f"{name}: speed",
            value=wave.per_s,
            unit="1/s",
            claimed=CLAIMED_PER_S if said else None,
        )


def _wrong_figure(wave: Wave) -> Figure:
    return Figure(
        name=f"Semaphore({wave.at_once}), a server of a fifth: success",
        value=wave.success_percent,
        unit="%",
        claimed=CLAIMED_SMALLER_PERCENT,
    )


def _unknown_figures(pairs: Sequence[Pair]) -> Iterator[Figure]:
    for pair in pairs:
        name = f"unknown server of {pair.server.capacity}"
        known, adaptive = pair.known, pair.adaptive
        success = adaptive.success_percent
        yield Figure(name=f"{name}, fitting constant", value=known.per_s, unit="1/s")
        yield Figure(name=f"{name}, adaptive", value=adaptive.per_s, unit="1/s")
        yield Figure(name=f"{name}, adaptive: success", value=success, unit="%")
        yield Figure(name=f"{name}, limit found", value=pair.limit)


def _charts(
    server: Server, waves: Sequence[Wave], pairs: Sequence[Pair]
) -> tuple[Chart, ...]:
    counts = [wave.at_once for wave in waves]
    law = [n / server.service_s for n in counts]
    names = [f"server of {pair.server.capacity}" for pair in pairs]
    known = [pair.known.per_s for pair in pairs]
    adaptive = [pair.adaptive.per_s for pair in pairs]
    return (
        Chart(
            title=f"Answers a second behind a semaphore, server of {server.capacity}",
            x="semaphore",
            y="successes a second",
            kind="line",
            series=(
                Series(label="measured", xs=counts, ys=[w.per_s for w in waves]),
                Series(label="Little's law", xs=counts, ys=law, model=True),
            ),
        ),
        Chart(
            title="A client that was told nothing",
            x="",
            y="successes a second",
            series=(
                Series(label="the constant that fits", xs=names, ys=known),
                Series(label="adaptive", xs=names, ys=adaptive),
            ),
        ),
    )
