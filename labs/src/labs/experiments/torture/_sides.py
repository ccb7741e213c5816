"""Running one side: its three commands, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import labs
from labs._environment import environment
from labs.experiments.torture._corpus import numbers_in

RUN_TIMEOUT_S = 60.0
POLL_S = 0.005
# Peers that would call home are told not to: labs never need the internet.
QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "COCOINDEX_DISABLE_USAGE_TRACKING": "1",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DO_NOT_TRACK": "true",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Ours, or a peer.

    Args:
        name: what it is called in the table.
        part: what it is called on the command line.
        module: its adapter, below ``labs.experiments.torture.sides``.
        wanted: what its environment holds; empty for ours.
        told: environment variables that choose its mode.
        versions: the packages whose versions are told.
    """

    name: str
    part: str
    module: str
    wanted: tuple[str, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[str, ...] = ()


OURS = Side(name="aip ingest", part="ours", module="platform")
_LANGCHAIN = (
    "jq",
    "langchain-chroma",
    "langchain-classic",
    "langchain-community",
    "langchain-openai",
    "langchain-text-splitters",
    "sqlalchemy[asyncio]",
)
PEERS = (
    Side(
        name="LangChain, incremental",
        part="langchain",
        module="langchain_index",
        wanted=_LANGCHAIN,
        versions=("langchain-core", "langchain-chroma"),
    ),
    Side(
        name="LangChain, full",
        part="langchain-full",
        module="langchain_index",
        wanted=_LANGCHAIN,
        told={"LABS_CLEANUP": "full"},
        versions=("langchain-core", "langchain-chroma"),
    ),
    Side(
        name="LlamaIndex",
        part="llamaindex",
        module="llamaindex_pipeline",
        wanted=(
            "llama-index-core",
            "llama-index-embeddings-openai",
            "llama-index-readers-json",
            "llama-index-vector-stores-chroma",
        ),
        versions=("llama-index-core",),
    ),
    Side(
        name="Haystack",
        part="haystack",
        module="haystack_pipeline",
        wanted=("haystack-ai", "jq"),
        versions=("haystack-ai",),
    ),
    Side(
        name="Daft",
        part="daft",
        module="daft_frame",
        wanted=("daft", "numpy", "openai"),
        versions=("daft",),
    ),
    Side(
        name="CocoIndex",
        part="cocoindex",
        module="cocoindex_app",
        wanted=("cocoindex", "litellm", "numpy"),
        versions=("cocoindex",),
    ),
    Side(
        name="cookbook script",
        part="cookbook",
        module="cookbook_script",
        wanted=("aiohttp",),
        versions=("aiohttp",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a process ended.

    Args:
        code: its exit code; None when it was ended from outside.
        said: what it printed, on both streams.
        seconds: how long it took.
    """

    code: int | None
    said: str
    seconds: float

    @property
    def text(self) -> str:
        """Say how it ended, in a word or two."""
        if self.code is None:
            return f"still trying after {self.seconds:.0f} s"
        return f"exit {self.code}"


@dataclass(slots=True, kw_only=True)
class Held:
    """What a store held, as a search would find it.

    Args:
        numbers: passages with a vector.
        empty: texts without one.
        doubled: rows that say the same of the same source again.
    """

    numbers: set[int] = field(default_factory=set)
    empty: int = 0
    doubled: int = 0


class Bench:
    """Runs the commands of one side.

    Raises:
        NoEnvironment: the peer could not be installed.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self.python = Path(sys.executable)
        if side.wanted:
            self.python = environment(side.module, wanted=side.wanted)
        where = {"PYTHONPATH": str(Path(labs.__file__).parents[1])}
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AIP_")}
        self._env = clean | QUIET | where | dict(side.told)

    def version(self) -> str:
        """Give the names and versions of what is measured."""
        if not self.side.versions:
            return "this checkout"
        code = (
            "import sys, importlib.metadata as m;"
            "print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
        )
        command = [str(self.python), "-c", code, *self.side.versions]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def ingest(
        self,
        folder: Path,
        state: Path,
        url: str,
        *,
        kill_when: Callable[[], bool] = bool,
    ) -> Done:
        """Bring the store in *state* up to date; kill it when told."""
        output = state.parent / "output"
        start = time.monotonic()
        with (
            output.open("wb") as file,
            self._start(file.fileno(), "ingest", folder, state, url) as process,
        ):
            while process.poll() is None:
                late = time.monotonic() - start > RUN_TIMEOUT_S
                if late or kill_when():
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    return self._done(None, output, start)
                time.sleep(POLL_S)
        return self._done(process.returncode, output, start)

    def _start(self, output: int, *words: object) -> subprocess.Popen[bytes]:
        module = f"labs.experiments.torture.sides.{self.side.module}"
        return subprocess.Popen(
            [str(self.python), "-m", module, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=self._env,
            start_new_session=True,
        )

    def _done(self, code: int | None, output: Path, start: float) -> Done:
        said = output.read_text(encoding="utf-8", errors="replace")
        return Done(code=code, said=said, seconds=time.monotonic() - start)

    def empty(self, state: Path) -> None:
        """Take all passages out of its store."""
        with self._start(subprocess.DEVNULL, "empty", state) as process:
            if process.wait(RUN_TIMEOUT_S):
                raise RuntimeError(f"{self.side.name}: its store was not emptied")

    def held(self, states: Iterable[Path]) -> dict[Path, Held]:
        """Give what each of these stores holds.

        Raises:
            RuntimeError: the stores could not be read.
        """
        wanted = {str(state): Held() for state in states}
        module = f"labs.experiments.torture.sides.{self.side.module}"
        done = subprocess.run(
            [str(self.python), "-m", module, "passages", *wanted],
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * RUN_TIMEOUT_S,
        )
        if done.returncode:
            raise RuntimeError(f"{self.side.name}: unreadable: {done.stderr[-300:]}")
        seen: Counter[tuple[str, str, str]] = Counter()
        for line in done.stdout.splitlines():
            state, source, text, length = json.loads(line)
            held = wanted[state]
            seen[state, source, text] += 1
            held.doubled += seen[state, source, text] > 1
            if length:
                held.numbers |= numbers_in(text)
            else:
                held.empty += 1
        return {Path(state): held for state, held in wanted.items()}
