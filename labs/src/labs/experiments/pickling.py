"""Lab 4.2: what goes into a process must be pickled, and comes back the same way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from labs import (
    KIB,
    MIB,
    Chart,
    Figure,
    Finding,
    Form,
    Series,
    Spread,
    Way,
    alternate,
    experiment,
    timed,
)

WORKERS = 2
SIZES = tuple(KIB << place for place in range(0, 12, 2))
QUICK_SIZES = (KIB, 16 * KIB, 256 * KIB, MIB)
WORDS = "some words to count, and some of them more than once, "
EVEN = 1.0
ROUNDS = 21


def tally(text: str) -> int:
    """Count the different words: work in Python, worth far more than its way."""
    return len(Counter(re.findall(r"\w+", text.lower())))


def upper(text: str) -> str:
    """Give the text back in capitals: work worth less than its way."""
    return text.upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How many times as fast two processes on two free cores are, by size of the text.

    Two processes take one round trip for two texts, this process twice the work; so
    the gain is twice the work over the round trip. Measured that way it does not
    depend on whether a second core happens to be free.
    """

    sizes: tuple[int, ...]
    times: tuple[Spread, ...]

    @property
    def even_bytes(self) -> int | None:
        """The least measured size from which on processes win; None for never."""
        wins = [spread.median > EVEN for spread in self.times]
        for size, place in zip(self.sizes, range(len(wins)), strict=True):
            if all(wins[place:]):
                return size
        return None


def gain(
    work: Callable[[str], object], pool: ProcessPoolExecutor, sizes: tuple[int, ...]
) -> Gain:
    """Work on a text of each size here, and by a round trip to a process, in turn."""
    times = []
    for size in sizes:
        text = (WORDS * (size // len(WORDS) + 1))[:size]

        def here(text: str = text) -> None:
            work(text)

        def there(text: str = text) -> None:
            pool.submit(work, text).result()

        ratio = alternate(timed(here), timed(there), rounds=ROUNDS).ratio
        ends = (WORKERS * each for each in (ratio.median, ratio.low, ratio.high))
        middle, low, high = ends
        times.append(Spread(median=middle, low=low, high=high, runs=ROUNDS))
    return Gain(sizes=sizes, times=tuple(times))


@experiment(
    "4.2",
    title="Where pickling costs more than a process gains",
    question="How large must a piece of work be to be worth a process?",
    hypothesis=(
        "A round trip costs some hundred microseconds and a copy each way. Work that "
        "takes longer than its way gains; work that is a copy itself never does."
    ),
    claim="small pieces lose by a process, large ones gain; cheap work never gains",
    explanation="""
        Argument and result are pickled, written to a pipe, read and unpickled, and two
        processes have to be woken. Below the break-even size that is longer than the
        work. Above it, counting words gains, towards two on two cores, because it
        takes much longer per byte than its way. upper() touches each byte once, as
        pickling does several times, so it loses at any size.""",
    production="""
        The pipeline sends nothing through a pipe: it works on threads, where a text is
        handed over by reference. If you put a parser of your own into processes, hand
        over paths and byte ranges, not texts, and make the pieces larger than the
        break-even size measured here.""",
)
def lab(form: Form) -> Finding:
    """Measure both kinds of work at each size, and find where processes win."""
    sizes = form.pick(quick=QUICK_SIZES, whole=SIZES)
    with ProcessPoolExecutor(1) as pool:
        pool.submit(tally, "warm").result()
        dear, cheap = gain(tally, pool, sizes), gain(upper, pool, sizes)
    even = dear.even_bytes
    loses_small = dear.times[0].median < EVEN
    cheap_best = max(spread.median for spread in cheap.times)
    holds = even is not None and loses_small and cheap_best < EVEN
    where = "never" if even is None else f"from {even / KIB:,.0f} KiB on"
    return Finding(
        measured=(
            f"counting words gains {where}: {dear.times[0].median:.2f} times at "
            f"1 KiB, {dear.times[-1].median:.2f} at {sizes[-1] / MIB:.0f} MiB; upper() "
            f"at most {cheap_best:.2f}"
        ),
        verdict="reproduced" if holds else "not reproduced",
        broken=Way(
            name="a process for each small piece", code="pool.map(tally, lines)"
        ),
        right=Way(
            name="large pieces, handed over by name",
            code="pool.map(tally_of_file, paths)",
        ),
        figures=(*_figures("counting words", dear), *_figures("upper()", cheap)),
        charts=(_chart(dear, cheap),),
    )


def _figures(name: str, found: Gain) -> Iterator[Figure]:
    for size, spread in zip(found.sizes, found.times, strict=True):
        yield Figure(
            name=f"{name}, {size / KIB:,.0f} KiB",
            value=spread.median,
            unit="x",
            low=spread.low,
            high=spread.high,
        )


def _chart(dear: Gain, cheap: Gain) -> Chart:
    sizes = [size / KIB for size in dear.sizes]
    return Chart(
        title="Two processes against this one",
        x="size of each text, KiB",
        y="times as fast",
        kind="line",
        log_x=True,
        series=(
            Series(label="counting words", xs=sizes, ys=[t.median for t in dear.times]),
            Series(label="upper()", xs=sizes, ys=[t.median for t in cheap.times]),
            Series(label="even", xs=sizes, ys=[EVEN] * len(sizes), model=True),
        ),
    )
