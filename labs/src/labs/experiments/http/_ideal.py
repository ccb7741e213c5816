"""The least time that the fault mix's server allows, in two readings."""

from __future__ import annotations

import math

from aip_httpclient.testing import Faults

_STEP_S = 0.001


def at_the_rate_s(calls: float, faults: Faults) -> float:
    """Seconds at the stated rate, plus the outage: what the bars are measured by."""
    away_s = sum(each.end_s - each.start_s for each in faults.brownouts)
    per_s = (faults.requests_per_window or math.inf) / faults.window_s
    return _needed(calls, faults) / per_s + away_s


def with_the_burst_s(calls: float, faults: Faults) -> float:
    """Seconds if nobody ever waits but for the slots, the bucket and the outage.

    The bucket is full at the start and fills up again in the outage, so for a while
    the slots are the limit, not the rate. No client can know this beforehand.
    """
    if faults.latency is None or faults.capacity is None:
        raise ValueError("the model needs latency and capacity")
    mean_s = faults.latency.median_s * math.exp(faults.latency.sigma**2 / 2)
    slots_per_s = faults.capacity / mean_s
    most = float(faults.requests_per_window or math.inf)
    per_s, bucket = most / faults.window_s, most
    left, now_s = _needed(calls, faults), 0.0
    while left > 0:
        away = any(each.start_s <= now_s < each.end_s for each in faults.brownouts)
        gone = 0.0 if away else min(slots_per_s * _STEP_S, bucket, left)
        left -= gone
        bucket = min(most, bucket - gone + per_s * _STEP_S)
        now_s += _STEP_S
    return now_s


def _needed(calls: float, faults: Faults) -> float:
    """How many requests *calls* take, with the repeats that the faults force."""
    faulty = faults.error_rate + faults.reset_rate + faults.reset_after_rate
    return calls / (1.0 - faulty - faults.hang_rate)
