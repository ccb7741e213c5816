"""What must never be shown, taken out."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"//[^/@\s]*@")


def without_password(text: str) -> str:
    """Hide the user and password that an address in *text* carries.

    >>> without_password("http://me:secret@127.0.0.1/v1")
    'http://***@127.0.0.1/v1'
    """
    return _CREDENTIALS.sub("//***@", text)
