"""All results as one self-contained page, for a screen, a phone or paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from labs._draw import svg
from labs._form import Form
from labs._result import Comparison, Finding, Result, Table, number

_MET = {True: "passed", False: "not passed", None: "not measured"}
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 52rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 3rem;
  border-top: 1px solid #ccc; padding-top: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid #ddd; overflow-wrap: break-word; }
dt { color: #555; font-size: .85rem; } dd { margin: 0 0 .7rem; }
pre { background: #f5f5f5; padding: .6rem; overflow-x: auto; font-size: .85rem; }
figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; }
.good { color: #006b3c; font-weight: 600; } .bad { color: #b00020; font-weight: 600; }
table.sides td:first-child { width: 30%; } table.sides td:last-child { width: 20%; }
table.sides { break-inside: avoid; }
.aside { color: #555; font-size: .85rem; font-weight: 400; }
@media (max-width: 40rem) {
  .cards th { display: none; }
  .cards td { display: block; border: 0; padding: 0; }
  .cards td:first-child { font-weight: 600; }
  .cards td[data-name]:not(:empty)::before { content: attr(data-name) ": ";
    color: #555; font-weight: 400; }
  .cards tr { display: block; border-bottom: 1px solid #ddd; padding: .6rem 0; }
}
tr, figure { break-inside: avoid; }
h2, h2 + p, p:has(+ pre), dt, caption { break-after: avoid; }
@media print {
  @page { margin: 15mm; }
  :root { font-size: 11px; } body { font-size: 1rem; max-width: none; padding: 0; }
  th, td { padding: .15rem .6rem .15rem 0; } dd { margin-bottom: .3rem; }
  a { color: inherit; text-decoration: none; }
  .wide { overflow: visible; } pre { white-space: pre-wrap; }
  svg { max-width: 10cm; max-height: 20cm; }
}
"""


def page(results: Sequence[Result], *, where: Mapping[str, str]) -> str:
    """Write the page: verdicts first, then each experiment with its plot.

    Args:
        results: what was measured, in the order to show it.
        where: what the figures were measured on, by name.
    """
    minutes = sum(each.seconds for each in results) / 60
    facts = {**where, "took": f"{minutes:.1f} minutes"}
    return (
        "<!doctype html>\n<html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>ai-platform labs</title><style>{STYLE}</style>"
        "<h1>ai-platform: what was claimed, what was measured</h1>"
        f"{_forms(results)}{_verdicts(results)}{_facts(facts)}"
        f"{''.join(map(_section, results))}</html>\n"
    )


def _forms(results: Sequence[Result]) -> str:
    """Tell, before any verdict, what was not run whole."""
    if any(each.form is Form.QUICK for each in results):
        return "<p class=bad>Quick form: small sizes, for tests.</p>"
    brief = [each.experiment.id for each in results if each.form is Form.BRIEF]
    told = "Brief form (smaller sizes, each named in its row)"
    return f"<p>{told}: {_e(', '.join(brief))}.</p>" if brief else ""


def _verdicts(results: Sequence[Result]) -> str:
    rows = [
        f"<tr><td><a href='#{_anchor(each)}'>{_e(each.experiment.id)}</a>"
        f"<td>{_e(each.experiment.title)}"
        f"<td data-name=claimed>{_e(each.experiment.claim)}"
        f"<td data-name=measured>{_e(each.measured)}"
        f"<td>{_verdict(each.finding)}</tr>"
        for each in results
    ]
    head = _head("lab", "title", "claimed", "measured", "verdict")
    return f"<table class=cards>{head}{''.join(rows)}</table>"


def _head(*names: str) -> str:
    """Write the head of a table, which paper shows again on every page."""
    return f"<thead><tr>{''.join(f'<th>{name}' for name in names)}</tr></thead>"


def _facts(where: Mapping[str, str]) -> str:
    told = " · ".join(f"{_e(name)}: {_e(value)}" for name, value in where.items())
    return f"<p class=aside>{told}</p>"


def _section(result: Result) -> str:
    made, found = result.experiment, result.finding
    facts = [("Question", made.question), ("Hypothesis", made.hypothesis)]
    facts += [("Claim", made.claim), ("Measured", result.measured)]
    facts += [("Form", result.shortened)] if result.shortened else []
    after = [("Why", made.explanation), ("In production", made.production)]
    after += [("Note", note) for note in found.notes]
    return (
        f"<section><h2 id='{_anchor(result)}'>{_e(made.id)} · {_e(made.title)}</h2>"
        f"<p>{_verdict(found)}</p><dl>{_pairs(facts)}</dl>{_ways(found)}"
        f"{''.join(f'<figure>{svg(chart)}</figure>' for chart in found.charts)}"
        f"{_figures(found)}{''.join(map(_table, found.tables))}"
        f"{''.join(map(_comparison, found.comparisons))}"
        f"<dl>{_pairs(after)}</dl>"
        f"<p class=aside>Took {result.seconds:.1f} s.</p></section>"
    )


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<dt>{_e(name)}<dd>{_e(text)}" for name, text in pairs)


def _ways(found: Finding) -> str:
    ways = (("Broken", found.broken), ("Right", found.right))
    return "".join(
        f"<p><b>{label}:</b> {_e(way.name)}</p><pre>{_e(way.code)}</pre>"
        for label, way in ways
        if way is not None
    )


def _figures(found: Finding) -> str:
    if not found.figures:
        return ""
    rows = [
        f"<tr><td>{_e(each.name)}<td>{_e(each.text())}"
        f"<td>{'' if each.claimed is None else number(each.claimed)}</tr>"
        for each in found.figures
    ]
    head = _head("figure", "measured", "claimed")
    return f"<div class=wide><table>{head}{''.join(rows)}</table></div>"


def _table(table: Table) -> str:
    met = {True: "<span class=good>yes</span>", False: "<span class=bad>no</span>"}
    rows = [
        f"<tr><td>{_e(row.work)}<td data-name=reference>{_e(row.reference)}"
        f"<td data-name=bar>{_e(row.bar)}<td data-name=measured>{_e(row.measured)}"
        f"<td data-name=met>{'' if row.met is None else met[row.met]}</tr>"
        for row in table.rows
    ]
    head = _head("work", "reference", "bar", "measured", "met")
    caption = f"<caption>{_e(table.title)}</caption>"
    body = f"{caption}{head}{''.join(rows)}"
    return f"<div class=wide><table class=cards>{body}</table></div>"


def _comparison(comparison: Comparison) -> str:
    """Write one block a row: on a phone a column for each side would not fit."""
    kinds = {True: "good", False: "bad", None: "aside"}
    parts = []
    for name, bar, cells in comparison.rows:
        sides = "".join(
            f"<tr><td>{_e(side)}<td>{_e(cell.text)}"
            f"<td><span class={kinds[cell.met]}>{_MET[cell.met]}</span></tr>"
            for side, cell in zip(comparison.sides, cells, strict=True)
        )
        caption = f"<caption>{_e(name)} <span class=aside>{_e(bar)}</span></caption>"
        parts.append(f"<table class=sides>{caption}{sides}</table>")
    return f"<p><b>{_e(comparison.title)}</b></p>{''.join(parts)}"


def _verdict(found: Finding) -> str:
    kind = "bad" if found.verdict == "not reproduced" else "good"
    return f"<span class={kind}>{found.verdict}</span>"


def _anchor(result: Result) -> str:
    return f"lab-{result.experiment.id.replace('.', '-')}"


def _e(text: str) -> str:
    return escape(text)
