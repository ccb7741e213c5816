"""What must never be shown, taken out."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_QUERY = re.compile(r"(://[^\s?#]*)[?#]\S*")


def without_password(text: str) -> str:
    """Hide the user, password, query and fragment that an address in *text* carries.

    >>> without_password("http://me:secret@127.0.0.1/v1")
    'http://***@127.0.0.1/v1'
    >>> without_password("pinecone:https://h/a?api_key=secret")
    'pinecone:https://h/a?***'
    """
    return _QUERY.sub(r"\1?***", _CREDENTIALS.sub("//***@", text))
