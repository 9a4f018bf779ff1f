"""`nharness report --paper` and `--table units`: a paper's tables hold the record's numbers, its references are cited, its figures are figures."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import nharness
from nharness.cli.main import main
from nharness.report.paper import cited_in
from nharness.report.titles import TITLES

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "leaderboard" / "results"


def two_models():
    """Folders of published records: two of one detector on babel, one of them with a headline, and one of SmolLM2."""
    return [*sorted((RESULTS / "babel" / "lingua-franca").iterdir()), min((RESULTS / "smollm2").glob("*/*"))]


@pytest.fixture
def written(tiny_run, tmp_path, capsys):
    assert main([*tiny_run, "--intervention", "add", "--out", str(tmp_path / "run")]) == 0
    assert main(["report", str(tmp_path / "run"), "--paper", str(tmp_path / "paper")]) == 0
    told = capsys.readouterr().out
    assert all(f"written: {path}" in told for path in (tmp_path / "paper").rglob("*.*"))
    record = json.loads((tmp_path / "run" / "records" / "lape-add" / "record.json").read_text())
    return tmp_path / "paper", record


def test_a_paper_has_what_the_record_says(written):
    folder, record = written
    texts = {path.name: path.read_text() for path in folder.glob("*.tex")}
    assert set(texts) == {"matrix-lape-add-ppl.tex", "layers-lape-add.tex", "method-lape-add.tex", "detectors.tex"}
    for name, text in texts.items():
        assert text.count(r"\begin{") == text.count(r"\end{")
        assert not re.search(r"(?<!\\)[%#_]", text), name
    matrix = texts["matrix-lape-add-ppl.tex"]
    assert r"95\,\%" in matrix
    cells = {(cell["target"], cell["language"]): cell for cell in record["cells"]}
    for target in ("en", "de"):
        (row,) = re.findall(rf"(?m)^{target} & (.*) \\\\$", matrix)
        for language, text in zip(("en", "de"), row.split(" & "), strict=True):
            numbers = [float(number) for number in re.findall(r"\$([+-]?\d\.\d+)\$", text)]
            cell = cells[target, language]
            assert numbers == pytest.approx([cell["change"], *(cell["interval"] or [])], abs=5.1e-4)
    method = texts["method-lape-add.tex"]
    references = (folder / "references.bib").read_text()
    assert re.findall(r"\\cite\{(\S+?)\}", method) == ["tang2024-2402.16438", "gurgurov2025-2507.22608"]
    assert re.findall(r"@misc\{(\S+),", references) == ["gurgurov2025-2507.22608", "tang2024-2402.16438"]
    assert f"{record['neurons']['selected']} of" in method.replace("\\,", "")
    assert record["identity"]["id"][:12] in method


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX is installed (texlive-latex-recommended)")
def test_a_paper_compiles_and_fits_its_page(written, tmp_path):
    """The small record of this file, a published one of ten languages, several of two models: no error, nothing open, nothing too wide."""
    ten, several = next((RESULTS / "babel" / "attribution").iterdir()), [str(path) for path in two_models()]
    assert main(["report", str(ten), "--paper", str(tmp_path / "ten")]) == 0
    assert main(["report", *several, "--paper", str(tmp_path / "several")]) == 0
    for folder in (written[0], tmp_path / "ten", tmp_path / "several"):
        method = "".join(path.read_text() for path in folder.glob("method-*.tex"))
        tables = "".join(
            rf"\input{{{path.name}}}" for path in sorted(folder.glob("*.tex")) if "method" not in path.name
        )
        cited = r"\bibliographystyle{plain}\bibliography{references}" if r"\cite" in method else ""
        head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
        (folder / "main.tex").write_text(head + method + tables + cited + r"\end{document}")
        for program in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
            if program == "bibtex" and not cited:
                continue
            words = ["main"] if program == "bibtex" else ["-interaction=nonstopmode", "-halt-on-error", "main"]
            done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-2000:]
        log = (folder / "main.log").read_text(errors="replace")
        assert not re.search("undefined|multiply defined", log)
        assert [float(each) for each in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log) if float(each) > 20] == []


def test_records_of_several_runs_and_models_are_one_paper(tmp_path):
    """No file of one is another's, and the table of detectors says which model a row is of."""
    paths = two_models()
    records = [json.loads((path / "record.json").read_text()) for path in paths]
    assert main(["report", *map(str, paths), "--paper", str(tmp_path)]) == 0
    texts = {path.name: path.read_text() for path in tmp_path.glob("*.tex")}
    for record in records:
        (name,) = (name for name, text in texts.items() if f"record {record['identity']['id'][:12]}" in text)
        of = name.removeprefix("method-").removesuffix(".tex")
        assert {f"matrix-{of}-ppl.tex", f"layers-{of}.tex"} <= set(texts)
        assert {path.suffix for path in (tmp_path / "figures" / of).iterdir()} == {".svg", ".pdf"}
    labels = [label for text in texts.values() for label in re.findall(r"\\label\{(.*?)\}", text)]
    assert len(labels) == len(set(labels)) == len(texts) - len(records)
    rows = [line.split(" & ") for line in texts["detectors.tex"].splitlines() if line.endswith(r"\\")]
    assert rows[0][2] == "model"
    assert [row[2] for row in rows[1:]] == [record["model"]["name"] for record in records]
    for row, record in zip(rows[1:], records, strict=True):
        estimate = (record["headline"] or {}).get("estimate")
        assert row[7] == (kept(estimate) if estimate else "--")


def test_pages_of_records_called_alike_do_not_replace_each_other(tmp_path):
    alike = [str(path) for path in two_models()[:2]]
    assert main(["report", *alike, "--html", str(tmp_path / "page.html")]) == 0
    pages = sorted(path.name for path in tmp_path.iterdir())
    assert len(pages) == 2
    assert all(re.fullmatch(r"lingua-franca-zero-babel-[0-9a-f]{12}-page\.html", name) for name in pages)


def kept(estimate):
    value, (low, high) = estimate["value"], estimate["interval"]
    return f"${value:.2f}$ [${low:.2f}$, ${high:.2f}$]"


def test_titles_are_there_for_what_is_cited():
    """Every paper that a detector or an intervention cites."""
    cited = {
        reference.arxiv
        for path in (ROOT / "detectors" / "nharness_detectors").rglob("*.py")
        for reference in cited_in(path.read_text(encoding="utf-8"))
    }
    assert cited == set(TITLES)
    assert (
        "title = {{Language-Specific Neurons: The Key"
        in cited_in("(Tang et al., ACL 2024, arXiv 2402.16438)")[0].bibtex
    )


def test_figures_are_figures(written):
    folder, _ = written
    figures = sorted((folder / "figures" / "lape-add").iterdir())
    assert {path.suffix for path in figures} == {".svg", ".pdf"}
    for path in figures:
        assert path.read_bytes().lstrip()[:4] in {b"%PDF", b"<svg"}


def test_citations_are_read_from_docstrings():
    (found,) = cited_in("Neurons\n(Le & Li, 2026, arXiv 2601.04664), and more.")
    assert (found.key, found.venue, found.year, found.arxiv) == ("le2026-2601.04664", "", "2026", "2601.04664")
    assert "author = {Le and Li}" in found.bibtex
    (found,) = cited_in("the baseline of Tang et al., ACL 2024, arXiv 2402.16438.")
    assert "author = {Tang and others}" in found.bibtex
    assert "howpublished = {ACL 2024}" in found.bibtex
    assert cited_in("Rahmanisa et al., 2025") == ()


def test_every_neuron_is_a_row(written, capsys):
    folder, record = written
    run = folder.parent / "run"
    assert main(["report", str(run), "--format", "csv", "--table", "units"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    detection = nharness.load_detection(run)
    for tag in detection.languages:
        mine = [(int(row["layer"]), int(row["unit"])) for row in rows if row["language"] == tag]
        assert mine == [tuple(pair) for pair in detection.neurons(tag).tolist()]
        assert len(mine) == record["neurons"]["per_language"][tag] > 0
    assert float(rows[0]["score"]) == detection.score[detection.flat("en")[0]]
