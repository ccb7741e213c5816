"""A run as one HTML page that needs nothing else: figures, plots, what was skipped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from html import escape
from importlib.metadata import version
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from aip_pipeline._charts import Line, chart, clock, short
from aip_pipeline._redaction import without_password
from aip_pipeline._report import by_suffix
from aip_pipeline._sampling import Reason, Recorder, Sample

if TYPE_CHECKING:
    from aip_pipeline._ingestion import Ingestion

MIB: Final = 1 << 20
# What is committed comes in steps of a quarter second; a rate needs several of them.
RATE_S: Final = 1.0
MAX_RATES: Final = 120


def page(run: Ingestion, recorded: Recorder, *, outcome: str, ended: str) -> str:
    """Write the report of a run.

    Args:
        run: the run, ended.
        recorded: what was seen of it meanwhile.
        outcome: how it ended, in a few words or an error's sentence.
        ended: when, as it will be shown.
    """
    style = files("aip_pipeline").joinpath("_page.css").read_text(encoding="utf-8")
    after = f"{ended}, after {clock(round(run.report.seconds, 1))}"
    plots = "".join(_plots(run, recorded.series.samples))
    parts = [
        "<h1>aip ingest</h1>",
        f'<p class="outcome">{escape(outcome)} <small>{escape(after)}</small></p>',
        _figures(run),
        f'<section class="plots">{plots}</section>',
        _skipped(run, recorded),
        _settings(run),
        f"<footer>aip-pipeline {escape(version('aip-pipeline'))}</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # The page may load nothing, whatever a source's name or a server says.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>aip ingest: {escape(outcome)}</title><style>{style}</style></head>"
        f"<body><main>{chr(10).join(parts)}</main></body></html>\n"
    )


def _figures(run: Ingestion) -> str:
    report, settings = run.report, run.settings
    rate = report.stored / max(report.seconds, 0.001)
    shown = [
        ("chunks stored", f"{report.stored:,}", f"{short(rate)} a second"),
        ("texts embedded", f"{report.embedded:,}", f"{report.reused:,} reused"),
        ("dead", f"{report.dead:,}", "see below" if report.dead else "nothing lost"),
        ("tokens", f"{report.tokens:,}", _cost(report.tokens, settings.price)),
        ("requests", f"{report.requests:,}", f"{report.retries:,} sent again"),
        (
            "peak memory",
            f"{report.peak_memory_bytes / MIB:.0f} MiB",
            f"waited mostly on {report.bottleneck}",
        ),
    ]
    tiles = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        f"<dd><small>{escape(more)}</small></dd></div>"
        for name, value, more in shown
    )
    return (
        f"<dl class='tiles'>{''.join(tiles)}</dl>"
        f"<p>{report.sources:,} sources. Read {report.read:,} = stored "
        f"{report.stored:,} + unchanged {report.unchanged:,} + filtered "
        f"{report.filtered:,} + dead {report.dead:,} chunks.</p>"
    )


def _cost(tokens: int, price: float | None) -> str:
    if price is None:
        return "no price given"
    return f"cost {tokens / 1e6 * price:,.4f} at {price:g} a million"


def _plots(run: Ingestion, samples: Sequence[Sample]) -> Iterator[str]:
    bound = run.settings.max_memory_bytes / MIB
    rates = Line("stored", _rates(samples))
    yield chart("Chunks stored per second", [rates], write=short)
    flight = [_line("in flight", samples, lambda s: s.in_flight)]
    if any(s.limit is not None for s in samples):
        flight.append(_line("limit", samples, lambda s: s.limit))
    yield chart("Requests in flight", flight, write=short)
    held = _line("held", samples, lambda s: s.held_bytes / MIB)
    yield chart(
        "Text and vectors held, MiB",
        [held],
        write=short,
        note=f"bound: {bound:g} MiB (--max-memory)",
    )
    memory = _line("process", samples, lambda s: s.memory_bytes / MIB)
    yield chart("Memory of the process, MiB", [memory], write=short)
    again = _line("all", samples, lambda s: s.retries)
    limited = _line("of these, answered 429", samples, lambda s: s.limited)
    yield chart("Requests sent again, in total", [again, limited], write=short)
    if any(s.latency_p50_s for s in samples):
        median = _line("median", samples, lambda s: s.latency_p50_s)
        slow = _line("90 % are faster", samples, lambda s: s.latency_p90_s)
        yield chart("Latency of a request, s", [median, slow], write=short)


def _line(
    name: str, samples: Sequence[Sample], value: Callable[[Sample], float | None]
) -> Line:
    pairs = ((sample.at_s, value(sample)) for sample in samples)
    return Line(name, [(at_s, y) for at_s, y in pairs if y is not None])


def _rates(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Turn the running total into a rate, each point over at least `RATE_S`."""
    if not samples or samples[-1].at_s < RATE_S:
        return []
    end_s = samples[-1].at_s
    count = max(1, min(MAX_RATES, int(end_s / RATE_S)))
    step = end_s / count
    totals = [_total(samples, step * n) for n in range(count + 1)]
    rates = [(b - a) / step for a, b in pairwise(totals)]
    middles = [(step * (n + 0.5), rate) for n, rate in enumerate(rates)]
    return [(0.0, rates[0]), *middles, (end_s, rates[-1])]


def _total(samples: Sequence[Sample], at_s: float) -> float:
    """Return the chunks stored at a time between two samples."""
    after = bisect_right(samples, at_s, key=lambda sample: sample.at_s)
    if after in {0, len(samples)}:
        return samples[min(after, len(samples) - 1)].stored
    left, right = samples[after - 1], samples[after]
    share = (at_s - left.at_s) / max(right.at_s - left.at_s, 1e-9)
    return left.stored + share * (right.stored - left.stored)


def _skipped(run: Ingestion, recorded: Recorder) -> str:
    report = run.report
    rows = [_reason(reason, found) for reason, found in recorded.reasons.items()]
    counted = recorded.more_reasons + sum(o.number for o in recorded.reasons.values())
    state = "removed" if run.removed else run.vanished.state
    others = [
        (recorded.more_reasons, "dead", "for other reasons"),
        (report.dead - counted, "dead", "in sources unchanged since an earlier run"),
        (report.unchanged, "chunks", "unchanged since an earlier run"),
        (report.filtered, "chunks", "not wanted (filtered)"),
        (run.vanished.vanished, "sources", f"vanished, and {state}"),
    ]
    rows += [(f"{n:,} {what}", why, "") for n, what, why in others if n > 0]
    if run.unknown:
        files = f"{sum(run.unknown.values()):,} files"
        rows.append(
            (files, "of a suffix that aip does not know", by_suffix(run.unknown))
        )
    if not rows:
        return "<h2>What was skipped</h2><p>Nothing.</p>"
    return f"<h2>What was skipped, and why</h2>{_table(rows)}"


def _reason(reason: str, found: Reason) -> tuple[str, str, str]:
    first = found.first
    line = "" if first.line is None else f", line {first.line}"
    place = f"first: {first.source}, byte {first.start}{line}"
    return f"{found.number:,} dead", reason, place


def _settings(run: Ingestion) -> str:
    settings = run.settings
    rows = [
        (name, without_password(str(value)), "")
        for name in (field.name for field in fields(settings))
        if (value := getattr(settings, name)) is not None
    ]
    return f"<h2>Settings</h2>{_table(rows)}"


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    body = (
        f"<tr><th>{escape(a)}</th><td>{escape(b)}"
        f"{f'<br><small>{escape(c)}</small>' if c else ''}</td></tr>"
        for a, b, c in rows
    )
    return f"<table>{''.join(body)}</table>"
