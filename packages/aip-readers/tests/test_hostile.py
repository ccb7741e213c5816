"""A corpus of hostile files: what is good comes first, then exactly one right error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aip_readers import (
    EncodingError,
    ErrorReport,
    FieldError,
    Format,
    Limits,
    OversizeError,
    ParseError,
    ReadError,
    RecordEncodingError,
    open_records,
    reread,
    split,
)

LINE = b'{"text": "ok"}\n'
LIMITS = Limits(max_record_bytes=100_000, max_ratio=100)


class Wrong(NamedTuple):
    """An error that is to come: its type, offset, line, and words of its reason."""

    kind: type[ReadError]
    offset: int | None
    line: int | None
    reason: str


class Hostile(NamedTuple):
    """A file, how it is read, the texts that are good, and what is wrong with it.

    The texts and the errors are those of a reader that goes on where it can.
    """

    data: bytes
    kind: Format
    texts: list[str]
    wrong: list[Wrong]


def text(data: bytes, good: str, *wrong: Wrong) -> Hostile:
    return Hostile(data, "text", [good], list(wrong))


def lines(data: bytes, good: list[str], *wrong: Wrong) -> Hostile:
    return Hostile(data, "lines", good, list(wrong))


def jsonl(data: bytes, good: list[str], *wrong: Wrong) -> Hostile:
    return Hostile(data, "jsonl", good, list(wrong))


def table(data: bytes, good: list[str], *wrong: Wrong) -> Hostile:
    return Hostile(data, "csv", good, list(wrong))


U16, U32 = "utf-16-le", "utf-32-le"
CORPUS: dict[str, Hostile] = {
    # Marks, and wide encodings.
    "empty": text(b"", ""),
    "mark only": text(b"\xef\xbb\xbf", ""),
    "half a mark": text(
        b"\xef\xbb", "", Wrong(EncodingError, 0, 1, "unexpected end of data")
    ),
    "two marks": text(b"\xef\xbb\xbf" * 2 + b"x", "\ufeffx"),
    "mark, then JSON": jsonl(b"\xef\xbb\xbf" + LINE, ["ok"]),
    "utf-16 mark only": text(b"\xff\xfe", ""),
    "utf-16-be": text("\ufeffé\n".encode("utf-16-be"), "é\n"),
    "utf-32-be": text("\ufeffé\n".encode("utf-32-be"), "é\n"),
    "utf-16 of odd length": text(
        "\ufeffab".encode(U16) + b"x",
        "ab",
        Wrong(EncodingError, 6, 1, "bytes 78 are not utf-16-le: truncated data"),
    ),
    "utf-16 lines of odd length": lines(
        "\ufeffa\nb".encode(U16) + b"x",
        ["a"],
        Wrong(RecordEncodingError, 8, 2, "truncated data"),
    ),
    "utf-16 high half alone": text(
        "\ufeffa".encode(U16) + b"\x00\xd8" + "b".encode(U16),
        "ab",
        Wrong(EncodingError, 4, 1, "bytes 00 d8 are not utf-16-le: illegal UTF-16"),
    ),
    "utf-16 low half alone": lines(
        "\ufeffa\n".encode(U16) + b"\x00\xdcb\x00\n\x00" + "c".encode(U16),
        ["a", "c"],
        Wrong(RecordEncodingError, 6, 2, "illegal encoding"),
    ),
    "utf-16 of a misaligned line end": lines(
        "\ufeff\u0a00\u000a\u0100\u0a0a".encode(U16), ["\u0a00", "\u0100\u0a0a"]
    ),
    "utf-16 cut in a pair": text(
        "\ufeffa👋".encode(U16)[:-2],
        "a",
        Wrong(EncodingError, 4, 1, "unexpected end of data"),
    ),
    "utf-16 with a NUL": lines(
        "\ufeffé\né\0\nb".encode(U16),
        ["é", "b"],
        Wrong(RecordEncodingError, 8, 2, "NUL is not text"),
    ),
    "utf-16 without a mark": text(
        "ab".encode(U16),
        "ab",
        Wrong(EncodingError, 1, 1, "UTF-16 without a byte order mark?"),
        Wrong(EncodingError, 3, 1, "NUL is not text"),
    ),
    "utf-32 too high": text(
        "\ufeffa".encode(U32) + b"\xff" * 4,
        "a",
        Wrong(EncodingError, 8, 1, "code point not in range"),
    ),
    "utf-32 of a surrogate": text(
        "\ufeffa".encode(U32) + b"\x00\xd8\x00\x00",
        "a",
        Wrong(EncodingError, 8, 1, "surrogate"),
    ),
    "utf-32 cut": text(
        "\ufeffab".encode(U32)[:-1], "a", Wrong(EncodingError, 8, 1, "truncated data")
    ),
    "utf-16 JSON with an error": jsonl(
        '\ufeff{"text": "é"}\n{"text": "日", x}\n'.encode(U16),
        ["é"],
        Wrong(ParseError, 58, 2, "expecting property name"),
    ),
    # Bytes that are not UTF-8.
    "latin-1": text(
        "café\n".encode("latin-1"), "caf\n", Wrong(EncodingError, 3, 1, "bytes e9 are")
    ),
    "overlong slash": text(
        b"a\xc0\xafb",
        "ab",
        Wrong(EncodingError, 1, 1, "invalid start byte"),
        Wrong(EncodingError, 2, 1, "invalid start byte"),
    ),
    "overlong NUL": lines(
        b"a\nb\xc0\x80\nc", ["a", "c"], Wrong(RecordEncodingError, 3, 2, "bytes c0 are")
    ),
    "overlong, three bytes": text(
        b"\xe0\x80\xafx",
        "x",
        *(Wrong(EncodingError, at, 1, "not utf-8") for at in range(3)),
    ),
    "a surrogate in bytes": lines(
        b"a\n\xed\xa0\x80\nb", ["a", "b"], Wrong(RecordEncodingError, 2, 2, "bytes ed")
    ),
    "beyond Unicode": text(
        b"a\xf4\x90\x80\x80",
        "a",
        *(Wrong(EncodingError, at, 1, "not utf-8") for at in range(1, 5)),
    ),
    "continuations only": text(
        b"\x80" * 7000,
        "",
        *(Wrong(EncodingError, at, 1, "bytes 80 are not") for at in range(7000)),
    ),
    "a cut code point": text(
        b"abc\xe2\x82", "abc", Wrong(EncodingError, 3, 1, "unexpected end of data")
    ),
    "a code point cut by a line end": lines(
        b"a\xe2\x82\nb", ["b"], Wrong(RecordEncodingError, 1, 1, "unexpected end")
    ),
    "a last line of half an emoji": lines(
        b"a\n\xf0\x9f", ["a"], Wrong(RecordEncodingError, 2, 2, "unexpected end")
    ),
    "every byte": lines(
        bytes(range(256)),
        [],
        Wrong(RecordEncodingError, 0, 1, "NUL is not text"),
        Wrong(RecordEncodingError, 128, 2, "bytes 80"),
    ),
    "a NUL": text(b"ab\0cd", "abcd", Wrong(EncodingError, 2, 1, "NUL is not text")),
    "NULs": text(
        b"\0" * 5000,
        "",
        *(Wrong(EncodingError, at, 1, "NUL is not text") for at in range(5000)),
    ),
    "a NUL in JSON": jsonl(
        b'{"text": "a\0b"}\n' + LINE,
        ["ok"],
        Wrong(RecordEncodingError, 11, 1, "NUL is not text"),
    ),
    # Line ends.
    "CR": lines(b"a\rb\rc", ["a\rb\rc"]),
    "CRLF": lines(b"a\r\n\r\nb\r\n", ["a", "", "b"]),
    "CR CRLF": lines(b"a\r\r\nb\r", ["a\r", "b\r"]),
    "LS, PS, NEL, VT, FF, FS": lines(
        "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\nh".encode(),
        ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg", "h"],
    ),
    "line ends only": lines(b"\n" * 1000, [""] * 1000),
    "a line too long": lines(
        b"a\n" + b"x" * 100_001 + b"\nb", ["a", "b"], Wrong(OversizeError, 2, 2, "more")
    ),
    "a last line too long": lines(
        b"a\n" + b"x" * 300_000, ["a"], Wrong(OversizeError, 2, 2, "100000")
    ),
    # JSON.
    "cut JSON": jsonl(
        b'{"text": "a\n' + LINE, ["ok"], Wrong(ParseError, 9, 1, "unterminated string")
    ),
    "deep lists": jsonl(
        b"[" * 90_000 + b"\n" + LINE, ["ok"], Wrong(ParseError, 0, 1, "max_depth=500")
    ),
    "deep objects, closed": jsonl(
        LINE + b'{"a":' * 9000 + b"1" + b"}" * 9000 + b"\n",
        ["ok"],
        Wrong(ParseError, 15, 2, "max_depth=500"),
    ),
    "as deep as may be": jsonl(
        b'{"text": "a", "b": ' + b"[" * 499 + b"]" * 499 + b"}\n", ["a"]
    ),
    "a number of 5000 digits": jsonl(
        b'{"text": "a", "n": ' + b"9" * 5000 + b"}\n" + LINE,
        ["ok"],
        Wrong(ParseError, 0, 1, "4300 digits"),
    ),
    "an escaped NUL": jsonl(
        b'{"text": "a\\\\u0000 \\u0000"}\n' + LINE,
        ["ok"],
        Wrong(RecordEncodingError, 19, 1, r"\u0000 stands for no text"),
    ),
    "an escaped half": jsonl(
        b'{"text": "\\ud83d\\udc4b \\udc4b"}\n' + LINE,
        ["ok"],
        Wrong(RecordEncodingError, 23, 1, r"\udc4b stands for no text"),
    ),
    "an escaped half in a key": jsonl(
        b'{"text": "a", "\\uD800": 1}\n' + LINE,
        ["ok"],
        Wrong(RecordEncodingError, 15, 1, r"\uD800 stands for no text"),
    ),
    "the wrong types": jsonl(
        b'1\nnull\n{"text": 5}\n{"txt": ""}\n' + LINE,
        ["ok"],
        Wrong(ParseError, 0, 1, "JSON int"),
        Wrong(ParseError, 2, 2, "JSON NoneType"),
        Wrong(FieldError, 7, 3, "holds no text but int"),
        Wrong(FieldError, 19, 4, "it has 'txt'"),
    ),
    "two values on a line": jsonl(
        LINE[:-1] * 2 + b"\n" + LINE, ["ok"], Wrong(ParseError, 14, 1, "extra data")
    ),
    "blank lines of JSON": jsonl(b"\n \r\n" + LINE + b"\n\n", ["ok"]),
    "a blank line, then half of one": jsonl(
        b"\n[1", [], Wrong(ParseError, 3, 2, "expecting ',' delimiter")
    ),
    # CSV.
    "an open quote": table(
        b'id,text\n1,"open\n2,x\n', ["x"], Wrong(ParseError, 8, 2, "not CSV")
    ),
    "an open quote and a million blank lines": table(
        b'text\n"' + b"\n" * 150_000 + b"x\n",
        ["x"],
        Wrong(OversizeError, 5, 2, "max_record_bytes=100000"),
    ),
    "a quote in a quote": table(
        b'id,text\n"1"x,a\n2,b\n', ["b"], Wrong(ParseError, 8, 2, "expected after")
    ),
    "ragged rows": table(
        b"id,text\n1\n1,2,3\n4,ok\n",
        ["ok"],
        Wrong(ParseError, 8, 2, "1 fields, the header 2"),
        Wrong(ParseError, 10, 3, "3 fields, the header 2"),
    ),
    "a giant field": table(
        b'id,text\n1,"' + (b"x" * 999 + b"\n") * 120 + b'"\n2,y\n',
        ["y"],
        Wrong(OversizeError, 8, 2, "max_record_bytes"),
        # What the row held is read again, and is no row of two fields.
        *(Wrong(ParseError, 11 + 1000 * n, 2 + n, "1 fields") for n in range(1, 120)),
        Wrong(ParseError, 120_011, 122, "not CSV"),
    ),
    "a bad byte in a quoted row": table(
        b'id,text\n1,"a\n\xff"\n2,b\n',
        ["b"],
        Wrong(RecordEncodingError, 13, 3, "bytes ff"),
    ),
    "a header only": table(b"id,text\n", []),
}


def drain(items: Iterable[Any]) -> tuple[list[Any], ReadError | None]:
    got: list[Any] = []
    try:
        got.extend(items)
    except ReadError as error:
        return got, error
    return got, None


def texts_of(case: Hostile, records: list[Any]) -> list[str]:
    found = [record.text for record in records]
    return ["".join(found)] if case.kind == "text" else found


def assert_is(error: ReadError | None, wrong: Wrong) -> None:
    assert type(error) is wrong.kind
    assert (error.offset, error.line) == (wrong.offset, wrong.line)
    assert wrong.reason in error.reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("name", CORPUS)
def test_a_function_is_told_of_every_error_between_the_good_records(
    path: Path, name: str
) -> None:
    case = CORPUS[name]
    path.write_bytes(case.data)
    errors: list[ReadError] = []
    records, error = drain(
        open_records(path, format=case.kind, limits=LIMITS, on_error=errors.append)
    )
    assert error is None
    assert texts_of(case, records) == case.texts
    assert len(errors) == len(case.wrong)
    for each, wrong in zip(errors, case.wrong, strict=True):
        assert_is(each, wrong)
        # Whoever keeps errors keeps no frames, and no blocks of the file, with them.
        assert each.__traceback__ is None
        assert each.__cause__ is None
        assert each.__context__ is None
    end = 0
    for record in records:
        assert end <= record.start <= record.end <= len(case.data)
        end = record.end


@pytest.mark.parametrize("name", CORPUS)
def test_raising_gives_what_was_good_before_the_first_error(
    path: Path, name: str
) -> None:
    case = CORPUS[name]
    path.write_bytes(case.data)
    records, error = drain(open_records(path, format=case.kind, limits=LIMITS))
    found = texts_of(case, records)
    if not case.wrong:
        assert error is None
        assert found == case.texts
        return
    assert_is(error, case.wrong[0])
    at = case.wrong[0].offset
    assert at is not None
    assert all(record.end <= at for record in records)
    if case.kind == "text":
        assert case.texts[0].startswith(found[0])
        # Not one good byte before the damage is kept back.
        assert (records[-1].end if records else at) == at
    else:
        assert found == case.texts[: len(found)]


@pytest.mark.parametrize("name", CORPUS)
def test_skipping_gives_the_good_records_and_a_report_has_a_bound(
    path: Path, name: str
) -> None:
    case = CORPUS[name]
    path.write_bytes(case.data)
    skipped, error = drain(
        open_records(path, format=case.kind, limits=LIMITS, on_error="skip")
    )
    assert error is None
    assert texts_of(case, skipped) == case.texts
    report = ErrorReport(keep=2)
    told = open_records(path, format=case.kind, limits=LIMITS, on_error=report)
    assert list(told) == skipped
    assert report.count == sum(report.kinds.values()) == len(case.wrong)
    assert len(report.first) == min(2, len(case.wrong))
    assert bool(report) is bool(case.wrong)
    for chunk in split(skipped, size=200, overlap=20):
        assert chunk.text == chunk.text.strip()
        assert re.search("[\0\ud800-\udfff]", chunk.text) is None


REPLACEABLE = [
    name
    for name, case in CORPUS.items()
    if case.wrong and case.wrong[0].kind in {EncodingError, RecordEncodingError}
]


@pytest.mark.parametrize("name", REPLACEABLE)
def test_replacing_loses_nothing_and_spans_still_hold(path: Path, name: str) -> None:
    case = CORPUS[name]
    path.write_bytes(case.data)
    records = list(
        open_records(path, format=case.kind, limits=LIMITS, on_error="replace")
    )
    whole = "".join(record.text for record in records)
    assert "\ufffd" in whole or name == "an escaped half in a key"
    assert re.search("[\0\ud800-\udfff]", whole) is None
    report = ErrorReport(replace=True)
    told = open_records(path, format=case.kind, limits=LIMITS, on_error=report)
    assert list(told) == records
    assert report.count >= 1
    if case.kind not in {"text", "lines"}:
        return
    encoding = next(iter(records)).metadata.get("encoding", "utf-8")
    if case.data[:2] == b"\xff\xfe":
        encoding = U32 if case.data[2:4] == b"\0\0" else U16
    chunks: list[Any] = [*records, *split(records, size=40, overlap=10, clean="none")]
    for item in chunks:
        raw = reread(path, item.start, item.end)
        again = raw.decode(encoding, "replace").replace("\0", "\ufffd")
        within = slice(*(getattr(item, "within", None) or (None, None)))
        assert again[within] == item.text
    if case.kind == "text":
        assert records[-1].end == len(case.data)


def test_there_are_sixty_files_and_more() -> None:
    assert len(CORPUS) >= 60
