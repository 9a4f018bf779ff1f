"""Plans are priced in time by how fast the model last ran here."""

import json

import pytest

from nharness.cells import CellOutcome
from nharness.cli.main import main
from nharness.run.plan.rates import rate_of, remember_rate
from nharness.spec import ModelSpec

MODEL = ModelSpec(name="babel", dtype="bfloat16")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NHARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rates.json"


def computed(tokens, seconds, *, reused=False):
    return CellOutcome("passed", tokens=tokens, seconds=seconds, reused=reused)


def test_the_rate_is_that_of_the_last_run_and_of_what_it_computed():
    assert rate_of(MODEL) is None
    remember_rate(MODEL, [computed(3_000, 4.0), computed(1_000, 4.0), computed(90_000, 0.1, reused=True)])
    assert rate_of(MODEL) == 500.0
    remember_rate(MODEL, [computed(9_000, 9.0)])
    assert rate_of(MODEL) == 1000.0


def test_it_is_kept_by_model_device_and_type():
    remember_rate(MODEL, [computed(5_000, 10.0)])
    for changed in ({"name": "smollm2"}, {"dtype": "float32"}, {"device": "cuda"}):
        assert rate_of(MODEL.model_copy(update=changed)) is None
    assert rate_of(MODEL.model_copy(update={"batch_tokens": 64})) == 500.0


def test_little_work_is_no_rate():
    remember_rate(MODEL, [computed(5_000, 4.9)])
    remember_rate(MODEL, [computed(90_000, 60.0, reused=True)])
    assert rate_of(MODEL) is None


@pytest.mark.parametrize("content", ["", "[1]", '{"babel auto bfloat16": "fast"}', '{"babel auto bfloat16": -1}'])
def test_what_cannot_be_read_is_no_rate(cache, content):
    cache.parent.mkdir()
    cache.write_text(content)
    assert rate_of(MODEL) is None
    remember_rate(MODEL, [computed(5_000, 10.0)])
    assert rate_of(MODEL) == 500.0


def test_a_cache_that_cannot_be_written_stops_nothing(cache):
    cache.mkdir(parents=True)
    remember_rate(MODEL, [computed(5_000, 10.0)])
    assert rate_of(MODEL) is None


def test_a_plan_tells_its_time_once_the_model_has_run(capsys):
    asked = ["run", "--detector", "lape", "--languages", "en,de", "--tasks", "ppl", "--controls", "0", "--collect-only"]
    assert main(asked) == 0
    untimed = capsys.readouterr().out.splitlines()[-1]
    assert untimed.endswith("forward tokens")
    tokens = int(untimed.split("at most ")[1].split()[0].replace(",", ""))
    remember_rate(ModelSpec(), [computed(tokens, 65.0)])
    assert main(asked) == 0
    timed = capsys.readouterr().out.splitlines()[-1]
    assert timed == f"{untimed}, 1:05 at the {tokens / 65:,.0f} tokens/s of this model's last run here"
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens_per_second"] == pytest.approx(tokens / 65)


def test_a_folder_is_known_from_wherever_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "here" / "model").mkdir(parents=True)
    (tmp_path / "there" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    remember_rate(ModelSpec(name="model"), [computed(5_000, 10.0)])
    assert rate_of(ModelSpec(name=str(tmp_path / "here" / "model"))) == 500.0
    monkeypatch.chdir(tmp_path / "there")
    assert rate_of(ModelSpec(name="model")) is None
