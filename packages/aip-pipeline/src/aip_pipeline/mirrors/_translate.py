"""What a failed HTTP call means to the one who keeps a mirror."""

from __future__ import annotations

from aip_httpclient import CallError, ConnectError, StatusRefused
from aip_pipeline._errors import MirrorError, MirrorRefused
from aip_pipeline.embedders._translate import found_nobody, why

# The rows may be at fault: of another dimension, too large, all zero.
ABOUT_ROWS = frozenset({400, 413, 422})
_ADVICE = {
    401: "check the key in PINECONE_API_KEY",
    402: "check the account's billing",
    403: "check the key in PINECONE_API_KEY, and what it may do",
    404: "check the index's host",
    429: "check the project's quota",
}


def translated(error: CallError, *, name: str, rows: bool) -> MirrorError:
    """Return the mirror's error for *error*, in one sentence with what to do.

    Args:
        error: of the call.
        name: the mirror's.
        rows: whether rows were sent, which may be what is refused.
    """
    said = error.reason.rstrip(" .:") or error.what
    if rows and isinstance(error, StatusRefused) and error.status in ABOUT_ROWS:
        return MirrorRefused(f"{name} refused rows: {error.status} {said}")
    tried = f"({error.attempts} attempt{'' if error.attempts == 1 else 's'})"
    host = "check the index's host and the network"
    if isinstance(error, ConnectError):
        return MirrorError(f"cannot reach {name}: {why(error)} {tried}: {host}")
    status = "" if error.status is None else f"{error.status} "
    well = host if found_nobody(error) else "run again when the server is well"
    advice = _ADVICE.get(error.status or 0, well)
    return MirrorError(f"no answer from {name}: {status}{said} {tried}: {advice}")
