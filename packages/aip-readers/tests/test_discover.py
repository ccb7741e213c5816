"""Patterns name files: sorted, each once, without loops."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from aip_readers import NoMatchError, OpenError, ReadError, covers, discover


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.txt", "a.md", "skip.bin", ".hidden.txt", "sub/c.py", "sub/d.jsonl.gz",
        "sub/deep/e.txt", ".git/f.txt", "sub/__pycache__/g.py", "x.dat",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    return tmp_path


def names(tree: Path, *patterns: str) -> list[str]:
    found = list(discover([tree / pattern for pattern in patterns]))
    assert all(Path(path).is_absolute() for path in found)
    return [os.path.relpath(path, tree) for path in found]


ALL = ["a.md", "b.txt", "sub/c.py", "sub/d.jsonl.gz", "sub/deep/e.txt"]


def test_a_folder_is_walked_in_order_by_known_suffixes(tree: Path) -> None:
    assert names(tree, ".") == ALL


def test_what_is_passed_over_for_its_suffix_is_told(tree: Path) -> None:
    (tree / "notes.xyz").write_text("x")
    (tree / "sub").mkdir(exist_ok=True)
    (tree / "sub" / "README").write_text("x")
    told: list[str] = []
    found = list(discover(tree, on_unknown=told.append))
    assert found == list(discover(tree))
    assert {str(tree / "notes.xyz"), str(tree / "sub" / "README")} <= set(told)
    assert not set(told) & set(found)


def test_what_is_passed_over_is_told_once(tree: Path) -> None:
    for name in ("one.xyz", "sub/two.xyz", "named.xyz"):
        (tree / name).write_text("x")
    told: list[str] = []
    given = [tree / "named.xyz", tree / "sub", tree, tree]
    found = list(discover(given, on_unknown=told.append))
    assert [path for path in told if path.endswith("xyz")] == [
        str(tree / "sub" / "two.xyz"),
        str(tree / "one.xyz"),
    ]
    assert len(found) == len(set(found))


def test_a_named_file_is_taken_whatever_its_suffix(tree: Path) -> None:
    assert names(tree, "x.dat", ".hidden.txt") == ["x.dat", ".hidden.txt"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["b.txt"]),
        ("**/*.txt", ["b.txt", "sub/deep/e.txt"]),
        ("sub/*", ["sub/c.py", "sub/d.jsonl.gz"]),
        ("sub/**", ["sub/c.py", "sub/d.jsonl.gz", "sub/deep/e.txt"]),
        ("**/deep/**/*.txt", ["sub/deep/e.txt"]),
        ("[ab].*", ["a.md", "b.txt"]),
        (".hid*", [".hidden.txt"]),
    ],
)
def test_globs(tree: Path, pattern: str, expected: list[str]) -> None:
    assert names(tree, pattern) == expected


@pytest.mark.parametrize(
    "patterns",
    [
        ("b.txt", "."),
        (".", "b.txt", "sub", "**/*.py"),
        ("sub/deep/*.txt", "*.txt", ".", "sub/c.py"),
    ],
)
def test_nothing_comes_twice(tree: Path, patterns: tuple[str, ...]) -> None:
    found = names(tree, *patterns)
    assert sorted(found) == ALL


def test_what_is_missing_is_an_error(tree: Path) -> None:
    with pytest.raises(OpenError, match="no such file"):
        names(tree, "nowhere")
    with pytest.raises(NoMatchError, match="matches no file"):
        names(tree, "*.nothing")
    with pytest.raises(NoMatchError, match="matches no file"):
        names(tree, "nowhere/*.txt")


def test_a_broken_link_is_an_error(tree: Path) -> None:
    (tree / "broken.txt").symlink_to(tree / "gone")
    with pytest.raises(OpenError, match="points to nothing"):
        names(tree, "broken.txt")


def test_is_lazy(tree: Path) -> None:
    found = discover([tree, tree / "nowhere"])
    assert next(found).endswith("a.md")


@pytest.mark.parametrize(
    "pattern", [".", "sub", "x.dat", "*.txt", "**/*.txt", "sub/**", "[ab].*"]
)
def test_covers_what_discover_would_find_also_when_it_is_gone(
    tree: Path, pattern: str
) -> None:
    covered = covers([tree / pattern])
    found = set(discover([tree / pattern]))
    everything = {str(path) for path in tree.rglob("*") if path.is_file()}
    assert found
    assert {path for path in everything if covered(path)} == found
    gone = found.pop()
    covered = covers([tree / pattern])
    Path(gone).unlink()
    assert covered(gone)
    assert not covered(str(tree.parent / "elsewhere.txt"))


def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_goes_on(
    tree: Path,
) -> None:
    told: list[ReadError] = []
    (tree / "z.txt").write_text("z")
    walk = discover([tree], on_error=told.append)
    found = [next(walk), next(walk)]
    shutil.rmtree(tree / "sub")  # it was seen when the folder above was listed
    found += walk
    assert [os.path.relpath(path, tree) for path in found] == ["a.md", "b.txt", "z.txt"]
    assert [error.source for error in told] == [str(tree / "sub")]


def test_a_folder_that_cannot_be_listed_is_raised_or_skipped(tree: Path) -> None:
    walks = discover(tree), discover([tree], on_error="skip")
    first = [next(walk) for walk in walks]
    shutil.rmtree(tree / "sub")
    with pytest.raises(OpenError, match="no such file"):
        list(walks[0])
    assert [*first[1:], *walks[1]] == [str(tree / "a.md"), str(tree / "b.txt")]


def test_covers_nothing_below_a_match_or_behind_a_link(tree: Path) -> None:
    inside, linked = tree / "sub" / "c.py", tree / "sub" / "loop" / "b.txt"
    assert covers(inside)(str(inside))
    assert not covers(tree / "s*")(str(inside))
    assert linked.exists()
    assert not covers(tree / "**" / "*.txt")(str(linked))


def test_a_link_to_itself_is_passed_over(tree: Path) -> None:
    (tree / "loop.txt").symlink_to(tree / "loop.txt")
    assert names(tree, ".") == ALL
    assert names(tree, "*.txt") == ["b.txt"]


def test_folders_may_nest_more_deeply_than_calls(tmp_path: Path) -> None:
    folders = [str(tmp_path) + "/a" * depth for depth in range(1, 1101)]
    for folder in folders:
        os.mkdir(folder)  # noqa: PTH102  # Path takes a second for these
    path = f"{folders[-1]}/x.txt"
    Path(path).touch()
    try:
        assert list(discover(tmp_path)) == [path]
        assert list(discover(tmp_path / "**" / "*.txt")) == [path]
    finally:
        # What pytest cleans up with goes down by recursion.
        Path(path).unlink()
        for folder in reversed(folders):
            os.rmdir(folder)  # noqa: PTH106  # as above
