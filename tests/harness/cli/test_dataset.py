"""Records as Parquet and as a folder of the hub: read again by the real libraries, complete, and never sent unasked."""

import csv
import io

import numpy as np
import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard
from pyarrow.parquet import read_table

from nharness.cli.main import main
from nharness.neurons import load as load_neurons
from nharness.record.validate import load_record

pytestmark = pytest.mark.filterwarnings("ignore")  # those of datasets


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    assert main([*tiny_run, "--out", str(out)]) == 0
    return out


def test_the_tables_are_those_of_csv(run, tmp_path, capsys):
    assert main(["report", str(run), "--parquet", str(tmp_path / "tables")]) == 0
    capsys.readouterr()
    for name in ("cells", "summary", "neurons", "units"):
        assert main(["report", str(run), "--format", "csv", "--table", name]) == 0
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        table = read_table(tmp_path / "tables" / f"{name}.parquet")
        assert table.column_names == list(rows[0])
        assert table.num_rows == len(rows)
        for column in table.column_names:
            values = ["" if value is None else str(value) for value in table[column].to_pylist()]
            assert values == [row[column] for row in rows], (name, column)


def test_the_units_are_the_neurons_of_the_file(run, tmp_path, capsys):
    assert main(["report", str(run), "--parquet", str(tmp_path)]) == 0
    units = read_table(tmp_path / "units.parquet").to_pandas()
    detection = load_neurons(next(run.glob("records/*/neurons.safetensors")))
    for tag in detection.languages:
        rows = units[units.language == tag]
        assert np.array_equal(rows[["layer", "unit"]].to_numpy(), detection.neurons(tag))
        assert np.allclose(rows.score, detection.score[detection.flat(tag)])


def test_the_folder_is_loaded_and_its_records_recomputed(run, tmp_path, capsys):
    folder = tmp_path / "dataset"
    assert main(["report", str(run), "--dataset", str(folder)]) == 0
    record = load_record(next(run.glob("records/*/record.json")))
    cells = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    assert [row["change"] for row in cells] == [cell.change for cell in record.cells]
    units = load_dataset(str(folder), "units", cache_dir=str(tmp_path / "cache"))["train"]
    assert set(units.column_names) == {"record", "detector", "language", "layer", "unit", "score"}
    card = DatasetCard.load(folder / "README.md")
    assert card.data.language == ["de", "en"]
    assert card.data.tags == ["nharness", "language-neurons", "interpretability"]
    assert f"| {record.identity.id[:12]} |" in card.text
    assert main(["validate", "--deep", str(folder / "records" / record.identity.id[:12])]) == 0
    assert main(["report", str(run), "--dataset", str(folder)]) == 4
    assert "is not empty" in capsys.readouterr().err


def test_nothing_is_sent_but_where_it_is_said(run, tmp_path, monkeypatch, capsys):
    assert main(["report", str(run), "--push", "org/name"]) == 4
    assert "--push uploads what --dataset DIR writes" in capsys.readouterr().err
    assert main(["report", str(run), "--dataset", str(tmp_path / "a"), "--push", "no-owner"]) == 4
    assert "'no-owner' is no dataset of the hub; expected ORG/NAME" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["report", str(run), "--dataset", str(tmp_path / "a"), "--push", "org/name"]) == 4
    told = capsys.readouterr()
    assert "a/README.md" in told.out
    assert "is written, but not uploaded to org/name: " in told.err
    assert "HF_HUB_OFFLINE" in told.err
