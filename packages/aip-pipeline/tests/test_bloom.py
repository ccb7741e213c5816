"""The Bloom filter before the store: it never forgets, and seldom errs."""

from __future__ import annotations

from random import Random

from hypothesis import given, strategies as st

from aip_pipeline._bloom import BloomFilter

HASHES = st.lists(st.binary(min_size=16, max_size=16), max_size=20)


@given(added=HASHES, others=HASHES)
def test_what_was_added_is_never_called_new(
    added: list[bytes], others: list[bytes]
) -> None:
    seen = BloomFilter()
    seen.add(added[:10])
    seen.add(added[10:])
    assert seen.maybe(added) == added
    assert set(seen.maybe([*others, *added])) >= set(added)


def test_little_of_what_is_new_is_taken_for_known() -> None:
    random, seen = Random(1), BloomFilter()
    seen.add(random.randbytes(16) for _ in range(100_000))
    taken = seen.maybe(random.randbytes(16) for _ in range(100_000))
    assert len(taken) < 100  # in theory 14
