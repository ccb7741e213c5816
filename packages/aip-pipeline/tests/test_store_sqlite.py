from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from aip_pipeline import ConfigError, SpaceMismatch, StoreError, open_store
from aip_pipeline.stores import (
    Became,
    Counts,
    DeadLetter,
    Part,
    Poison,
    SqliteStore,
    Write,
)
from aip_readers import Chunk


def unit(*values: float) -> bytes:
    array = np.array(values, dtype=np.float32)
    return (array / np.linalg.norm(array)).tobytes()


def chunk(ordinal: int, text: str, **more: object) -> Chunk:
    where = {"start": ordinal * 10, "end": ordinal * 10 + 10, "within": None}
    fields = {**where, "metadata": {}, "line": ordinal + 1, **more}
    return Chunk(source="/a", text=text, ordinal=ordinal, **fields)  # type: ignore[arg-type]  # a test's shorthand


def part(texts: list[str], *, uri: str = "/a", first: int = 0, **more: object) -> Part:
    chunks = [chunk(first + n, text) for n, text in enumerate(texts)]
    hashes = [text.encode().ljust(16) for text in texts]
    fields = {"fingerprint": "v1", "next_ordinal": first + len(texts), **more}
    return Part(uri=uri, chunks=chunks, hashes=hashes, **fields)  # type: ignore[arg-type]  # a test's shorthand


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "s.db") as opened:
        opened.claim(spec="local", base_url=None, fulltext=None)
        yield opened


def test_a_version_answers_only_when_complete(store: SqliteStore) -> None:
    texts = ["the quick fox", "a slow hound"]
    vectors = [(t.encode().ljust(16), unit(1, n)) for n, t in enumerate(texts)]
    first = part(texts[:1], restart=True, resume_offset=0)
    assert store.commit(Write(vectors=vectors, parts=[first])) == Became(1)
    assert store.by_words("fox", k=5) == []
    assert store.by_vector(unit(1, 0), k=5) == []
    state = store.source("/a")
    assert state is not None
    assert (state.generation, state.next_ordinal) == (0, 1)

    store.commit(Write(parts=[part(texts[1:], first=1, last=True)]))
    assert len(store.by_words("fox", k=5)) == 1
    ranked = store.by_vector(unit(1, 0), k=5)
    assert [hit.text for hit in store.hits(ranked)] == texts
    state = store.source("/a")
    assert state is not None
    assert (state.generation, state.fingerprint, state.counts) == (1, "v1", Counts(2))


def test_the_old_version_answers_until_the_new_is_complete(store: SqliteStore) -> None:
    store.commit(Write(parts=[part(["old words"], restart=True, last=True)]))
    new = part(["new words"], restart=True, fingerprint="v2")
    store.commit(Write(parts=[new]))
    found = store.hits(store.by_words("words", k=5))
    assert [hit.text for hit in found] == ["old words"]
    store.commit(Write(parts=[part([], first=1, last=True, fingerprint="v2")]))
    found = store.hits(store.by_words("words", k=5))
    assert [hit.text for hit in found] == ["new words"]


def test_another_attempt_drops_what_the_last_one_left(store: SqliteStore) -> None:
    letter = DeadLetter("/a", 3, None, 1, None, "bad bytes", 1, None)
    store.commit(Write(parts=[part(["one"], restart=True, damage=[letter])]))
    store.commit(
        Write(parts=[part(["two"], restart=True, last=True, fingerprint="v2")])
    )
    assert list(store.dead_letters()) == []
    assert [hit.text for hit in store.hits(store.by_words("one two", k=5))] == ["two"]


def test_a_failed_transaction_leaves_nothing(store: SqliteStore) -> None:
    good = part(["one"], restart=True, last=True)
    clash = part(["x", "y"], uri="/b", restart=True, last=True)
    clash.chunks[1] = clash.chunks[0]
    with pytest.raises(StoreError, match="cannot use the store"):
        store.commit(Write(vectors=[(b"h", unit(1, 2))], parts=[good, clash]))
    assert store.source("/a") is None
    assert store.known([b"h"]) == set()
    assert store.commit(Write(parts=[good])) == Became(1)


def test_a_refused_text_becomes_a_dead_letter_with_its_span(store: SqliteStore) -> None:
    whole = part(["good", "bad"], restart=True, last=True)
    poison = {whole.hashes[1]: Poison("too long", 7)}
    became = store.commit(Write(parts=[whole], poison=poison))
    assert became == Became(stored=1, dead=1)
    (letter,) = store.dead_letters()
    assert letter == DeadLetter("/a", 10, 20, 2, 1, "too long", 7, "bad", id=1)


def test_known_finds_more_hashes_than_one_query_takes(store: SqliteStore) -> None:
    names = [f"{n:016}".encode() for n in range(1201)]
    store.commit(Write(vectors=[(name, unit(1, 1)) for name in names[::2]]))
    assert store.known(names) == set(names[::2])


def test_vector_search_is_exact_over_several_blocks(store: SqliteStore) -> None:
    random = np.random.default_rng(7)
    array = random.normal(size=(5000, 8)).astype(np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    texts = [f"t{n}" for n in range(5000)]
    vectors = [
        (text.encode().ljust(16), row.tobytes())
        for text, row in zip(texts, array, strict=True)
    ]
    whole = part(texts, restart=True, last=True)
    store.commit(Write(vectors=vectors, parts=[whole]))
    query = array[4321]
    expected = np.argsort(-(array @ query))[:10]
    found = store.hits(store.by_vector(query.tobytes(), k=10))
    assert [hit.text for hit in found] == [f"t{n}" for n in expected]
    assert found[0].score == pytest.approx(1.0, abs=1e-5)


def test_words_match_by_stem_and_quotes_cannot_break_the_query(
    store: SqliteStore,
) -> None:
    store.commit(Write(parts=[part(["parsing arguments"], restart=True, last=True)]))
    assert len(store.by_words("parse argument", k=5)) == 1
    assert len(store.by_words('parse" OR NEAR(x* ^"', k=5)) == 1
    assert store.by_words('"?!', k=5) == []


def test_metadata_and_within_come_back(store: SqliteStore) -> None:
    whole = part(["x"], restart=True, last=True)
    whole.chunks[0] = chunk(0, "words", within=(2, 7), metadata={"id": 3})
    store.commit(Write(parts=[whole]))
    (hit,) = store.hits(store.by_words("words", k=1))
    assert (hit.within, hit.metadata) == ((2, 7), {"id": 3})


def test_a_second_run_is_kept_out(store: SqliteStore) -> None:
    other = SqliteStore(store.path)
    with other, pytest.raises(StoreError, match="another run is writing"):
        other.claim(spec="local", base_url=None, fulltext=None)


def test_another_thread_may_give_the_lock_back(tmp_path: Path) -> None:
    held = SqliteStore(tmp_path / "t.db")
    held.__enter__()
    taker = Thread(
        target=held.claim, kwargs={"spec": "local", "base_url": None, "fulltext": None}
    )
    taker.start()
    taker.join()
    held.__exit__(None, None, None)
    with SqliteStore(tmp_path / "t.db") as other:
        other.claim(spec="local", base_url=None, fulltext=None)


def test_a_store_without_vectors_may_change_its_embedder(store: SqliteStore) -> None:
    store.claim(spec="openai:m", base_url="http://127.0.0.1:1/v1", fulltext=None)
    with pytest.raises(StoreError, match="is empty: run `aip ingest` first"):
        store.embedder()
    store.commit(Write(vectors=[(b"h", unit(1, 2))]))
    assert store.embedder() == ("openai:m", "http://127.0.0.1:1/v1")


def test_spaces_never_mix(store: SqliteStore) -> None:
    store.commit(Write(vectors=[(b"h", unit(1, 2))]))
    store.claim(spec="local", base_url=None, fulltext=None)
    with pytest.raises(SpaceMismatch, match=r"'local'.*'openai:m'") as caught:
        store.claim(spec="openai:m", base_url=None, fulltext=None)
    assert (caught.value.stored, caught.value.asked) == ("local", "openai:m")


def test_a_store_without_full_text_says_so(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "n.db") as bare:
        bare.claim(spec="local", base_url=None, fulltext=False)
        bare.commit(Write(parts=[part(["words"], restart=True, last=True)]))
        with pytest.raises(ConfigError, match="--mode vector"):
            bare.by_words("words", k=1)


def test_refuses_a_database_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    refused = SqliteStore(path)
    with pytest.raises(StoreError, match="aip did not make"), refused:
        pass
    assert path.read_bytes() == before
    assert refused._connection is None, "a refused file is closed again"


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("DROP TABLE meta", "has lost its table meta: restore a copy of it, or ingest"),
        ("DROP TABLE dead; DROP TABLE chunk", "has lost its table chunk, dead: "),
        ("PRAGMA user_version = 0", "aip did not make: name another"),
    ],
)
def test_refuses_what_is_left_of_a_store(tmp_path: Path, done: str, said: str) -> None:
    with SqliteStore(tmp_path / "s.db"):
        pass
    with closing(sqlite3.connect(tmp_path / "s.db")) as db:
        db.executescript(done)
    with pytest.raises(StoreError, match=said), SqliteStore(tmp_path / "s.db"):
        pass


def test_a_database_of_somebody_else_of_our_version_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db")) as db:
        db.executescript("CREATE TABLE theirs (x); PRAGMA user_version = 1")
    refused = SqliteStore(tmp_path / "s.db", create=False)
    with pytest.raises(StoreError, match="aip did not make"), refused:
        pass


def test_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("just some notes, long enough to look like a header" * 30)
    with pytest.raises(StoreError, match="is not a SQLite file"), SqliteStore(path):
        pass


def test_a_store_that_is_damaged_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with SqliteStore(path):
        pass
    with path.open("r+b") as file:
        file.seek(100)  # past the header, where the first page has its tables
        file.write(b"\xff" * 4000)
    refused = pytest.raises(StoreError, match=r"is damaged .*restore a copy")
    with refused, SqliteStore(path) as store:
        store.source("/a")


def test_reading_does_not_make_a_store(tmp_path: Path) -> None:
    missing = open_store(f"sqlite:///{tmp_path}/none.db", create=False)
    with pytest.raises(StoreError, match=r"no store at .*run `aip ingest` first"):
        missing.__enter__()
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("url", ["postgres://x", "aip.db", "sqlite:///"])
def test_refuses_an_unknown_store(url: str) -> None:
    with pytest.raises(ConfigError, match="use sqlite:///PATH"):
        open_store(url)
