"""Arguments of a wrong kind: one sentence each, and nothing is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aip_pipeline import ConfigError, IngestSettings, ingest_sync, open_store, search


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"store": Path("x.db")}, ConfigError, "a store is named by a URL, not by "),
        (
            {"chunksize": 5},
            TypeError,
            "ingest has no setting 'chunksize': did you mean ",
        ),
        ({"zzz": 5}, TypeError, "ingest has no setting 'zzz': see `IngestSettings`"),
        ({"chunk_size": "5"}, TypeError, "chunk_size must be an integer, not '5'"),
        ({"chunk_size": None}, TypeError, "chunk_size must be an integer, not None"),
        ({"chunk_size": True}, TypeError, "chunk_size must be an integer, not True"),
        ({"deadline_s": "5"}, TypeError, "deadline_s must be a number, not '5'"),
        ({"concurrency": "many"}, TypeError, "concurrency must be an integer, not 'ma"),
        ({"embedder": 5}, TypeError, "embedder must be a spec, or an object with the "),
        ({"mirror": object()}, TypeError, "mirror must be a spec, or an object with "),
    ],
)
def test_ingest_says_what_an_argument_must_be(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    kind: type[Exception],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("something to read")
    with pytest.raises(kind) as caught:
        ingest_sync("a.txt", **given)
    assert str(caught.value).startswith(said)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


async def test_search_says_what_an_argument_must_be() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"^query must be a string, not int$"):
        await search(wrong)
    wrong = "3"
    with pytest.raises(TypeError, match=r"^k must be an integer, not '3'$"):
        await search("bread", k=wrong)
    wrong = Path("x.db")
    with pytest.raises(ConfigError, match="a store is named by a URL"):
        open_store(wrong)


def test_what_is_a_number_is_taken() -> None:
    assert IngestSettings(deadline_s=5, price=None, concurrency=3).deadline_s == 5
