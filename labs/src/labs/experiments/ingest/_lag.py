"""How late the event loop wakes while everything runs at full speed.

``python -m labs.experiments.ingest._lag FILE DATABASE URL`` is one run, measured from
inside: only there the loop can be asked.
"""

from __future__ import annotations

import asyncio
import json
import sys

from aip_pipeline import Ingestion, IngestSettings
from labs._form import Form
from labs._measure import scratch
from labs._result import Row
from labs.experiments.ingest._client import HERE, IN_FLIGHT, run, serving, slack
from labs.experiments.ingest._corpus import write_corpus
from labs.experiments.ingest._cost import check

LAG_BAR_MS = 20.0
MB = 1_000_000


def lag(form: Form) -> tuple[Row, ...]:
    """Take the lag of one run, everything on, 32 in flight."""
    with scratch() as folder, serving() as server:
        path = folder / "corpus.jsonl"
        write_corpus(path, n_bytes=form.pick(quick=MB // 4, whole=50 * MB))
        module, database = f"{HERE}._lag", folder / "store.db"
        command = [sys.executable, "-m", module, str(path), str(database), server.url]
        done = run(command, folder)
    check(done)
    bar_ms = LAG_BAR_MS * slack(form)
    p50_ms, p99_ms = done.told["p50_ms"], done.told["p99_ms"]
    return (
        Row(
            work="event loop wakes late, ms, 99th percentile (median)",
            reference="-",
            bar=f"<= {bar_ms:g}",
            measured=f"{p99_ms:g} ({p50_ms:g})",
            met=p99_ms <= bar_ms,
        ),
    )


def main(path: str, database: str, url: str) -> None:
    """Ingest a file and print how late the loop woke."""
    settings = IngestSettings(
        store=f"sqlite:///{database}",
        embedder="openai:bench",
        base_url=url,
        concurrency=IN_FLIGHT,
    )
    ingestion = Ingestion([path], settings=settings)
    asyncio.run(ingestion.run())
    late = ingestion.loop_lag_s
    told = {f"p{q}_ms": 1000 * late.quantile_s(q / 100) for q in (50, 99)}
    print(json.dumps(told))  # read by the lab


if __name__ == "__main__":
    main(*sys.argv[1:])
