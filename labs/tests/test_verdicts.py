"""Every experiment passes on the platform as it is, and fails on a broken one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import aip_readers
from labs import Form, catalogue, choose, perform
from labs.experiments import (
    a_constant,
    all_at_once,
    event_loop,
    every_fault,
    lazy_range,
    pickling,
    reference_cycles,
    responsive_loop,
    threads_or_processes,
    week_one,
    week_two,
)
from labs.experiments._waves import Server, Wave, naive

# The benchmarks, which have names, are run by the tests beside their own.
NUMBERED = [made.id for made in catalogue() if made.id[0].isdigit()]
# These compare times; the others compare memory, or count what was lost.
TIMED = "2.1", "2.2", "2.3", "4.1", "4.2", "4.3"
alone = pytest.mark.alone


@pytest.mark.parametrize(
    "id_",
    [pytest.param(id_, marks=[alone] if id_ in TIMED else []) for id_ in NUMBERED],
)
def test_the_quick_form_reproduces_its_claim(id_: str) -> None:
    (made,) = choose([id_])
    # The machine is shared: a claim about speed may be tried again, one about memory
    # or about what is lost may not.
    tries = 1 if id_.startswith("1.") else 3
    try:
        found = perform(made, form=Form.QUICK).finding
        while found.verdict == "not reproduced" and tries > 1:
            tries -= 1
            found = perform(made, form=Form.QUICK).finding
    except threads_or_processes.TooFewCores as error:
        pytest.skip(str(error))
    if id_ == "4.1" and found.verdict == "not reproduced":
        pytest.skip(f"it needs two cores to itself: {found.measured}")
    assert found.verdict != "not reproduced", f"{found.measured} {found.tables}"
    assert found.charts, "an experiment draws something"


def verdict_of(id_: str) -> str:
    (made,) = choose([id_])
    return perform(made, form=Form.QUICK).finding.verdict


def test_1_1_finds_a_range_that_holds_its_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lazy_range, "count", lazy_range.hold)
    assert verdict_of("1.1") == "not reproduced"


def test_1_2_finds_a_reader_that_leaves_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    real = aip_readers.open_records

    def leaky(path: str) -> Any:
        reference_cycles.cycles(2_000)
        return real(path)

    monkeypatch.setattr(aip_readers, "open_records", leaky)
    assert verdict_of("1.2") == "not reproduced"


def test_1_3_finds_an_iterator_that_reads_everything_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hoarder(aip_readers.FileChunkIterator):
        def __enter__(self) -> Any:
            return Held(super().__enter__())

    monkeypatch.setattr(aip_readers, "FileChunkIterator", Hoarder)
    assert verdict_of("1.3") == "not reproduced"


def test_1_4_finds_a_cleaner_that_holds_every_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = aip_readers.clean_chunks

    def hoard(pieces: Iterator[str]) -> Iterator[str]:
        return iter(list(real(pieces)))

    monkeypatch.setattr(aip_readers, "clean_chunks", hoard)
    assert verdict_of("1.4") == "not reproduced"


def test_1_5_finds_a_splitter_that_loses_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(week_one, "stream", week_one.hold)
    assert verdict_of("1.5") == "not reproduced"


@alone
def test_2_1_finds_a_call_that_blocks_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_loop, "wait_elsewhere", event_loop.wait_rudely)
    assert verdict_of("2.1") == "not reproduced"


@alone
def test_2_2_finds_a_client_that_sends_everything_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unbounded(server: Server, *, sent: int, concurrency: int) -> tuple[Wave, float]:
        return naive(server, sent=sent), concurrency

    monkeypatch.setattr(all_at_once, "ours", unbounded)
    assert verdict_of("2.2") == "not reproduced"


@alone
def test_2_3_finds_a_client_that_keeps_to_a_constant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def constant(server: Server, *, sent: int, concurrency: str) -> tuple[Wave, float]:
        assert concurrency == "adaptive"
        return naive(server, sent=sent, at_once=50), 50

    monkeypatch.setattr(a_constant, "ours", constant)
    assert verdict_of("2.3") == "not reproduced"


def test_2_4_finds_a_client_that_gives_up_after_three_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(every_fault, "with_the_client", every_fault.with_a_recipe)
    assert verdict_of("2.4") == "not reproduced"


def test_2_5_finds_a_pipeline_that_holds_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(week_two, "stream", week_two.hold)
    assert verdict_of("2.5") == "not reproduced"


@alone
def test_4_1_finds_hashing_that_keeps_the_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(megabytes: int) -> int:
        return threads_or_processes.clean_lines(100 * megabytes)

    monkeypatch.setattr(threads_or_processes, "digest", keep)
    monkeypatch.setattr(threads_or_processes, "check_cores", lambda *_: None)
    assert verdict_of("4.1") == "not reproduced"


@alone
def test_4_2_finds_cheap_work_that_is_not_cheap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pickling, "upper", pickling.tally)
    assert verdict_of("4.2") == "not reproduced"


@alone
def test_4_3_finds_an_ingest_that_holds_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(responsive_loop, "ingested", responsive_loop.held)
    assert verdict_of("4.3") == "not reproduced"


class Held:
    """All blocks of an iterator at once, as a context manager."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = list(blocks)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.blocks)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *error: object) -> None:
        self.blocks.clear()
