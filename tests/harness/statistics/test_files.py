"""Statistics files meet: parts of one recording in `merge`, sites of one recording in `detect`."""

import re
from dataclasses import replace

import numpy as np
import pytest

from nharness.cli.main import main
from nharness.errors import UsageError
from nharness.statistics import LanguageTotals, Statistics, load
from nharness.statistics.files import merge_files


def table(site="gate", tags=("en", "de"), seed=0, **provenance):
    random = np.random.default_rng(seed)
    tensors = {f"activation_count/positive/{tag}": random.integers(0, 90, 40) for tag in tags}
    return Statistics(site, (30, 10), {tag: LanguageTotals(100, 4) for tag in tags}, tensors, provenance)


@pytest.fixture
def saved(tmp_path):
    def save(name, found):
        found.save(tmp_path / name)
        return tmp_path / name

    return save


def test_parts_of_different_text_become_one(saved):
    parts = [saved(f"p{seed}", table(seed=seed, model="m", corpus=f"c{seed}")) for seed in (0, 1)]
    whole = merge_files(parts)
    expected = np.sum([load(part).get("activation_count", "positive", "de") for part in parts], axis=0)
    assert whole.get("activation_count", "positive", "de").tolist() == expected.tolist()
    assert whole.totals["en"] == LanguageTotals(200, 8)
    assert whole.provenance == {"model": "m", "corpus": ["c0", "c1"]}
    third = saved("p2", table(seed=2, model="m", corpus="c2"))
    assert merge_files([saved("whole", whole), third]).provenance["corpus"] == ["c0", "c1", "c2"]


def test_parts_that_are_none(saved):
    first = saved("a", table(model="m"))
    for other, message in (
        (saved("b", table(model="m")), "b has the same content as .*a; its text would count twice"),
        (saved("c", table(seed=1, model="n")), "differ in provenance"),
        (saved("d", table("hidden", seed=1, model="m")), "differ in site"),
        (saved("e", replace(table(seed=1, model="m"), component="head")), "differ in component"),
    ):
        with pytest.raises(UsageError, match=message):
            merge_files([first, other])
    with pytest.raises(UsageError, match="at least two statistics files; got 1"):
        merge_files([first])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (table(seed=1), "a and .*b are both of site gate; expected one file per site .*nharness merge"),
        (table("hidden", model="n"), "are of another model: n, m"),
        (table("hidden", tokenizer="n"), "are of another tokenizer"),
        (table("hidden", ("de", "en")), "b covers de, en; .*a covers en, de; expected the same languages"),
        (replace(table("hidden"), layer_widths=(10, 30)), "belong to a model of 2 layers x 30 neurons"),
        (replace(table("hidden"), component="head"), "belong to component 'head', not 'mlp'"),
    ],
)
def test_files_that_detect_does_not_take_together(saved, tmp_path, capsys, other, message):
    files = [str(saved("a", table(model="m", tokenizer="t"))), str(saved("b", other))]
    assert main(["detect", "lape", "--statistics", *files, "--out", str(tmp_path / "n")]) == 4
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "n").exists()


def test_a_file_that_is_given_to_detect_twice_is_named(saved, tmp_path, capsys):
    file = str(saved("a", table()))
    assert main(["detect", "lape", "--statistics", file, file, "--out", str(tmp_path / "n")]) == 4
    assert "a is given twice; expected one file for each site" in capsys.readouterr().err
