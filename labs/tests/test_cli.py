from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from labs import (
    Chart,
    Experiment,
    Figure,
    Finding,
    Form,
    Row,
    Series,
    Table,
    Verdict,
    Way,
    _registry,
    catalogue,
)
from labs.cli import main

HEAVY = "matplotlib", "numpy", "aiohttp", "aip_readers", "aip_pipeline"


def made(
    id_: str,
    *,
    verdict: Verdict,
    error: str = "",
    parts: tuple[str, ...] = (),
    brief: str = "",
) -> Experiment:
    def run(form: Form, only: Sequence[str] = ()) -> Finding:
        if error:
            raise RuntimeError(error)
        return Finding(
            measured=f"{form} {''.join(only)}<b>",
            verdict=verdict,
            broken=Way(name="guess", code="1 < 2"),
            right=Way(name="know", code="2 > 1"),
            figures=(Figure(name="n", value=2.5, unit="s", low=2, high=3),),
            tables=(
                Table(
                    title="bars",
                    rows=(
                        Row(work="w", reference="r", bar="b", measured="m", met=False),
                    ),
                ),
            ),
            charts=(
                Chart(
                    title="chart",
                    x="x",
                    y="y",
                    kind="line",
                    series=(
                        Series(
                            label="s", xs=(1, 2), ys=(1, 2), lows=(0, 1), highs=(2, 3)
                        ),
                        Series(label="law", xs=(1, 2), ys=(1, 2), model=True),
                    ),
                ),
            ),
        )

    text = "title", "question", "hypothesis", "claim", "explanation", "production"
    said: dict[str, Any] = {name: f"{name} <i>" for name in text}
    return Experiment(id=id_, run=run, parts=parts, brief=brief, **said)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Experiment]:
    """Stand in for the registered experiments."""
    catalogue()
    stand_in = {
        each.id: each
        for each in (
            made("zeta", verdict="better", parts=("one", "two"), brief="Less of it."),
            made("1.10", verdict="reproduced"),
            made("1.9", verdict="not reproduced"),
            made("2.0", verdict="reproduced", error="the disk is full"),
        )
    }
    monkeypatch.setattr(_registry, "_registered", stand_in)
    return stand_in


def test_lists_numbered_experiments_first_and_in_order(
    runner: CliRunner, known: dict[str, Experiment]
) -> None:
    done = runner.invoke(main, ["list", "--json"])
    assert [row["id"] for row in json.loads(done.stdout)] == [
        "1.9",
        "1.10",
        "2.0",
        "zeta",
    ]
    assert set(known) == {"1.9", "1.10", "2.0", "zeta"}


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from labs import catalogue; assert catalogue();"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("known")
class TestRun:
    def test_json_is_one_list_of_the_five_fields(self, runner: CliRunner) -> None:
        done = runner.invoke(main, ["run", "1.10", "zeta", "--json", "--quick"])
        assert done.exit_code == 0
        first, second = json.loads(done.stdout)
        assert first == {
            "id": "1.10",
            "title": "title <i>",
            "claim": "claim <i>",
            "measured": "quick <b>",
            "verdict": "reproduced",
        }
        assert second["verdict"] == "better"

    def test_a_claim_not_reproduced_gives_exit_code_1(self, runner: CliRunner) -> None:
        assert runner.invoke(main, ["run", "1.9", "--json"]).exit_code == 1

    def test_a_failing_experiment_is_told_and_the_rest_still_run(
        self, runner: CliRunner
    ) -> None:
        done = runner.invoke(main, ["run", "2.0", "zeta", "--json"])
        assert done.exit_code == 1
        assert "experiment 2.0 failed: RuntimeError: the disk is full" in done.stderr
        assert [row["verdict"] for row in json.loads(done.stdout)] == [
            "not reproduced",
            "better",
        ]

    def test_an_unknown_id_is_a_usage_error_that_names_the_known(
        self, runner: CliRunner
    ) -> None:
        done = runner.invoke(main, ["run", "7.7"])
        assert done.exit_code == 2
        assert "no experiment 7.7: choose from all, 1.9, 1.10" in done.stderr

    def test_a_part_runs_alone(self, runner: CliRunner) -> None:
        done = runner.invoke(main, ["run", "zeta", "--only", "two", "--json"])
        assert json.loads(done.stdout)[0]["measured"] == "whole two<b>"

    def test_an_unknown_part_is_a_usage_error_that_names_the_known(
        self, runner: CliRunner
    ) -> None:
        done = runner.invoke(main, ["run", "zeta", "--only", "three"])
        assert done.exit_code == 2
        assert "zeta has no part three: choose from one, two" in done.stderr

    def test_all_runs_each_once_even_when_named_again(self, runner: CliRunner) -> None:
        done = runner.invoke(main, ["run", "zeta", "all", "--json"])
        ids = [row["id"] for row in json.loads(done.stdout)]
        assert ids == ["zeta", "1.9", "1.10", "2.0"]

    @pytest.mark.parametrize(
        ("command", "measured"),
        [
            ("zeta", ["whole <b>"]),
            ("zeta --brief", ["brief <b> (brief form)"]),
            ("1.10 --brief", ["whole <b>"]),
            ("all", ["whole <b>"] * 2 + ["brief <b> (brief form)"]),
            ("all --whole", ["whole <b>"] * 3),
            ("all --quick", ["quick <b>"] * 3),
        ],
    )
    def test_all_takes_the_brief_forms_that_there_are(
        self, runner: CliRunner, command: str, measured: list[str]
    ) -> None:
        done = runner.invoke(main, ["run", *command.split(), "--json"])
        rows = [row for row in json.loads(done.stdout) if row["id"] != "2.0"]
        assert [row["measured"] for row in rows] == measured

    def test_a_brief_form_says_what_is_smaller_and_how_to_run_the_whole(
        self, runner: CliRunner
    ) -> None:
        done = runner.invoke(main, ["run", "all", "--report", "r.html"])
        said = "Brief form: Less of it. The whole: labs run zeta"
        assert done.stdout.count(said) == 1
        text = Path("r.html").read_text(encoding="utf-8")
        assert text.count(said) == 1
        assert text.index("each named in its row): zeta.") < text.index("verdict")

    def test_shows_figures_bars_and_verdict_and_saves_the_plot(
        self, runner: CliRunner
    ) -> None:
        done = runner.invoke(main, ["run", "1.10"])
        for text in ("2.5 (2 to 3) s", "bars", "reproduced", "explanation <i>"):
            assert text in done.stdout
        plot = Path("labs-plots/1.10.png").read_bytes()
        assert plot.startswith(b"\x89PNG")

    def test_a_report_into_a_missing_folder_fails_before_anything_runs(
        self, runner: CliRunner
    ) -> None:
        done = runner.invoke(main, ["run", "zeta", "--report", "absent/r.html"])
        assert done.exit_code == 2
        assert "there is no folder absent" in done.stderr

    def test_the_report_is_one_page_that_fetches_nothing(
        self, runner: CliRunner
    ) -> None:
        done = runner.invoke(main, ["run", "all", "--report", "r.html"])
        assert done.exit_code == 1
        text = Path("r.html").read_text(encoding="utf-8")
        assert not re.search(r"<(img|script|link|iframe|image)\b|url\(http", text)
        assert text.count("<svg") == 3
        assert "<b>" not in text.replace("<b>Broken:</b>", "").replace(
            "<b>Right:</b>", ""
        )
        assert text.index("verdict") < text.index("<svg")
        assert 'href="#lab-1-9"' in text.replace("'", '"')
