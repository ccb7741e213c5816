"""Results on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from labs._result import Comparison, Experiment, Finding, Result, Table, number

COLOUR = {"reproduced": "green", "better": "bold green", "not reproduced": "bold red"}
MET = {True: "[green]yes[/]", False: "[bold red]no[/]", None: "-"}


def show_list(console: Console, experiments: tuple[Experiment, ...]) -> None:
    """Print the id, title and claim of each experiment."""
    grid = Grid("id", "title", "claim", box=None, pad_edge=False)
    for made in experiments:
        grid.add_row(f"[bold]{made.id}[/]", escape(made.title), escape(made.claim))
    console.print(grid)


def show_result(console: Console, result: Result) -> None:
    """Print one result: the question, both ways, the figures and the verdict."""
    made, found = result.experiment, result.finding
    console.rule(f"[bold]{made.id}  {escape(made.title)}[/]", align="left")
    _line(console, "question", made.question)
    _line(console, "hypothesis", made.hypothesis)
    for label, way in (("broken way", found.broken), ("right way", found.right)):
        if way is not None:
            _line(console, label, f"{way.name}: {way.code}")
    _figures(console, found)
    for table in found.tables:
        console.print(_grid(table))
    for comparison in found.comparisons:
        _compare(console, comparison)
    _line(console, "claim", made.claim)
    _line(console, "measured", result.measured)
    colour = COLOUR[found.verdict]
    _line(console, "verdict", f"[{colour}]{found.verdict}[/]", markup=True)
    _line(console, "why", made.explanation)
    _line(console, "in production", made.production)
    for note in found.notes:
        _line(console, "note", note)
    if result.shortened:
        _line(console, "form", result.shortened)
    _line(console, "took", f"{result.seconds:.1f} s")


def show_verdicts(console: Console, results: list[Result]) -> None:
    """Print one line for each result."""
    grid = Grid("id", "title", "verdict", "seconds", box=None, pad_edge=False)
    for result in results:
        verdict = result.finding.verdict
        grid.add_row(
            result.experiment.id,
            escape(result.experiment.title),
            f"[{COLOUR[verdict]}]{verdict}[/]",
            f"{result.seconds:.1f}",
        )
    console.print(grid)


def _line(console: Console, label: str, text: str, *, markup: bool = False) -> None:
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(width=13, style="dim")
    grid.add_column(overflow="fold")
    grid.add_row(label, text if markup else escape(text))
    console.print(grid)


def _figures(console: Console, found: Finding) -> None:
    if not found.figures:
        return
    grid = Grid("figure", "measured", "claimed")
    for figure in found.figures:
        claimed = "" if figure.claimed is None else number(figure.claimed)
        grid.add_row(escape(figure.name), escape(figure.text()), claimed)
    console.print(grid)


def _grid(table: Table) -> Grid:
    grid = Grid("work", "reference", "bar", "measured", "met", title=table.title)
    for row in table.rows:
        cells = (row.work, row.reference, row.bar, row.measured)
        grid.add_row(*map(escape, cells), MET[row.met])
    return grid


def _compare(console: Console, comparison: Comparison) -> None:
    """Print ours against the rule, then what each of the others did not pass."""
    ours, *others = comparison.sides
    grid = Grid("what is done", "what must come out", ours, "met")
    grid.title = comparison.title
    for name, bar, cells in comparison.rows:
        grid.add_row(*map(escape, (name, bar, cells[0].text)), MET[cells[0].met])
    console.print(grid)
    for side, name in enumerate(others, start=1):
        passed = f"{comparison.passed(side)} of {len(comparison.rows)}"
        console.print(f"[bold]{escape(name)}[/]: passed {passed}")
        for row, _, cells in comparison.rows:
            if cells[side].met is False:
                _line(console, "not passed", f"{row}: {cells[side].text}")
