from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given, strategies as st

from aip_httpclient._retry_after import duration_s, retry_after_s


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "99999"}, 120.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"x-ratelimit-reset-requests": "2s"}, 2.0),
        ({"x-ratelimit-reset-requests": "2s", "x-ratelimit-reset-tokens": "6m0s"}, 120),
        (
            {
                "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-remaining-requests": "5",
                "x-ratelimit-reset-tokens": "40ms",
                "x-ratelimit-remaining-tokens": "0",
            },
            0.04,
        ),
    ],
)
def test_retry_after_in_all_its_forms(
    headers: dict[str, str], expected: float | None
) -> None:
    assert retry_after_s(headers) == expected


def test_retry_after_as_http_date() -> None:
    date = formatdate(time.time() + 20, usegmt=True)
    wait_s = retry_after_s({"retry-after": date})
    assert wait_s is not None
    assert 17 < wait_s <= 20


@given(st.text(), st.text(), st.text())
def test_no_header_ever_breaks_or_stalls(a: str, b: str, c: str) -> None:
    headers = {"retry-after-ms": a, "retry-after": b, "x-ratelimit-reset-tokens": c}
    wait_s = retry_after_s(headers, cap_s=120)
    assert wait_s is None or 0 <= wait_s <= 120


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_durations_add_up(hours: int, minutes: int, seconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s"
    assert duration_s(text) == hours * 3600 + minutes * 60 + seconds
