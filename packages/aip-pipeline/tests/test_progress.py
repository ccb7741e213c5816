"""What a terminal shows of a run."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from pathlib import Path

from command import Aip, aip_process
from openai_server import OpenAIServer

from aip_pipeline._headway import bytes_to_read


async def test_a_terminal_shows_the_part_done_the_time_left_and_the_cause(
    aip: Aip,
) -> None:
    lines = (json.dumps({"text": f"text number {n} " * 20}) for n in range(4000))
    (aip.folder / "a.jsonl").write_text("\n".join(lines))
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    async with OpenAIServer(delay_s=0.05) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        small = ("--concurrency", "1", "--max-memory", "1M", "--batch-size", "16")
        run = await aip_process("ingest", "a.jsonl", *flags, *small, stderr=theirs)
        shown = b""
        async with asyncio.timeout(30):
            while not (b" left" in shown and b"waiting on answers" in shown):
                await asyncio.sleep(0.02)
                try:
                    shown += os.read(ours, 65536)
                except BlockingIOError:
                    assert run.returncode is None, shown.decode()
        run.terminate()
        await run.communicate()
    os.close(ours)
    os.close(theirs)
    assert run.returncode == 130
    assert b"%, about" in shown


def test_the_bytes_of_all_files_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    (tmp_path / "b.md").write_bytes(b"de")
    (tmp_path / "c.xyz").write_bytes(b"not read")
    given = [str(tmp_path)]
    assert bytes_to_read(given, stop=lambda: False) == 5
    assert bytes_to_read(given, stop=lambda: True) is None
    assert bytes_to_read(["-", *given], stop=lambda: False) is None
    assert bytes_to_read([str(tmp_path / "gone")], stop=lambda: False) is None
