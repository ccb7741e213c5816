"""What is exact: going on after a kill, seeking, cutting, and what import costs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from labs import MIB, Form, Row, scratch, spread
from labs.experiments.readers._bench import (
    CHILD,
    PYTHON,
    TIMEOUT_S,
    Missing,
    environ,
    removed,
    repeated,
    run,
    text_unit,
)

BIG, BRIEF_BIG, QUICK_BIG = 10 * 10**9, 10**9, 10**7
RESUMED, QUICK_RESUMED = 64 * MIB, 2 * MIB
KILLS = 3
IMPORTS = 5
TRICKY = (
    "e\u0301a\u0308 \U0001f469\u200d\U0001f469\u200d\U0001f467 "
    "\U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea \u0915\u094d\u0937\u093f \uac01 "
)


def exact(form: Form) -> tuple[Row, ...]:  # the shape of a part
    """Measure what has one right answer."""
    with scratch() as folder:
        return (
            _resumed(folder, form.pick(quick=QUICK_RESUMED, whole=RESUMED)),
            _seek(folder, form.pick(quick=QUICK_BIG, brief=BRIEF_BIG, whole=BIG)),
            _graphemes(folder, form.pick(quick=1, whole=20)),
            *_imports(judged=form is not Form.QUICK),
        )


def _resumed(folder: Path, size: int) -> Row:
    text = repeated(folder / "text", text_unit(1 << 20), size)
    whole, parts = folder / "whole", folder / "parts"
    run("resume", text, whole, 0)
    lines = whole.read_bytes().count(b"\n")
    for turn in range(KILLS):
        command = [CHILD, "resume", "-", text, parts, lines // (KILLS + 1) + turn]
        done = subprocess.run(
            [PYTHON.get(), *map(str, command)],
            check=False,
            timeout=TIMEOUT_S,
            env=environ(),
        )
        if done.returncode >= 0:
            raise RuntimeError("the reader was to be killed")
    run("resume", text, parts, 0)
    same = whole.read_bytes() == parts.read_bytes()
    return Row(
        work=f"{KILLS} kills, going on from a cursor each time",
        reference=f"one pass over {lines:,} lines",
        bar="identical",
        measured="identical" if same else "different",
        met=same,
    )


def _seek(folder: Path, size: int) -> Row:
    unit = text_unit(8 * MIB)
    path = repeated(folder / "big", unit, size)
    with removed(path):
        start = path.stat().st_size - len(unit)
        took = [run("seek", path, start).value / 1e6 for _ in range(IMPORTS)]
    return Row(
        work="the first line from an offset, the file opened anew",
        reference=f"a file of {size / 10**9:g} GB",
        bar="< 5 ms",
        measured=f"{spread(took).median:.2f} ms",
        met=spread(took).median < 5,  # noqa: PLR2004  # the bar
    )


def _graphemes(folder: Path, times: int) -> Row:
    from aip_readers import open_records, split  # as labs ask

    path = folder / "tricky"
    path.write_text((TRICKY + TRICKY.replace(" ", "")) * 40 * times)
    chunks = list(split(open_records(path), size=40, overlap=12))
    joined = {"\u0301", "\u0308", "\u200d", "\u094d", "\u093f"}
    cut = sum(chunk.text[0] in joined for chunk in chunks)
    cut += sum(chunk.text[-1] in {"\u200d", "\u094d"} for chunk in chunks)
    return Row(
        work=f"graphemes cut in {len(chunks):,} chunks of 40 characters",
        reference=f"{len(TRICKY.split())} kinds of joined characters",
        bar="0",
        measured=str(cut),
        met=cut == 0,
    )


def _imports(*, judged: bool) -> Iterator[Row]:
    ran = [run("import_readers", "-") for _ in range(IMPORTS)]
    took = spread([1000 * each.cpu_s for each in ran]).median
    foreign = ran[0].value
    yield Row(
        work="import aip_readers",
        reference=_peer_import(),
        bar="< 40 CPU-ms, 0 third-party modules",
        measured=f"{took:.0f} CPU-ms, {foreign} third-party modules",
        met=(took < 40 or not judged) and foreign == 0,  # noqa: PLR2004  # the bar
    )


def _peer_import() -> str:
    try:
        took = [1000 * run("import_smart_open", "-").cpu_s for _ in range(IMPORTS)]
    except Missing:
        return "smart_open is not installed"
    return f"smart_open {spread(took).median:.0f} CPU-ms"
