"""A record for a paper: tables in LaTeX, a paragraph of method, and BibTeX of the methods, all from the record.

Tables are booktabs; a number stands as `value [low, high]`, its interval at the confidence that the caption names. What
is not in the record is not said. References are those that the docstrings of detector and intervention cite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nharness.record.cells import Task
from nharness.record.matrix import Matrix, matrix_of
from nharness.record.model import Record
from nharness.record.tables import latex
from nharness.record.types import Estimate
from nharness.report.titles import TITLES

MOST_BESIDE = 4
"""Columns of a matrix up to which an interval stands beside its value."""
WIDEST = 75
"""Letters of a row beyond which a table is made as wide as the page; it takes the package graphicx."""
_CITED = re.compile(
    r"((?:[A-Z][\w'-]+)(?: et al\.| & [A-Z][\w'-]+)?),\s+([A-Z][\w ]*?)?\s?(\d{4}),\s+arXiv\s+(\d{4}\.\d{4,5})"
)


@dataclass(frozen=True)
class Reference:
    """A paper as a docstring names it: who ("Tang et al."), where ("ACL", or ""), when, and its arXiv number."""

    authors: str
    venue: str
    year: str
    arxiv: str

    @property
    def key(self) -> str:
        """The name by which it is cited, such as `tang2024-2402.16438`: two papers never have the same."""
        first = re.split(r"\W", self.authors.lower())[0]
        return f"{first}{self.year}-{self.arxiv}"

    @property
    def bibtex(self) -> str:
        """The entry; who the others are stands behind the arXiv number."""
        names = self.authors.replace(" et al.", " and others").replace(" & ", " and ")
        title = f"  title = {{{{{latex(TITLES[self.arxiv])}}}}},\n" if self.arxiv in TITLES else ""
        where = f"  howpublished = {{{self.venue} {self.year}}},\n" if self.venue else ""
        return (
            f"@misc{{{self.key},\n  author = {{{names}}},\n{title}  year = {{{self.year}}},\n"
            f"  eprint = {{{self.arxiv}}},\n  archiveprefix = {{arXiv}},\n{where}  url = {{https://arxiv.org/abs/{self.arxiv}}}\n}}\n"
        )


def cited_in(text: str) -> tuple[Reference, ...]:
    """Return the papers that a docstring cites as `Tang et al., ACL 2024, arXiv 2402.16438`, each once."""
    found = _CITED.findall(" ".join(text.split()))
    return tuple(dict.fromkeys(Reference(who, venue.strip(), year, number) for who, venue, year, number in found))


def paper_files(records: Sequence[Record], references: Mapping[str, Sequence[Reference]]) -> dict[str, str]:
    """Return the text files of a paper by name: a matrix per record and task, the detectors, doses, layers, the method.

    references: by the name of a detector or an intervention.
    """
    files = {}
    for of, record in zip(names_of(records), records, strict=True):
        for task in record.tasks:
            files[f"matrix-{of}-{task.name}.tex"] = _matrix(record, task, of)
        if record.curve:
            files[f"dose-{of}.tex"] = _doses(record, of)
        files[f"layers-{of}.tex"] = _layers(record, of)
        files[f"method-{of}.tex"] = method(record, references)
    files["detectors.tex"] = _detectors(records)
    cited = {r.key: r.bibtex for record in records for r in _references(record, references)}
    files["references.bib"] = "\n".join(cited[key] for key in sorted(cited))
    return files


def names_of(records: Sequence[Record]) -> list[str]:
    """Return a name for each record, no two alike: its detector and intervention, then model and number if need be."""
    parts = [_parts(record) for record in records]
    length = next(n for n in range(2, 5) if n == 4 or len({each[:n] for each in parts}) == len(parts))
    return ["-".join(re.sub(r"[^\w.-]+", "-", part) for part in each[:length]) for each in parts]


def _parts(record: Record) -> tuple[str, ...]:
    return (record.detector.name, record.intervention.name, record.model.name, record.identity.id[:12])


def method(record: Record, references: Mapping[str, Sequence[Reference]]) -> str:
    """Return a paragraph that says what was done, with citations, every number from the record."""
    cite = {name: "".join(f"~\\cite{{{r.key}}}" for r in found) for name, found in references.items()}
    text = sum(split.tokens for split in record.corpus.splits if split.split == "detect")
    tasks = "; ".join(f"{latex(task.name)} ({latex(task.unit)}, {_amount(record, task)})" for task in record.tasks)
    detector = f"{latex(record.detector.name)}{cite.get(record.detector.name, '')}"
    found = (
        f"We detected language neurons of {latex(_model(record))} with {detector} "
        f"({latex(_options(record.detector.options))}) on {_count(text)} tokens of {latex(record.corpus.name)} in "
        f"{len(record.languages)} languages ({latex(', '.join(record.languages))}), "
        f"{_count(record.neurons.selected)} of {_count(record.neurons.total)} neurons in all."
    )
    edited = (
        f"The neurons of each language were edited by {latex(record.intervention.name)}"
        f"{cite.get(record.intervention.name, '')}, and every language was measured again on the same items: {tasks}."
    )
    compared = (
        f"Changes are edited minus intact, paired; intervals ({_confidence(record)}) are by bootstrap over sources of "
        f"text ({_count(record.analysis.bootstrap_draws)} resamples); $p$ is corrected over the matrix by "
        "Benjamini--Hochberg."
    )
    made = f"Measured with nharness {latex(record.environment.nharness)}; record {record.identity.id[:12]}."
    sentences = [found, edited, compared, _controls(record), made]
    return " ".join(sentences) + "\n"


def _matrix(record: Record, task: Task, of: str) -> str:
    matrix = matrix_of(record, task.name)
    rows = [
        [latex(target), *(_cell(matrix, (row, column)) for column in range(len(matrix.languages)))]
        for row, target in enumerate(matrix.targets)
    ]
    metric = task.metric.replace("_", " ")
    what = metric if metric == matrix.unit else f"{metric} ({matrix.unit})"
    caption = (
        f"Change of {latex(what)}, edited minus intact, when the neurons of the row's language are edited "
        f"({latex(record.detector.name)}, {latex(record.intervention.name)}), measured on the column's language. "
        f"Model: {latex(_model(record))}. Text: {latex(task.dataset or record.corpus.name)}, {_amount(record, task)} a "
        f"language. Intervals: {_confidence(record)}, paired, by bootstrap over sources."
    )
    if matrix.marked.any():
        caption += " $^*$: significant against no change and against random neurons ($q<0.05$)."
    head = ["", *map(latex, matrix.languages)]
    return _table(head, rows, caption, f"matrix-{of}-{task.name}")


def _cell(matrix: Matrix, place: tuple[int, int]) -> str:
    """Return `value [low, high]`, the interval under the value where there are many columns."""
    text = _ends(*(float(each[place]) for each in (matrix.values, matrix.low, matrix.high)))
    value, _, interval = text.partition(" [")
    marked = f"{value}$^*$" if matrix.marked[place] else value
    if not interval:
        return marked
    if len(matrix.languages) <= MOST_BESIDE:
        return f"{marked} [{interval}"
    return rf"\shortstack[r]{{{marked}\\{{\scriptsize [{interval}}}}}"


def _detectors(records: Sequence[Record]) -> str:
    several, judged = len({_model(record) for record in records}) > 1, any(record.headline for record in records)
    rows = [
        [
            latex(record.detector.name),
            latex(record.intervention.name),
            *([latex(record.model.name)] if several else []),
            latex(summary.task),
            *(_estimate(each) for each in (summary.on_target, summary.off_target, summary.selectivity)),
            *([_kept(record, summary.task)] if judged else []),
            _count(record.neurons.selected),
        ]
        for record in records
        for summary in record.summary
    ]
    models = ", ".join(dict.fromkeys(latex(_model(record)) for record in records))
    units = "; ".join(dict.fromkeys(f"{latex(t.name)}: {latex(t.unit)}" for r in records for t in r.tasks))
    caption = (
        f"Harm to the own language, mean harm to the others, and their difference, on {models} ({units}). "
        f"Intervals: {', '.join(dict.fromkeys(map(_confidence, records)))}, paired, by bootstrap over sources."
    )
    if judged:
        caption += " Kept: the share of the harm that stays in the language when it is just so harmed ("
        caption += ", ".join(dict.fromkeys(rf"{100 * r.headline.harm:g}\,\%" for r in records if r.headline)) + ")."
    head = [
        *("detector", "intervention", *(["model"] if several else []), "task", "own", "others", "selectivity"),
        *(["kept"] if judged else []),
        "neurons",
    ]
    return _table(head, rows, caption, "detectors")


def _kept(record: Record, task: str) -> str:
    estimate = record.headline.estimate if record.headline and record.headline.task == task else None
    if estimate is None:
        return "--"
    return f"${estimate.value:.2f}$" + (" [${:.2f}$, ${:.2f}$]".format(*estimate.interval) if estimate.interval else "")


def _doses(record: Record, of: str) -> str:
    rows = [
        [
            latex(point.task),
            latex(point.axis),
            f"{point.value:g}",
            "" if point.neurons is None else _count(point.neurons),
        ]
        + [_estimate(each) for each in (point.on_target, point.off_target, point.selectivity)]
        for point in record.curve
    ]
    caption = (
        f"Dose and response of {latex(record.detector.name)}, {latex(record.intervention.name)}, on "
        f"{latex(_model(record))}: harm to the own language, mean harm to the others, and their difference. "
        f"Intervals: {_confidence(record)}."
    )
    head = ["task", "varied", "value", "neurons", "own", "others", "selectivity"]
    return _table(head, rows, caption, f"dose-{of}")


def _layers(record: Record, of: str) -> str:
    counts = record.neurons.layers.languages
    rows = [
        [latex(tag), _count(record.neurons.per_language.get(tag, 0)), *(_count(count) for count in counts.get(tag, ()))]
        for tag in record.languages
    ]
    head = ["language", "all", *(str(layer) for layer in range(len(record.model.layer_widths)))]
    caption = (
        f"Neurons of each language by layer (columns, from 0), as {latex(record.detector.name)} finds them in "
        f"{latex(_model(record))}; a neuron may belong to several languages."
    )
    return _table(head, rows, caption, f"layers-{of}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str) -> str:
    columns = "l" + "r" * (len(head) - 1)
    body = [" & ".join(row) + r" \\" for row in rows]
    wide = max(sum(_letters(cell) + 2 for cell in row) for row in (head, *rows)) > WIDEST
    opened, closed, environment = (r"\resizebox{\textwidth}{!}{", "}", "table*") if wide else ("", "", "table")
    lines = [
        rf"{opened}\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
    ]
    return (
        f"\\begin{{{environment}}}\n\\centering\n"
        + "\n".join(lines)
        + f"\n\\end{{tabular}}{closed}\n\\caption{{{caption}}}\n\\label{{tab:{label}}}\n\\end{{{environment}}}\n"
    )


def _letters(cell: str) -> int:
    """Return about how many letters wide a cell is; of lines on top of each other the longest."""
    return max(len(re.sub(r"\\[a-z]+|\[r\]|[\\${}^]", "", line)) for line in cell.split(r"\\"))


def _amount(record: Record, task: Task) -> str:
    """Return how many items a language has."""
    counts = [cell.items for cell in record.cells if cell.task == task.name and cell.status == "ok"]
    least, most = (min(counts), max(counts)) if counts else (0, 0)
    return f"{_count(least)} items" if least == most else f"{_count(least)} to {_count(most)} items"


def _model(record: Record) -> str:
    model = record.model
    told = ", ".join(filter(None, (model.checkpoint, model.revision, model.dtype)))
    return f"{model.name} ({told})"


def _options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "no options"


def _controls(record: Record) -> str:
    if record.controls is None:
        return "Random neurons were not drawn."
    draws = len({draw.draw for draw in record.controls.draws})
    return (
        f"Every change is compared with that of as many random neurons, matched by {latex(record.controls.kind)}, "
        f"up to {draws} draws a language."
    )


def _confidence(record: Record) -> str:
    return rf"{100 * record.analysis.confidence:g}\,\%"


def _estimate(estimate: Estimate | None) -> str:
    return "--" if estimate is None else _ends(estimate.value, *(estimate.interval or (np.nan, np.nan)))


def _ends(value: float, low: float, high: float) -> str:
    """Return `value [low, high]`; `--` for no value, and no brackets without an interval."""
    if np.isnan(value):
        return "--"
    return _number(value) + ("" if np.isnan(low) else f" [{_number(low)}, {_number(high)}]")


def _number(value: float) -> str:
    """Return three decimals with a sign; what they round to zero has none."""
    text = f"{value:+.3f}"
    return f"${text if float(text) else '0.000'}$"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", r"\,")


def _references(record: Record, references: Mapping[str, Sequence[Reference]]) -> Iterator[Reference]:
    for name in (record.detector.name, record.intervention.name):
        yield from references.get(name, ())
