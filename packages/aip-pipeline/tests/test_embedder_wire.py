from __future__ import annotations

import base64
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, example, given, strategies as st

from aip_pipeline.embedders import _base64
from aip_pipeline.embedders._wire import (
    BadAnswer,
    NotFinite,
    Question,
    ZeroVector,
    decode,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def body(*embeddings: object, usage: object = None) -> bytes:
    data = [{"index": at, "embedding": e} for at, e in enumerate(embeddings)]
    return json.dumps({"data": data, "usage": usage}).encode()


@given(
    rows=st.integers(1, 4).flatmap(
        lambda size: st.lists(
            st.lists(FLOATS, min_size=size, max_size=size), min_size=1, max_size=4
        )
    )
)
@example(rows=[[3e38, 3e38], [3e38, 3e38]])  # their sum is no number
@example(rows=[[0.0, 1e-18], [3e38, 0.0]])
def test_base64_and_numbers_read_alike(rows: list[list[float]]) -> None:
    wanted = np.array(rows, np.float32)
    assume(np.abs(wanted).max(axis=1).min() >= np.float32(1e-18))
    coded = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in wanted]
    for embeddings in (coded, rows):
        vectors, tokens = decode(body(*embeddings), count=len(rows), dimensions=None)
        assert vectors.dtype == np.float32
        assert np.array_equal(vectors, wanted)
        assert tokens == 0


def told(read: Callable[[str], bytes], coded: str) -> bytes | str:
    try:
        return read(coded)
    except ValueError as error:
        return str(error)


@given(
    raw=st.binary(max_size=30),
    at=st.integers(0, 40),
    put=st.text(st.sampled_from("AZaz09+/=-_ \n\0é"), max_size=2),
    cut=st.integers(0, 2),
)
def test_base64_is_read_and_refused_alike_with_and_without_pybase64(
    raw: bytes, at: int, put: str, cut: int
) -> None:
    pytest.importorskip("pybase64", reason="needs the extra fast")
    right = base64.b64encode(raw).decode()
    coded = right[:at] + put + right[at + cut :]
    assert told(_base64.fast(), coded) == told(_base64.strict, coded)
    assert _base64.fast()(right) == raw


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode(data, count=1, dimensions=None)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "index", "embedding"]), inner)
    ),
    max_leaves=8,
)


@given(JSON, JSON)
def test_any_json_is_read_or_refused(answer: object, embedding: object) -> None:
    for made in (json.dumps(answer).encode(), body(embedding)):
        try:
            vectors, _ = decode(made, count=1, dimensions=None)
        except BadAnswer:
            continue
        assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "1e39", "null"]
)
def test_number_that_is_none_is_refused(number: str) -> None:
    made = f'{{"data": [{{"index": 0, "embedding": [1.0, {number}]}}]}}'
    with pytest.raises(NotFinite, match="1 of 1 vectors"):
        decode(made.encode(), count=1, dimensions=None)


@pytest.mark.parametrize("zero", [0.0, -0.0, 1e-30])
def test_vector_without_a_direction_is_refused(zero: float) -> None:
    rows = [[1.0, 0.0], [zero, zero], [0.0, -1.0], [zero, zero]]
    coded = [base64.b64encode(np.array(r, "<f4").tobytes()).decode() for r in rows]
    for embeddings in (coded, rows):
        with pytest.raises(ZeroVector, match="nothing but zeros in 2 of 4 vectors"):
            decode(body(*embeddings), count=4, dimensions=2)


@pytest.mark.parametrize(
    "embedding", ["", [], "A", "AAAA", "AA==BB==", [[1.0]], ["x"], {}, 1.0, "é" * 8]
)
def test_embedding_that_is_no_vector_is_refused(embedding: object) -> None:
    with pytest.raises(BadAnswer):
        decode(body(embedding), count=1, dimensions=None)


@pytest.mark.parametrize("index", [None, -1, 1, "0", 0.0, True])
def test_index_that_names_no_text_is_refused(index: object) -> None:
    made = json.dumps({"data": [{"index": index, "embedding": [1.0]}]})
    with pytest.raises(BadAnswer, match="indices"):
        decode(made.encode(), count=1, dimensions=None)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7, "total_tokens": 9}, 7),
        ({"total_tokens": 9}, 9),
        ({"prompt_tokens": "7"}, 0),
        ({"prompt_tokens": -7}, 0),
        ([], 0),
    ],
)
def test_tokens_are_read_where_the_server_says(usage: object, tokens: int) -> None:
    assert decode(body([1.0], usage=usage), count=1, dimensions=1)[1] == tokens


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_texts_arrive_as_they_were(texts: list[str]) -> None:
    question = Question(model="m", dimensions=None, prefix="p: ", base64=False)
    sent = json.loads(question.encode(texts))
    assert sent == {"model": "m", "input": ["p: " + text for text in texts]}
