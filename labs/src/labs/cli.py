"""The command ``labs``: list the experiments, run some, report on all."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import click
from rich.console import Console

from labs._form import Form
from labs._machine import machine
from labs._registry import (
    UnknownExperiment,
    UnknownPart,
    catalogue,
    check_parts,
    choose,
    perform,
)
from labs._result import Experiment, Finding, Result
from labs._show import show_list, show_result, show_verdicts

STDERR_TAIL_CHARS = 500


@click.group()
def main() -> None:
    """Break it, measure it, fix it: the experiments behind ai-platform."""
    # Outages are what many labs make: what the client warns of would bury the result.
    logging.getLogger("aip_httpclient").addHandler(logging.NullHandler())
    # A process that compiles all it imports is none that anybody runs twice.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@main.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_(*, as_json: bool) -> None:
    """List the experiments and what each one claims."""
    known = catalogue()
    if as_json:
        rows = [{"id": m.id, "title": m.title, "claim": m.claim} for m in known]
        click.echo(json.dumps(rows, indent=1))
    else:
        show_list(Console(), known)


@main.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...|all")
@click.option("--quick", "form", flag_value="quick", help="Small sizes, for tests.")
@click.option(
    "--brief",
    "form",
    flag_value="brief",
    help="Benchmarks in minutes, at smaller sizes.  [default for all]",
)
@click.option(
    "--whole",
    "form",
    flag_value="whole",
    help="The sizes that the claims speak of.  [default for an ID]",
)
@click.option(
    "--only",
    multiple=True,
    metavar="PART",
    help="Run this part of the experiment alone; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one self-contained HTML page.",
)
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the plots (PNG). [default: labs-plots; none with --json]",
)
def run(
    *,
    ids: tuple[str, ...],
    form: str | None,
    only: tuple[str, ...],
    as_json: bool,
    report: Path | None,
    plots: Path | None,
) -> None:
    """Run experiments by id, or all of them.

    Exits with 0 when no verdict is "not reproduced", 1 otherwise, 2 on wrong usage.
    """
    chosen = _choose(ids, only=only)
    if report is not None and not report.absolute().parent.is_dir():
        raise click.UsageError(f"--report: there is no folder {report.parent}")
    chosen_form = Form(form or ("brief" if "all" in ids else "whole"))
    results = [
        _perform(made, form=chosen_form, only=only, silent=as_json) for made in chosen
    ]
    if as_json:
        click.echo(json.dumps([each.summary() for each in results], indent=1))
    elif len(results) > 1:
        show_verdicts(Console(), results)
    folder = plots or (None if as_json else Path("labs-plots"))
    if folder is not None:
        _save_plots(results, folder)
    if report is not None:
        from labs._report import page  # noqa: PLC0415  # draws: only when asked for

        report.write_text(page(results, where=machine()), encoding="utf-8")
        click.echo(f"report: {report}", err=True)
    broken = any(each.finding.verdict == "not reproduced" for each in results)
    sys.exit(1 if broken else 0)


def _choose(ids: tuple[str, ...], *, only: tuple[str, ...]) -> tuple[Experiment, ...]:
    """Give the experiments asked for; an unknown one, or part, is wrong usage."""
    try:
        chosen = choose(ids)
        for made in chosen:
            check_parts(made, only)
    except (UnknownExperiment, UnknownPart) as error:
        raise click.UsageError(str(error)) from error
    return chosen


def _perform(
    made: Experiment, *, form: Form, only: tuple[str, ...], silent: bool
) -> Result:
    """Run one experiment; its own failure is a result too, so that the rest run."""
    progress, form = Console(stderr=True), made.nearest(form)
    try:
        with progress.status(f"{made.id}  {made.title}"):
            result = perform(made, form=form, only=only)
    except Exception as error:  # noqa: BLE001  # told on stderr, in the result, by the exit code
        said = f"{type(error).__name__}: {error}"[-STDERR_TAIL_CHARS:]
        click.echo(f"labs: error: experiment {made.id} failed: {said}", err=True)
        failed = Finding(measured=f"it failed: {said}", verdict="not reproduced")
        result = Result(experiment=made, finding=failed, seconds=0.0, form=form)
    if not silent:
        show_result(Console(), result)
    return result


def _save_plots(results: list[Result], folder: Path) -> None:
    from labs._draw import save_png  # noqa: PLC0415  # draws: only when there is a chart

    for result in results:
        for place, chart in enumerate(result.finding.charts):
            folder.mkdir(parents=True, exist_ok=True)
            suffix = f"-{place + 1}" if place else ""
            path = folder / f"{result.experiment.id}{suffix}.png"
            save_png(chart, path)
            click.echo(f"plot: {path}", err=True)
