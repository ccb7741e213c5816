"""Which part of a passage a search shows."""

from __future__ import annotations

import pytest

from aip_pipeline.cli._excerpt import excerpt

FILLER = "Words that nobody asked for. " * 40
SIZE = 120


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("how is a killed run resumed", "Resuming after a kill costs nothing."),
        ("Retry-After", "The header Retry-After is obeyed."),
        ("creme brulee", "She ordered a crème brûlée again."),
        ("水温", "绿茶的水温要比红茶低"),
        ("is it in", "Here it is in short."),
    ],
)
def test_the_part_with_the_words_of_the_query_is_shown(
    query: str, sentence: str
) -> None:
    shown = excerpt(FILLER + sentence + " " + FILLER, query, size=SIZE)
    assert sentence in shown
    assert shown.startswith("... ")
    assert shown.endswith(" ...")
    assert len(shown) <= SIZE + len("...  ...")


def test_the_part_with_the_most_of_the_words_is_shown() -> None:
    text = f"A train. {FILLER} The train leaves the station at seven. {FILLER}"
    shown = excerpt(text, "when does the train leave the station", size=SIZE)
    assert "The train leaves the station" in shown


@pytest.mark.parametrize("query", ["nothing of that", "run", "!?", "ask"])
def test_the_beginning_is_shown_where_no_word_matches(query: str) -> None:
    shown = excerpt("Runtime first. " + "Others. " * 100, query, size=SIZE)
    assert shown.startswith("Runtime first. Others.")
    assert shown.endswith("Others. ...")


def test_a_short_text_is_shown_whole_on_one_line() -> None:
    assert excerpt("Boil\n\n  water.", "water", size=SIZE) == "Boil water."


def test_text_without_spaces_is_shown_too() -> None:
    shown = excerpt("茶" * 500 + "水温" + "茶" * 500, "水温", size=SIZE)
    assert "水温" in shown


def test_nothing_that_a_terminal_would_obey_is_shown() -> None:
    assert excerpt("a\x1b[2J\x07b", "b", size=SIZE) == "a [2J b"


def test_syllables_that_only_begin_alike_are_two() -> None:
    text = "말은 빠르다. " + FILLER + "물은 백 도에서 끓는다. " + FILLER
    assert "물은 백 도" in excerpt(text, "물은", size=SIZE)
