"""What a call comes back with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import Attempt, BodyNotJson
from ._json import decode


class Response:
    """Hold one good answer (status below 400), its body already read.

    Attributes:
        status: the HTTP status.
        headers: case-insensitive; the first of repeated headers answers.
        body: the body, decompressed.
        attempts: how often the request was sent.
        waited_s: seconds spent in our own queue, before and between attempts.
        history: the failed `Attempt` records before this answer.
    """

    __slots__ = ("attempts", "body", "headers", "history", "status", "waited_s")

    def __init__(
        self,
        status: int,
        *,
        headers: Mapping[str, str],
        body: bytes,
        attempts: int = 1,
        waited_s: float = 0.0,
        history: tuple[Attempt, ...] = (),
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.attempts = attempts
        self.waited_s = waited_s
        self.history = history

    def json(self) -> Any:
        """Decode the body.

        Raises:
            BodyNotJson: the body is not JSON.
        """
        try:
            return decode(self.body)
        except ValueError as error:
            excerpt = self.body[:80]
            raise BodyNotJson(f"body is not JSON: {error}: {excerpt!r}") from error

    @property
    def text(self) -> str:
        """The body as UTF-8, bad bytes shown as U+FFFD."""
        return self.body.decode("utf-8", "replace")

    def __repr__(self) -> str:
        """Show the shape, never the content."""
        size = len(self.body)
        return f"<Response {self.status}, {size} bytes, {self.attempts} attempts>"
