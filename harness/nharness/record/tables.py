"""Records as tables: rows of plain values, and those rows as CSV, LaTeX or Markdown.

A row is a mapping with the same keys in the same order as every other row of its table. Numbers stay numbers in CSV
(all digits) and are shown with four significant digits elsewhere; an absent value is an empty cell.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence

from nharness.record.model import Record
from nharness.record.types import Estimate

Value = str | float | int | bool | None
Row = Mapping[str, Value]

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)
_FORMULA = frozenset("=+-@\t\r")


def summary_rows(records: Sequence[Record]) -> list[Row]:
    """Return one row per record and task: the numbers of the board."""
    return [_summary_row(record, index) for record in records for index in range(len(record.summary))]


def cell_rows(record: Record) -> list[Row]:
    """Return one row per cell, in the record's order."""
    return [
        {
            "task": cell.task,
            "target": cell.target,
            "language": cell.language,
            "status": cell.status,
            "baseline": cell.baseline,
            "edited": cell.edited,
            "change": cell.change,
            **_ends("change", cell.interval),
            "p": cell.p,
            "q": cell.q,
            "mcnemar_p": cell.mcnemar_p,
            "perplexity_ratio": cell.perplexity_ratio,
            "items": cell.items,
            "control_draws": cell.control.draws if cell.control else None,
            "control_mean": cell.control.mean if cell.control else None,
            "control_sd": cell.control.sd if cell.control else None,
            "control_effect": cell.control.effect if cell.control else None,
            "control_p": cell.control.p if cell.control else None,
            "flags": " ".join(cell.flags),
            "reason": cell.reason,
        }
        for cell in record.cells
    ]


def neuron_rows(record: Record) -> list[Row]:
    """Return one row per language: its neurons, and those of each layer."""
    return [
        {
            "language": tag,
            "neurons": record.neurons.per_language.get(tag, 0),
            **{f"layer_{layer}": count for layer, count in enumerate(record.neurons.layers.languages.get(tag, ()))},
        }
        for tag in record.languages
    ]


def to_csv(rows: Sequence[Row]) -> str:
    """Return RFC 4180 CSV with a header; text that a spreadsheet would run as a formula gets a `'` in front."""
    target = io.StringIO()
    if rows:
        writer = csv.writer(target, lineterminator="\r\n")
        writer.writerow(rows[0])
        writer.writerows([_csv_value(value) for value in row.values()] for row in rows)
    return target.getvalue()


def to_markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table; numbers to the right."""
    if not rows:
        return ""
    head = "| " + " | ".join(_markdown(name) for name in rows[0]) + " |"
    rule = "|" + "|".join("---:" if _is_numeric(rows, name) else "---" for name in rows[0]) + "|"
    lines = ["| " + " | ".join(_markdown(_text(value)) for value in row.values()) + " |" for row in rows]
    return "\n".join([head, rule, *lines]) + "\n"


def to_latex(rows: Sequence[Row]) -> str:
    """Return a LaTeX tabular in the booktabs style, everything escaped."""
    if not rows:
        return ""
    columns = "".join("r" if _is_numeric(rows, name) else "l" for name in rows[0])
    body = [" & ".join(latex(_text(value)) for value in row.values()) + r" \\" for row in rows]
    head = " & ".join(latex(name.replace("_", " ")) for name in rows[0]) + r" \\"
    return (
        "\n".join(
            [
                rf"\begin{{tabular}}{{{columns}}}",
                r"\toprule",
                head,
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
            ]
        )
        + "\n"
    )


FORMATS: Mapping[str, Callable[[Sequence[Row]], str]] = {"csv": to_csv, "latex": to_latex, "markdown": to_markdown}


def _summary_row(record: Record, index: int) -> Row:
    summary = record.summary[index]
    task = record.task(summary.task)
    control = summary.control_selectivity
    return {
        "detector": record.detector.name,
        "model": record.model.name,
        "intervention": record.intervention.name,
        "strength": record.intervention.strength,
        "kinds": " ".join(record.selection.kinds),
        "budget": record.selection.budget,
        "languages": len(record.languages),
        "task": summary.task,
        "unit": task.unit if task else None,
        **_estimate("selectivity", summary.selectivity),
        "control_effect": control.effect if control else None,
        "control_p": control.p if control else None,
        "on_target": summary.on_target.value if summary.on_target else None,
        "off_target": summary.off_target.value if summary.off_target else None,
        "diagonal_share": summary.diagonal_share,
        "per_neuron_damage": summary.per_neuron_damage,
        "langspec_f1": summary.langspec_f1,
        "area_under_budget": summary.area_under_budget,
        "neurons": record.neurons.selected,
        "forward_tokens": sum(record.cost.forward_tokens.values()),
        "seconds": sum(record.cost.seconds.values()),
        "badge": record.identity.badge,
        "id": record.identity.id,
    }


def _estimate(name: str, estimate: Estimate | None) -> dict[str, Value]:
    interval = estimate.interval if estimate else None
    return {name: estimate.value if estimate else None, **_ends(name, interval)}


def _ends(name: str, interval: tuple[float, float] | None) -> dict[str, Value]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _csv_value(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value


def _is_numeric(rows: Sequence[Row], name: str) -> bool:
    kept = {type(row[name]) for row in rows} - {type(None)}
    return bool(kept) and kept <= {int, float}


def _text(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _markdown(text: str) -> str:
    """Return text that is only text where Markdown is shown: no mark-up, link, address, mention or hidden character."""
    shown = "".join(character if character.isprintable() else " " for character in re.sub(r"\s+", " ", text))
    escaped = re.sub(r"([\\`*_{}\[\]<>|~#!:&]|(?<=[Ww]{3})\.)", r"\\\1", shown)
    return escaped.replace("@", "@\N{ZERO WIDTH SPACE}")


def latex(text: str) -> str:
    """Return text as LaTeX shows it."""
    return " ".join(text.split()).translate(_LATEX)
