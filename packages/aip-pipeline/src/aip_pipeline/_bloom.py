"""Which texts were surely never met: a Bloom filter over their hashes."""

from __future__ import annotations

from collections.abc import Iterable

POSITION_BYTES = 3
MAX_FILTER_BYTES = 1 << 8 * POSITION_BYTES >> 3

_number = int.from_bytes


class BloomFilter:
    """Remember hashes in a fixed 2 MiB; what it calls new was never added.

    Two bits a hash, taken out of the hash itself, which is random. Of what is new it
    takes 1 % for known after 900,000 hashes and half after ten million: whoever asks
    then looks again where he would have looked anyway.

    Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", 1970.

    >>> seen = BloomFilter()
    >>> seen.add([b"0123456789abcdef"])
    >>> seen.maybe([b"0123456789abcdef", b"fedcba9876543210"])
    [b'0123456789abcdef']
    """

    def __init__(self) -> None:
        self._bits = bytearray(MAX_FILTER_BYTES)

    def add(self, hashes: Iterable[bytes]) -> None:
        """Remember hashes, of six bytes at least."""
        bits = self._bits
        for each in hashes:
            one, two = _number(each[:3]), _number(each[3:6])
            bits[one >> 3] |= 1 << (one & 7)
            bits[two >> 3] |= 1 << (two & 7)

    def maybe(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Return those that may have been added; the others were not."""
        bits = self._bits
        return [
            each
            for each in hashes
            if bits[(one := _number(each[:3])) >> 3] >> (one & 7) & 1
            and bits[(two := _number(each[3:6])) >> 3] >> (two & 7) & 1
        ]
