"""Which files of a folder are read."""

from __future__ import annotations

import os

COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst"})
TEXT = frozenset(
    {".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", ".log"}
    | {".xml", ".srt", ".vtt"}
)
CODE = frozenset(
    {".py", ".pyi", ".ipynb", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".go"}
    | {".rs", ".java", ".kt", ".kts", ".scala", ".c", ".h", ".cc", ".cpp", ".cxx"}
    | {".hh", ".hpp", ".cs", ".rb", ".php", ".swift", ".m", ".mm", ".lua", ".pl"}
    | {".pm", ".r", ".jl", ".hs", ".ml", ".ex", ".exs", ".erl", ".clj", ".sh"}
    | {".bash", ".zsh", ".ps1", ".sql", ".css", ".scss", ".vue", ".svelte"}
    | {".proto", ".graphql", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".json"}
)
FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".parquet": "parquet",
}
KNOWN = TEXT | CODE | FORMATS.keys()


def bare_suffix(path: str) -> str:
    """Return the suffix in lower case, looking through a compression's suffix.

    >>> bare_suffix("a/B.JSONL.gz")
    '.jsonl'
    """
    stem, suffix = os.path.splitext(path.lower())  # noqa: PTH122  # paths are text here
    if suffix in COMPRESSED:
        suffix = os.path.splitext(stem)[1]  # noqa: PTH122
    return suffix


def is_known(path: str) -> bool:
    """Tell whether a folder's file is read, by its suffix."""
    return bare_suffix(path) in KNOWN


def format_of(path: str) -> str:
    """Return the format that a suffix names; text where it names none."""
    return FORMATS.get(bare_suffix(path), "text")
