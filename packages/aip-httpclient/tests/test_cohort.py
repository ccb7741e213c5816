"""The measure of a limit is of whole cohorts, and never waits for ever."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from aip_httpclient._cohort import Cohort


def filled(n: int) -> Cohort:
    cohort = Cohort()
    cohort.restart(0.0, size=n)
    for i in range(n):
        cohort.send(i * 1e-6, crowd=n)
    return cohort


def test_the_quick_answers_alone_are_no_measure() -> None:
    cohort = filled(20)
    for i in range(11):
        assert not cohort.add(0.1 + i * 1e-3, rtt_s=0.1, started=i * 1e-6)
    # The twelfth of twenty is three fifths; all under way have taken longer by then.
    assert not cohort.add(0.112, rtt_s=0.1, started=11e-6)
    assert cohort.add(0.3, rtt_s=0.28, started=12e-6)
    assert cohort.mean_s == pytest.approx(0.1)
    assert cohort.crowd == 20


@pytest.mark.parametrize("seed", range(5))
def test_the_measure_does_not_depend_on_when_it_is_taken(seed: int) -> None:
    draw = Random(seed)
    cohort = filled(200)
    rtts = [draw.lognormvariate(-1.4, 0.4) for _ in range(200)]
    ended = sorted((i * 1e-6 + rtt, i) for i, rtt in enumerate(rtts))
    assert any(cohort.add(at, rtt_s=rtts[i], started=i * 1e-6) for at, i in ended)
    assert cohort.mean_s == pytest.approx(fmean(sorted(rtts)[:120]))
    assert 0 < cohort.error_s < cohort.mean_s / 5


def test_calls_without_an_answer_are_left_out() -> None:
    cohort = filled(20)
    assert not cohort.add(0.05, rtt_s=0.05, started=0.0)
    for i in range(1, 10):
        cohort.lose(started=i * 1e-6)
    answers = [cohort.add(0.2, rtt_s=0.15, started=i * 1e-6) for i in range(10, 16)]
    assert answers == [False] * 5 + [True]


def test_a_cohort_that_got_lost_is_begun_anew() -> None:
    cohort = filled(20)
    assert not cohort.add(0.1, rtt_s=0.1, started=0.0)
    # None of the others is ever heard of; answers to later calls go on.
    for i in range(200):
        cohort.send(1.0 + i / 100, crowd=20)
        if cohort.add(1.1 + i / 100, rtt_s=0.1, started=1.0 + i / 100):
            break
    else:
        pytest.fail("no measure, ever")
    assert cohort.mean_s == pytest.approx(0.1)
