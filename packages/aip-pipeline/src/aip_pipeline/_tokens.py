"""How many tokens a text may be, from the kinds of its characters."""

from __future__ import annotations

import string
from collections.abc import Iterable

from aip_pipeline.embedders._spec import Spec

# Tokens a character, fitted by least squares to what tokenizers count in chunks of 1000
# characters of 40 texts: prose in 24 languages, Python, C, JavaScript, JSON, logs. The
# tokenizers are cl100k_base, of OpenAI's embedding models, as bpe-openai 0.1.4 counts,
# and that of `local`. On texts outside the fit (manual pages in nine languages, shell,
# Perl, Python, JavaScript, CSS, CSV, XML, YAML, a lock file, changelogs) the estimate
# was 0.82 to 1.25 of the count; four bytes a token, the usual guess, 0.29 to 0.99. Rare
# scripts (Georgian, Tamil) are taken for half of what they cost. The lead byte of UTF-8
# tells the script, so a table of 256 weights is all.
_ALL = bytes(range(0xC2, 0xF5))
_LATIN, _CYRILLIC = bytes(range(0xC2, 0xCC)), bytes(range(0xD0, 0xD5))
_SIGNS, _EMOJI = b"\xe2", bytes(range(0xF0, 0xF5))
_CJK, _HANGUL = bytes([*range(0xE3, 0xEA), 0xEF]), bytes(range(0xEA, 0xEE))
_KINDS = (
    _ALL,  # Greek, Arabic, Hindi, Thai and all the others
    string.ascii_lowercase.encode(),
    string.ascii_uppercase.encode(),
    string.digits.encode(),
    string.punctuation.encode(),
    b"\n",
    _LATIN,  # letters with accents break words into pieces
    _CYRILLIC,
    _CJK,  # Chinese and Japanese, with their signs
    _HANGUL,
    _SIGNS,  # dashes, curly quotes, arrows
    _EMOJI,
)
_CL100K = (1.0, 0.24, 0.44, 0.84, 0.34, 1.6, 1.8, 0.55, 1.15, 1.3, 0.7, 2.0)
_LOCAL = (1.2, 0.24, 0.67, 1.2, 0.63, 2.0, 2.2, 0.42, 1.35, 2.1, 1.5, 2.5)
_UNIT = 100  # of a token; what a byte can hold

HIGHEST, LOWEST = 1.25, 0.75
"""What an estimate may be of the count, for common texts."""


class TokenEstimate:
    """Add up what texts may cost in tokens; holds none of them.

    Args:
        spec: the embedder's spec; its prefix stands before each text.
    """

    def __init__(self, spec: str) -> None:
        named = Spec.parse(spec)
        self._weights = _table(_LOCAL if named.provider == "local" else _CL100K)
        self._units = 0
        self._prefix_units = self._of(named.prefix.encode())

    @property
    def tokens(self) -> int:
        """The estimate, rounded up."""
        return -(-self._units // _UNIT)

    def add(self, texts: Iterable[bytes]) -> None:
        """Take texts in UTF-8.

        >>> estimate = TokenEstimate("openai:text-embedding-3-small")
        >>> estimate.add([b"The cat sat by the window and watched the rain."])
        >>> estimate.tokens  # cl100k_base makes 11
        10
        """
        for text in texts:
            self._units += self._of(text) + self._prefix_units

    def _of(self, text: bytes) -> int:
        return sum(text.translate(self._weights))


def _table(weights: Iterable[float]) -> bytes:
    """Return the weight of each byte; what comes later stands."""
    table = bytearray(256)
    for kind, weight in zip(_KINDS, weights, strict=True):
        for byte in kind:
            table[byte] = round(weight * _UNIT)
    return bytes(table)
