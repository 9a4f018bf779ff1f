"""The matrix that a terminal shows: cell by cell while it fits, a row a language of what counts where it cannot."""

from rich.console import Console

from narrowing import present
from nharness.record.cells import CellResult
from nharness.report.matrix import WIDEST, matrix_table, measure_of
from synthetic_records import synthetic_record

TAGS = (
    "en",
    "de",
    "fr",
    "es",
    "ru",
    "zh",
    "ja",
    "ko",
    "vi",
    "id",
    "it",
    "pt",
    "nl",
    "pl",
    "cs",
    "sv",
    "da",
    "fi",
    "tr",
    "ar",
    "hi",
)


def shown(record, width=100):
    on = Console(width=width, color_system=None, record=True, file=None, quiet=False)
    with on.capture() as found:
        on.print(matrix_table(record, "ppl"))
    return found.get().splitlines()


def test_a_matrix_of_more_languages_than_fit_says_own_others_and_worst():
    record = synthetic_record(languages=TAGS, draws=0, curve=False, accuracy=False)
    assert len(TAGS) > WIDEST
    head, *rows = shown(record)
    assert head.split() == ["off", "own", "others", "worst", "on", "neurons"]
    assert [row.split()[0] for row in rows] == list(TAGS)
    measure = measure_of(record, "ppl")
    for row, tag in zip(rows, TAGS, strict=True):
        cells: list[CellResult] = [each for each in record.cells if each.task == "ppl" and each.target == tag]
        values = {each.language: present(measure.value(each)) for each in cells}
        others = {language: value for language, value in values.items() if language != tag}
        _, own, mean, worst, where, _ = row.replace("*", " ").split()
        assert abs(float(own) - values[tag]) < 0.006
        assert abs(float(mean) - sum(others.values()) / len(others)) < 0.006
        assert where == max(others, key=others.__getitem__)
        assert abs(float(worst) - others[where]) < 0.006


def test_a_smaller_one_is_shown_cell_by_cell():
    record = synthetic_record(languages=TAGS[:3], draws=0, curve=False, accuracy=False)
    head, *rows = shown(record)
    assert head.split()[-4:] == [*TAGS[:3], "neurons"]
    assert all(len(row.split()) == 5 for row in rows)
