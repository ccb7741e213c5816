"""PDF, page by page; needs the extra ``pdf``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from ._decode import UNSAFE
from ._errors import (
    CorruptError,
    MissingExtraError,
    OversizeError,
    ParseError,
    RecordEncodingError,
    settle,
    settle_oversize,
)
from ._files import Path
from ._limits import Limits
from ._reader import Asked, Reader
from ._records import Record
from ._source import ByteSource
from ._types import OnError


class PdfReader(Reader[Record]):
    """The pages of a PDF as records; the key is the page number, from 1.

    The span of each is the whole file: a page has no bytes of its own.
    """

    format = "pdf"

    def __init__(self, path: Path, asked: Asked) -> None:
        super().__init__(path, self._records, asked.from_the_beginning())

    def _place_after(self, record: Record) -> tuple[int, int]:
        return 0, int(record.key or 0)

    def _records(self, source: ByteSource) -> Iterator[Sequence[Record]]:
        try:
            import pypdfium2 as pdfium  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise MissingExtraError(self.source, "pdf", "pypdfium2") from error
        pages_before = self._cursor["line"] if self._cursor else 0
        data = self._whole(source)
        if data is None:
            return
        try:
            document = pdfium.PdfDocument(data)
        except pdfium.PdfiumError as error:
            reason = f"this is not a PDF that can be read: {error}"
            raise CorruptError(self.source, 0, None, reason) from error
        with closing(document):
            for number in range(pages_before, len(document)):
                text = self._text(document, number)
                if text is not None:
                    key, end, metadata = (
                        str(number + 1),
                        len(data),
                        {"page": number + 1},
                    )
                    yield (Record(self.source, text, 0, end, 1, key, metadata),)

    def _text(self, document: Any, number: int) -> str | None:
        """Return the text of one page; None where it is bad and is passed over."""
        import pypdfium2 as pdfium  # noqa: PLC0415  # an extra

        try:
            text = _text_of_page(document, number)
        except pdfium.PdfiumError as error:
            reason = f"page {number + 1} cannot be read: {error}"
            problem = ParseError(self.source, 0, 1, reason)
            problem.__cause__ = error
            settle(problem, self._on_error)
            return None
        if UNSAFE.search(text):
            reason = f"page {number + 1} holds characters that are not text"
            unsafe = RecordEncodingError(self.source, 0, 1, reason)
            if not settle(unsafe, self._on_error):
                return None
            text = UNSAFE.sub("\ufffd", text)
        return text

    def _whole(self, source: ByteSource) -> bytes | None:
        """Read the document; a PDF is found from its end."""
        limit = self.limits.max_record_bytes
        data = bytearray()
        while block := source.read():
            data += block
            if len(data) > limit:
                reason = f"the document holds more than max_record_bytes={limit}"
                error = OversizeError(self.source, 0, 1, reason)
                settle_oversize(error, self.limits.on_oversize, self._on_error)
                return None
        return bytes(data)


def _text_of_page(document: Any, number: int) -> str:
    with closing(document[number]) as page, closing(page.get_textpage()) as textpage:
        text: str = textpage.get_text_range(errors="surrogatepass")
    return text.replace("\r\n", "\n")


class read_pdf(Reader[str]):  # noqa: N801  # used as a function; closes as an object
    """Yield the text of a PDF, page by page; needs the extra ``pdf``.

    Holds the document, at most ``limits.max_record_bytes``, and one page.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
    ) -> None:
        super().__init__(path, self._texts, Asked(limits, on_error))

    def _texts(self, source: ByteSource) -> Iterator[Sequence[str]]:
        for batch in self.records()._records(source):  # noqa: SLF001  # its own twin
            yield [record.text for record in batch]

    def records(self) -> PdfReader:
        """Yield the pages as ``Record``s."""
        return PdfReader(self.path, self._asked)
