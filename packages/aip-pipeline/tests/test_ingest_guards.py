"""What a run refuses to do: spend too much, forget too much, mix two models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openai_server
import pytest
from numpy.typing import NDArray
from openai_server import OpenAIServer
from stored import texts

from aip_pipeline import (
    ConfigError,
    ConservationError,
    Ingestion,
    IngestReport,
    IngestSettings,
    PruneRefused,
    SpaceMismatch,
    ingest,
)
from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline._plan import plan
from aip_pipeline._pruning import check_prune, forget_vanished, look_for_vanished
from aip_pipeline.embedders._endpoint import Endpoint
from aip_pipeline.embedders._openai import OpenAIEmbedder
from aip_pipeline.embedders._spec import Spec
from aip_pipeline.stores import DeadLetter, SqliteStore, Write


def settings(folder: Path, server: OpenAIServer, **more: Any) -> IngestSettings:
    fields = {
        "store": f"sqlite:///{folder.parent}/s.db",
        "embedder": "openai:test",
        "base_url": server.base_url,
        "concurrency": 2,
        **more,
    }
    return IngestSettings(**fields)


async def run(folder: Path, server: OpenAIServer, **more: Any) -> Ingestion:
    ingestion = Ingestion([str(folder)], settings=settings(folder, server, **more))
    await ingestion.run()
    return ingestion


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    for n in range(10):
        (made / f"{n}.txt").write_text(f"document {n}")
    return made


def write_jsonl(path: Path, count: int) -> None:
    lines = (json.dumps({"text": f"text number {n:05}"}) for n in range(count))
    path.write_text("\n".join(lines) + "\n")


async def test_a_swapped_model_of_equal_dimensions_is_refused(
    folder: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(folder, server)
    (folder / "new.txt").write_text("a new document")
    genuine = openai_server.vector
    monkeypatch.setattr(openai_server, "vector", lambda t, d: genuine(t + "!", d))
    with pytest.raises(SpaceMismatch, match="no longer the one that made this store"):
        await run(folder, server)
    assert len(texts(folder.parent / "s.db")) == 10
    monkeypatch.setattr(openai_server, "vector", genuine)
    await run(folder, server)
    assert len(texts(folder.parent / "s.db")) == 11


async def test_canaries_ride_along_and_cost_no_request(
    folder: Path, server: OpenAIServer
) -> None:
    first = await run(folder, server)
    assert first.report.requests == 1
    await run(folder, server)
    assert {server.times_embedded(text) for text in CANARY_TEXTS} == {1}


class Particular(OpenAIEmbedder):
    """Refuse to be asked for nothing, as an embedder of a user's own may."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed some texts."""
        assert texts
        return await super().embed(texts)


async def mark_canaries(folder: Path, server: OpenAIServer) -> None:
    """Ingest, and leave the store as a repair that found one canary damaged does."""
    await run(folder, server)
    with SqliteStore(folder.parent / "s.db") as store:
        kept = json.loads(store.canaries() or "")
        store.commit(Write(canaries=json.dumps([*kept[1:], None])))


async def test_the_request_for_lacking_canaries_obeys_a_budget_and_a_drain(
    folder: Path, server: OpenAIServer
) -> None:
    await mark_canaries(folder, server)
    before = server.requests
    assert (await run(folder, server, max_tokens=0)).exhausted
    drained = Ingestion([str(folder)], settings=settings(folder, server))
    drained.drain()
    await drained.run()
    assert server.requests == before
    await run(folder, server)
    assert server.requests == before + 1


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
@pytest.mark.parametrize("more", [0, 1, 5])
async def test_lacking_canaries_are_asked_for_as_planned_and_never_nothing(
    folder: Path, server: OpenAIServer, batch_size: int, more: int
) -> None:
    await mark_canaries(folder, server)
    for n in range(more):
        (folder / f"more{n}.txt").write_text(f"another document {n}")
    used = settings(folder, server, batch_size=batch_size)
    planned, before = plan([str(folder)], settings=used), server.requests
    endpoint = Endpoint(base_url=server.base_url)
    embedder = Particular(Spec.parse("openai:test"), endpoint=endpoint)
    await Ingestion([str(folder)], settings=used, embedder=embedder).run()
    assert planned.requests == server.requests - before


async def test_a_token_budget_stops_the_run_before_it_is_overspent(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "many.jsonl", 5000)
    budget: dict[str, Any] = {"max_tokens": 5000, "batch_size": 32}
    stopped = 0
    while (ingestion := await run(folder, server, **budget)).exhausted:
        stopped += 1
        assert 2500 < ingestion.report.tokens <= 5000, "used up, never overspent"
        assert stopped < 100
    assert stopped > 1
    assert len(texts(folder.parent / "s.db")) == 5010
    assert ingestion.report.read == 5010


async def test_a_cost_is_a_budget_at_a_price(
    folder: Path, server: OpenAIServer
) -> None:
    ingestion = await run(folder, server, max_cost=0.0, price=2.0)
    assert ingestion.exhausted
    assert server.requests == 0
    with pytest.raises(ValueError, match="max_cost needs price"):
        settings(folder, server, max_cost=1.0)


async def test_what_vanished_is_told_and_goes_on_answering(
    folder: Path, server: OpenAIServer
) -> None:
    await run(folder, server)
    (folder / "0.txt").unlink()
    ingestion = await run(folder, server)
    assert (ingestion.vanished.vanished, ingestion.report.deleted) == (1, 0)
    assert "document 0" in texts(folder.parent / "s.db")


async def test_prune_removes_what_vanished_and_a_return_costs_nothing(
    folder: Path, server: OpenAIServer
) -> None:
    await run(folder, server)
    (folder / "0.txt").unlink()
    ingestion = await run(folder, server, prune=True)
    assert ingestion.report.deleted == 1
    assert "document 0" not in texts(folder.parent / "s.db")
    before = server.requests
    (folder / "0.txt").write_text("document 0")
    await run(folder, server)
    assert server.requests == before
    assert len(texts(folder.parent / "s.db")) == 10


async def test_prune_touches_only_what_the_run_covers(
    folder: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("elsewhere")
    await ingest([str(folder), str(other)], **_options(folder, server))
    shutil.rmtree(other)
    ingestion = await run(folder, server, prune=True)
    assert (ingestion.vanished.vanished, ingestion.report.deleted) == (0, 0)
    assert "elsewhere" in texts(folder.parent / "s.db")


def _options(folder: Path, server: OpenAIServer) -> Any:
    used = settings(folder, server)
    names = ("store", "embedder", "base_url")
    return {name: getattr(used, name) for name in names}


async def test_prune_refuses_more_than_a_fifth_without_yes(
    folder: Path, server: OpenAIServer
) -> None:
    await run(folder, server)
    for n in range(3):
        (folder / f"{n}.txt").unlink()
    with pytest.raises(PruneRefused, match="3 of 10 sources have vanished"):
        await run(folder, server, prune=True)
    assert len(texts(folder.parent / "s.db")) == 10
    ingestion = await run(folder, server, prune=True, yes=True)
    assert ingestion.report.deleted == 3
    assert len(texts(folder.parent / "s.db")) == 7


async def test_prune_refuses_after_an_incomplete_listing(
    folder: Path, server: OpenAIServer
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "x.txt").write_text("below")
    await run(folder, server)
    (folder / "0.txt").write_text("document 0 changed")
    (folder / "9.txt").unlink()

    def vanish(_: object) -> bool:
        # "sub" was seen when the folder above was listed, and is gone when it is read.
        shutil.rmtree(folder / "sub", ignore_errors=True)
        return True

    told: list[DeadLetter] = []
    used = settings(folder, server, prune=True)
    ingestion = Ingestion(
        [str(folder)], settings=used, keep=vanish, on_dead=told.append
    )
    with pytest.raises(PruneRefused, match="a folder could not be listed"):
        await ingestion.run()
    assert [letter.source for letter in told] == [str(folder / "sub")]
    assert (ingestion.report.dead, ingestion.report.deleted) == (1, 0)
    assert "document 9" in texts(folder.parent / "s.db")


@pytest.fixture
def unseen(folder: Path) -> Path:
    """Name a file in a folder that a loop of links is to take the place of."""
    (folder / "sub").mkdir()
    (folder / "sub" / "x.txt").write_text("below")
    return folder / "sub" / "x.txt"


async def test_prune_never_removes_what_could_not_be_looked_at(
    folder: Path, server: OpenAIServer, unseen: Path
) -> None:
    await run(folder, server)
    shutil.rmtree(unseen.parent)
    unseen.parent.symlink_to(unseen.parent)
    (folder / "9.txt").unlink()
    asked = [str(unseen), str(folder / "9.txt")]
    with SqliteStore(folder.parent / "s.db") as store:
        found = look_for_vanished(asked, store)
        assert found.vanished == 1
        with pytest.raises(PruneRefused, match=r"x\.txt \(Too many levels"):
            check_prune(found, listing_complete=True, yes=False)
        assert forget_vanished(asked, store) == (1, 1)
    assert {"below", "document 9"} & set(texts(folder.parent / "s.db")) == {"below"}


async def test_a_source_that_cannot_be_looked_at_is_not_called_gone(
    folder: Path, server: OpenAIServer, unseen: Path
) -> None:
    await run(folder, server)
    shutil.rmtree(unseen.parent)
    unseen.parent.symlink_to(unseen.parent)
    used = settings(folder, server, prune=True, yes=True)
    with pytest.raises(ConfigError, match=r"cannot look at .*x\.txt \(Too many"):
        await Ingestion([str(unseen)], settings=used).run()
    assert "below" in texts(folder.parent / "s.db")


async def test_a_chunk_that_gets_lost_inside_is_an_error(
    folder: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestion = Ingestion([str(folder)], settings=settings(folder, server))

    def lose(report: IngestReport) -> None:
        report.read -= 1

    genuine = ingestion._committed

    def commit(done: Any) -> None:
        genuine(done)
        lose(ingestion.report)

    monkeypatch.setattr(ingestion, "_committed", commit)
    with pytest.raises(ConservationError, match="please report this bug"):
        await ingestion.run()


async def test_the_loop_is_not_held_up(folder: Path, server: OpenAIServer) -> None:
    write_jsonl(folder / "many.jsonl", 20_000)
    ingestion = await run(folder, server)
    assert ingestion.report.stored == 20_010
    # The bar for the late ones is the lab's (`labs run ingest --only lag`): here other
    # tests run beside it.
    assert 0 < ingestion.loop_lag_s.quantile_s(0.5) < 0.1
