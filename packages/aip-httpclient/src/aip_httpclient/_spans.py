"""One OpenTelemetry span per call, over all its attempts (extra ``[otel]``)."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from yarl import URL

from ._errors import CallError
from ._response import Response
from ._secrets import shown

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


class Spans:
    """Open a client span for each call.

    Names and attributes follow OpenTelemetry's semantic conventions for HTTP
    clients; ``http.request.resend_count`` counts the repeats, and the address is
    without credentials, query and fragment.

    Args:
        tracer: yours; the client configures nothing.
    """

    def __init__(self, tracer: Tracer) -> None:
        # Not before it is asked for: the extra may be absent.
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

        self._tracer = tracer
        self._kind = SpanKind.CLIENT
        self._failed = Status(StatusCode.ERROR)

    async def over(
        self, carried: Coroutine[Any, Any, Response], method: str, url: URL
    ) -> Response:
        """Await *carried* in a span of its own, and note its answer."""
        with self._call(method, url) as span:
            response = await carried
            self._ended(span, response.status, attempts=response.attempts)
            return response

    @contextmanager
    def _call(self, method: str, url: URL) -> Iterator[Span]:
        """Span one call; a `CallError` marks it failed and goes on."""
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "url.full": shown(url),
            "server.address": url.host or "",
            "server.port": url.port or 0,
        }
        with self._tracer.start_as_current_span(
            method,
            kind=self._kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except CallError as error:
                said = type(error).__name__
                span.set_attribute("error.type", str(error.status or said))
                self._ended(span, error.status, attempts=error.attempts)
                span.set_status(self._failed)
                raise

    @staticmethod
    def _ended(span: Span, status: int | None, *, attempts: int) -> None:
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if attempts > 1:
            span.set_attribute("http.request.resend_count", attempts - 1)
