"""Ray, for real: what one process does is done by actors that are killed, under drivers that are killed and preempted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")

from nharness.errors import OptionError
from nharness.plugins import Plugins
from nharness.run.plan.resolve import resolve
from nharness.run.ray.actor import Order, RayWorker, difference, introduction
from nharness.run.ray.executor import HANDED_ON, RayExecutor
from nharness.run.stages.evaluate import EvaluateWork
from nharness.run.work.executor import LocalExecutor
from nharness.run.work.jobs import Job
from nharness.run.work.worker import Worker
from nharness.spec import ModelSpec, RunSpec

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of Ray, about itself


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return scripted(tmp_path_factory.mktemp("ray"))


def scripted(folder, *part):
    command = [sys.executable, Path(__file__).with_name("ray_runs.py"), folder, *part]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])  # Ray prints beside it


@pytest.mark.slow
def test_killed_worker_killed_driver_preempted_driver_end_as_one_process_does(found):
    """Statistics, items and entries byte for byte, the record but for its times."""
    assert found["code"] == 0
    run = found["disturbed"]
    assert run["killed"] == -9
    assert (run["code"], run["same"]) == (0, True)
    assert run["rewritten"] == []  # what was stored was not made again
    assert run["reused"] == run["stored"][-1]  # and none of it was lost
    assert 3 <= run["stored"][0] < run["stored"][1] < 14


@pytest.mark.slow
def test_ablations_repeats_and_layers_on_workers_are_the_same_bytes_as_here(found):
    here, there = found["stages"]["here"], found["stages"]["there"]
    assert here["code"] == there["code"] == 0
    assert here == there
    kinds = [name.partition("/")[0] for name in here["digests"]]
    assert (kinds.count("ablated"), kinds.count("blocks")) == (4, 8)  # two layers and two folds of two languages
    assert kinds.count("lens") == 2
    assert here["stability"]


@pytest.mark.slow
def test_a_preempted_driver_lets_every_worker_finish_its_cell_and_says_how_to_go_on(found):
    run = found["disturbed"]
    assert run["waited"]
    assert run["preempted"] == 2
    assert 1 <= run["finished"] <= 4  # one of each worker, and what lay ready
    assert "continue with: nharness run --resume --out " in run["said"]
    assert run["said"].endswith("--workers 2 -p held_plugin")


@pytest.mark.slow
def test_workers_take_the_drivers_place_and_one_gpu_each(found):
    """Their cluster runs in another folder, without the driver's environment; the plug-in lies in the driver's folder."""
    assert found["disturbed"]["seen"] == ["0/1/", "1/1/"]  # CUDA_VISIBLE_DEVICES, HF_HUB_OFFLINE, and no secret


@pytest.mark.slow
def test_a_cluster_of_ones_own_talks_to_nobody_and_ends_at_the_second_ctrl_c(found):
    own = found["own"]
    assert own["reached"] == own["reporting"] == own["pages"] == []
    assert own["waited"]  # the first Ctrl-C waits
    assert own["code"] == 2
    assert "continue with: nharness run --resume" in own["said"]
    assert found["left"] == []


@pytest.mark.slow
def test_a_driver_that_dies_at_once_leaves_nothing_behind(tmp_path):
    found = scripted(tmp_path, "orphaned")
    assert found["code"] == -9
    assert found["held"] >= 3  # a worker and the cluster's two servers, which end by themselves


@pytest.mark.slow
def test_work_under_which_workers_die_is_given_up_and_the_rest_is_done(found):
    pools = found["pools"]
    results = dict(pools["results"])
    assert sorted(results) == [0, 1, 2, 3, 4]
    assert [results[number] for number in (0, 2, 4)] == ["a", "b", "c"]
    assert results[1].startswith("2: 3 workers died at the same piece of work; the last: ")
    assert results[3] == "0: a worker failed: ValueError('not today')"
    assert pools["greetings"] == 4  # the first, and one for each that died
    assert pools["stillborn"].startswith("3 workers in a row died before they could work; the last: ")


@pytest.mark.slow
def test_what_cannot_be_is_said(found):
    assert found["refused"]["gpus"] == [
        4,
        "nharness: a worker needs 1 CPUs and 3 GPUs; the cluster's machines have 4 CPUs and 2 GPUs",
    ]
    code, said = found["refused"]["address"]
    assert code == 4
    assert said.startswith("nharness: nothing answers at '127.0.0.1:1': ")


@pytest.fixture(scope="module")
def worker(tiny_model_folder):
    spec = RunSpec(model=ModelSpec(name=str(tiny_model_folder), max_length=128), languages=("en", "de"))
    return Worker(resolve(spec, Plugins()))


@pytest.fixture
def at_home(monkeypatch):
    """An actor changes the working folder and the import path: put them back."""
    before = list(sys.path)
    monkeypatch.chdir(Path.cwd())
    yield
    sys.path[:] = before


def test_what_an_actor_makes_is_what_the_driver_has(worker, at_home):
    actor = RayWorker(Order.of(worker))
    (greeting,) = actor.greet()
    assert isinstance(greeting, dict)
    assert greeting == introduction(worker)
    assert difference(introduction(worker), greeting) == ""
    assert not actor.altered()


def test_a_placement_on_devices_reaches_the_loader_of_an_actor(worker, at_home):
    order = Order.of(worker)
    spec = {**order.spec, "model": {**order.spec["model"], "device_map": "balanced_nowhere"}}
    (problem,) = RayWorker(Order(spec, order.plugins, order.threads, order.folder, order.path)).greet()
    assert "balanced_nowhere" in problem or "device_map" in problem


def test_an_actor_without_the_plug_in_says_so(worker, at_home, tmp_path):
    order = Order.of(worker)
    without = Order(order.spec, {**order.plugins, "extra": ("only_here",)}, order.threads, str(tmp_path / "absent"), ())
    (problem,) = RayWorker(without).greet()
    assert isinstance(problem, str)
    assert problem.startswith("plug-in 'only_here' given with -p failed: ")
    (tmp_path / "only_here.py").write_text("")
    there = Order(
        order.spec, {**order.plugins, "extra": ("only_here",)}, order.threads, str(tmp_path), (str(tmp_path),)
    )
    (told,) = RayWorker(there).greet()
    assert isinstance(told, dict)
    assert told["model"] == worker.identity["model"]
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("name", ["torch", "nharness", "model", "tokenizer", "plug-ins"])
def test_an_actor_that_is_not_alike_is_named(worker, name):
    mine = introduction(worker)
    assert (
        difference(mine, {**mine, name: "0.1"})
        == f"a worker has {name} 0.1, expected {mine[name]}: the same everywhere"
    )


def test_a_cell_that_would_be_something_else_in_an_actor_fails(worker, at_home):
    from nharness.run.plan.plan import make_plan

    actor = RayWorker(Order.of(worker))
    cells = make_plan(worker.resolved.spec, worker.resolved.languages, worker.resolved.tasks).cells[:2]
    job = Job(None, (), cells, ("0" * 64, "1" * 64))
    done = list(actor.do("cells", EvaluateWork("text", verify=True), job))
    assert {each.outcome.reason for each in done} == {
        "a worker has other text or files for this task than the main process"
    }


def test_what_is_handed_on():
    names = ["HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM", "CUBLAS_WORKSPACE_CONFIG", "NHARNESS_X", "TRANSFORMERS_CACHE"]
    assert [name for name in names if HANDED_ON.match(name)] == names
    assert [
        name
        for name in (*os.environ, "HF_TOKEN", "PATH", "HUGGING_FACE_HUB_TOKEN")
        if HANDED_ON.match(name) and "TOKEN" in name
    ] == [name for name in os.environ if name.startswith("TOKENIZERS_")]


@pytest.mark.parametrize(
    ("kind", "workers", "options", "message"),
    [
        (RayExecutor, 0, {}, "--workers is 0; expected at least 1"),
        (RayExecutor, 1, {"gpu": 1}, "unknown executor option 'gpu'; did you mean 'gpus'"),
        (LocalExecutor, 0, {}, "--workers is 0"),
        (
            LocalExecutor,
            3,
            {},
            "the local executor uses one process; --workers 3 needs --executor ray",
        ),
        (LocalExecutor, 1, {"address": "auto"}, "the local executor takes no options; got 'address'"),
    ],
)
def test_executors_refuse_before_a_model_is_loaded(kind, workers, options, message):
    with pytest.raises(OptionError, match=message):
        kind.check(workers, options)
