"""Running one side against one server, and measuring it from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labs._form import Form
from labs._measure import KIB
from labs.experiments.ingest._server import Switches

POLL_S = 0.02
TIMEOUT_S = 1200.0
UNCUT = 1_000_000  # characters: no text is cut
SAME_WORK = ("--clean", "none", "--no-fulltext", "--chunk-size", str(UNCUT))
IN_FLIGHT = 32
HERE = "labs.experiments.ingest"
# At quick sizes a run is mostly its own start, which on a busy machine takes seconds:
# its bars of time are so much wider.
QUICK_SLACK = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a client, as the kernel saw it.

    Args:
        code: exit code; the negative signal number when it was killed.
        started_s: on the machine's monotonic clock.
        wall_s: from start to end of the process.
        cpu_s: user and system time, all threads.
        peak_bytes: greatest resident memory (VmHWM), read every `POLL_S`.
        stdout: what it printed.
        stderr: what it complained of.
    """

    code: int
    started_s: float
    wall_s: float
    cpu_s: float
    peak_bytes: int
    stdout: str
    stderr: str

    @property
    def told(self) -> dict[str, Any]:
        """Give the JSON object that `aip ingest --json` printed."""
        said: dict[str, Any] = json.loads(self.stdout)
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server in another process."""

    port: int

    @property
    def url(self) -> str:
        """Root of its API."""
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """Ask what it saw."""
        address = f"http://127.0.0.1:{self.port}/stats"
        with urllib.request.urlopen(address, timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@contextmanager
def serving(switches: Switches | None = None) -> Iterator[Server]:
    """Serve in a process of its own, and end it."""
    asked = json.dumps(asdict(switches or Switches()))
    command = [sys.executable, "-m", f"{HERE}._server", asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise AssertionError("stdout is a pipe")
            yield Server(port=int(process.stdout.readline()))
        finally:
            process.kill()


def aip(
    source: Path | str, database: Path, url: str, *options: str, concurrency: int = 0
) -> list[str]:
    """Give the command of our side; *concurrency* 0 leaves it adaptive."""
    command = [sys.executable, "-m", "aip_pipeline", "ingest", str(source), "--json"]
    command += ["--store", f"sqlite:///{database}", "--embedder", "openai:bench"]
    command += ["--base-url", url, "--concurrency", str(concurrency or "adaptive")]
    return [*command, *options]


def script(
    source: Path | str, database: Path, url: str, *, size: int = UNCUT
) -> list[str]:
    """Give the command of the yardstick."""
    more = "--size", str(size), "--concurrency", str(IN_FLIGHT)
    files = str(source), str(database), url
    return [sys.executable, "-m", f"{HERE}._script", *files, *more]


def lawful(source: Path, database: Path, url: str) -> list[str]:
    """Give the command of the floor: the script's work under the laws, and no more."""
    more = "--concurrency", str(IN_FLIGHT)
    files = str(source), str(database), url
    return [sys.executable, "-m", f"{HERE}._lawful", *files, *more]


def saturate(url: str, *, requests: int) -> list[str]:
    """Give the command of who only keeps the server's slots waiting."""
    return [sys.executable, "-m", f"{HERE}._saturate", url, str(requests)]


def slack(form: Form) -> float:
    """Give the factor by which bars of time are widened."""
    return form.pick(quick=QUICK_SLACK, whole=1.0)


def start(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a client; its output goes to files in *folder*."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AIP_")}
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        return subprocess.Popen(command, stdout=out, stderr=err, cwd=folder, env=clean)


def run(
    command: Sequence[str],
    folder: Path,
    *,
    kill_after_s: float | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Run:
    """Run a client to its end, or until it is killed with SIGKILL.

    Raises:
        TimeoutError: it did not end in time, and was killed.
    """
    started_s, peak = time.monotonic(), 0
    process = start(command, folder)
    while True:
        peak = max(peak, _peak_bytes(process.pid))
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        lasted_s = time.monotonic() - started_s
        if pid:
            break
        if lasted_s > min(kill_after_s or timeout_s, timeout_s):
            process.kill()
        time.sleep(POLL_S)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if lasted_s > timeout_s:
        raise TimeoutError(f"{command[2]} took more than {timeout_s:.0f} s")
    return Run(
        code=code,
        started_s=started_s,
        wall_s=lasted_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=peak,
        stdout=(folder / "stdout").read_text(encoding="utf-8"),
        stderr=(folder / "stderr").read_text(encoding="utf-8"),
    )


def _peak_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    _, _, after = status.partition("VmHWM:")
    return int(after.split()[0]) * KIB if after else 0
