"""lm-eval's own model `steered` on a file that nharness exports gives the numbers that nharness measures."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.models.hf_steered import SteeredModel, steer
from lm_eval.tasks import TaskManager

from nharness.cli.main import main
from nharness.errors import ModelError
from nharness.evaluation.quiet import quiet
from nharness.models import Edit, apply_edits, locate, steer_config
from nharness.neurons import Detection
from nharness.testing import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")  # lm-eval's own
BABEL = str(files("nharness_tasks") / "babel" / "model")
WIDTHS = (1680,) * 4
TASK = """task: quiz_en
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{q}}}}"
doc_to_choice: "{{{{c}}}}"
doc_to_target: a
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0}}
"""
WORDS = ["Click the button", "Open the file", "Save the document", "Close the window", "Select a cell", "Insert a row"]


@pytest.fixture
def quiz(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    folder = tmp_path / "quizzes"
    folder.mkdir()
    rows = [
        {"q": words.rpartition(" ")[0], "c": [" " + words.rpartition(" ")[2], " of", " would"], "a": 0}
        for words in WORDS
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "quiz_en.yaml").write_text(TASK.format(data=folder / "rows.jsonl"))
    return folder


def neurons(path, chosen):
    """A neurons file of babel that has `chosen` (layer, unit) for English, and one other neuron for German."""
    membership = np.zeros((2, sum(WIDTHS)), dtype=bool)
    for layer, unit in chosen:
        membership[0, layer * WIDTHS[0] + unit] = True
    membership[1, 7] = True
    path = Path(path)
    Detection("mine", ("en", "de"), WIDTHS, membership, np.zeros(sum(WIDTHS), np.float32), "highest").save(path)
    return str(path)


def margins_of_lm_eval(folder, steer_path):
    """What lm-eval's `steered` says: the right answer's log-likelihood less the best of the others, by question."""
    with quiet():
        found = simple_evaluate(
            model="steered",
            model_args={"pretrained": BABEL, "steer_path": steer_path, "device": "cpu", "dtype": "float32"},
            tasks=["quiz_en"],
            task_manager=TaskManager(include_path=str(folder)),
            bootstrap_iters=0,
        )
    scored = [[float(each[0]) for each in sample["filtered_resps"]] for sample in found["samples"]["quiz_en"]]
    return np.array([row[0] - max(row[1:]) for row in scored])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("intervention", "options", "chosen"),
    [
        ("add", "site=gate,alpha=3", [(0, 3), (0, 100), (2, 9), (3, 1600)]),
        ("add", "site=hidden,alpha=-4", [(0, 3), (1, 17), (3, 40), (3, 41)]),
        ("constant", "value=2.5", [(0, 3), (1, 100), (2, 9)]),
    ],
)
def test_lm_eval_finds_what_we_find(intervention, options, chosen, quiz, capsys):
    file = neurons("n.safetensors", chosen)
    site = "hidden" if "hidden" in options else "gate"
    what = f"moments@{site},activation_count@{site}"
    record = ["record", "--languages", "en,de", "--detect-tokens", "500", "--statistics", what]
    assert main([*record, "--dtype", "float32", "--out", "means.safetensors"]) == 0
    said = ["--intervention", intervention, *(["--intervention-option", options] if options else [])]
    export = ["export", "--neurons", file, "--language", "en", *said, "--format", "steered", "--out", "s.pt"]
    assert main([*export, "--dtype", "float32", "--statistics", "means.safetensors"]) == 0
    evaluate = ["evaluate", "--neurons", file, *said, "--tasks", "lm-eval:quiz_en[en]", "--include-path", str(quiz)]
    small = ["--languages", "en,de", "--detect-tokens", "500", "--controls", "0", "--dtype", "float32"]
    assert main([*evaluate, *small, "--out", "run", "-q"]) == 0
    capsys.readouterr()
    lines = (quiz.parent / "run").glob("records/*/items.jsonl")
    items = [json.loads(line) for line in next(lines).read_text().splitlines()]
    intact = np.array([i["values"]["margin"] for i in items if i["target"] is None])
    ours = np.array([i["values"]["margin"] for i in items if i["target"] == "en"])
    theirs = margins_of_lm_eval(quiz, "s.pt")
    assert np.abs(ours - intact).max() > 1e-3
    np.testing.assert_allclose(theirs, ours, atol=1e-5, rtol=1e-5)


def shifted(layer, units, site="hidden", *, scale=1.0, by=0.7):
    return Edit.affine(layer, units, scale=scale, shift=by, site=site)


@pytest.mark.parametrize(
    ("kind", "edits"),
    [
        ("llama", [shifted(0, [1, 2, 30]), shifted(1, [5], "gate")]),
        ("llama", [Edit.zero(0, [3]), shifted(1, [4], "gate", scale=0.0)]),
        ("gemma3_text", [shifted(0, [1, 2]), shifted(1, [8], "gate", scale=0.0)]),
        ("gpt2", [shifted(0, [1, 2, 9]), shifted(1, [0, 7], "gate")]),
        ("phi3", [shifted(0, [1, 2, 9]), shifted(1, [3], "gate", scale=0.0)]),
        ("bloom", [shifted(1, [1, 2, 9])]),
    ],
)
def test_logits_are_those_of_the_edit(kind, edits):
    model = tiny_model(kind)
    neuron_map = locate(model)
    config = steer_config(model, neuron_map, edits)
    actions = {"add": SteeredModel.add, "clamp": SteeredModel.clamp}

    def hook(each):
        vector = each["steering_vector"]
        if each["action"] == "add":
            return lambda acts: actions["add"](acts, vector * each["steering_coefficient"], None)
        return lambda acts: actions["clamp"](acts, vector / vector.norm(), each["steering_coefficient"], None)

    ids = torch.randint(3, 99, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        intact = model(ids).logits
        with apply_edits(model, neuron_map, edits):
            ours = model(ids).logits
        with steer(model, {name: hook(each) for name, each in config.items()}):
            theirs = model(ids).logits
    assert (ours - intact).abs().max() > 1e-3
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "edits", "why"),
    [
        ("llama", [Edit.zero(1, [3, 4])], r"layer 1 .* it holds one direction of a module, not 2 neurons"),
        ("llama", [shifted(0, [3], scale=0.5)], "it adds or holds, and does not scale"),
        ("llama", [shifted(0, [3], scale=0.0)], "no module gives the hidden activation, so it can be held at 0 only"),
        ("mixtral", [shifted(0, [3])], "its experts are not modules of their own"),
        ("gpt2", [Edit.zero(0, [3])], "no module gives the hidden activation"),
        ("llama", [], "the edit names no neurons"),
    ],
)
def test_what_it_cannot_say_is_refused(kind, edits, why):
    model = tiny_model(kind)
    with pytest.raises(ModelError, match=why):
        steer_config(model, locate(model), edits)


def test_the_file_s_name_is_one_that_lm_eval_reads(tmp_path, capsys):
    file = neurons(tmp_path / "n.safetensors", [(0, 3)])
    export = ["export", "--neurons", file, "--language", "en", "--format", "steered", "--out", str(tmp_path / "s.bin")]
    assert main(export) == 4
    assert "lm-eval reads a steering file by its end, expected .pt or .pth" in capsys.readouterr().err
