"""What is said in public names no folder of the machine."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from nharness.spec import CorpusSpec, ModelSpec, public_name, public_text


def test_folders_and_files_go_by_their_own_name(tmp_path):
    (tmp_path / "corpus").mkdir()
    assert public_name(str(tmp_path / "corpus")) == "corpus"
    assert public_name("/no/such/place/anywhere") == "anywhere"
    assert public_name("org/model-1b") == "org/model-1b"
    assert public_name("sample") == "sample"
    assert public_name("~") == Path.home().resolve().name


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("nharness run --model /scratch/me/llama --out ../runs/x", "nharness run --model llama --out x"),
        ("--detector file:/data/N.safetensors,lape", "--detector file:N.safetensors,lape"),
        ("--include-path=/a/b,~/tasks/mine/", "--include-path=b,mine"),
        ("'/with space/x' stays quoted", "'with space/x' stays quoted"),
        ("No such file: '/data/.cache/x.json' (at load.py:3)", "No such file: 'x.json' (at load.py:3)"),
        ("bits/byte, org/model, https://host/page and n/a", "bits/byte, org/model, https://host/page and n/a"),
    ],
)
def test_paths_in_a_text_keep_their_last_part(text, public):
    assert public_text(text) == public


@pytest.mark.parametrize("name", ["models/a\x1b[31mb", "models/a\nb", "m\u202eb", "x" * 201, "x" * 5000])
@pytest.mark.parametrize("part", [ModelSpec, CorpusSpec])
def test_a_name_that_no_record_can_hold_is_refused_before_anything_runs(part, name, tmp_path):
    folder = tmp_path / name
    if len(name) < 255:
        folder.mkdir(parents=True)
    with pytest.raises(ValidationError, match="a name of at most 200 characters, none of them a control character"):
        part(name=str(folder))
    assert part(name=str(tmp_path / ("مدل\u200cها"))).name.endswith("ها")
