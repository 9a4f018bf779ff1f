"""Folders of YAML: what is none is said, Python of others is asked for, templates are filled in a sandbox."""

import pytest

from nharness.errors import CellError, UnknownNameError, UsageError
from nharness.evaluation import include_paths
from nharness.evaluation.include_paths import check_include_paths, is_own
from nharness.evaluation.task_loading import TaskLoader
from nharness.plugins import Plugins
from nharness.run.plan.planned import check_tasks, planned
from nharness.spec import RunSpec, TaskOptions
from nharness.task import expand_tasks

YAML = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{text}"
doc_to_choice: ["a", "b"]
doc_to_target: 0
metric_list: [{{metric: acc, aggregation: mean}}]
metadata: {{version: 1.0}}
"""
ESCAPE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    (tmp_path / "rows.jsonl").write_text('{"q": "why?"}\n', encoding="utf-8")
    place = tmp_path / "tasks"
    place.mkdir()
    for name in ("mytask_de", "mytask_fra_Latn"):
        text = YAML.format(name=name, data=tmp_path / "rows.jsonl", text="{{q}}")
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    return place


def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path / "datasets" if (tmp_path / "datasets").is_dir() else "/")
    monkeypatch.setattr(include_paths.Path, "home", lambda: tmp_path / "home")


def test_a_folder_that_is_none_is_said(folder, tmp_path):
    for text, match in ((tmp_path / "no", "no is not a folder"), (tmp_path / "empty", r"has no task \(no")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(UsageError, match=match):
            planned(RunSpec(languages=("de", "fr"), task_options=TaskOptions(include_path=(str(text),))), Plugins())


@pytest.mark.parametrize("code", ["doc_to_text: !function utils.text", "class: !function task.Mine", "class: os.X"])
def test_python_of_a_folder_that_is_not_ones_own_is_asked_for(folder, tmp_path, monkeypatch, code):
    elsewhere(monkeypatch, tmp_path)
    check_include_paths([str(folder)], trusted=False)  # no code, no question
    (folder / "more.yaml").write_text(f"task: more\n{code}\n", encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"would run Python from it \(\S+ in more.yaml\); read it, then add --trust-tasks"
    ):
        check_include_paths([str(folder)], trusted=False)
    check_include_paths([str(folder)], trusted=True)
    monkeypatch.chdir(tmp_path)
    check_include_paths([str(folder)], trusted=False)
    assert is_own(folder)
    monkeypatch.setattr("os.getuid", lambda: -5)
    assert not is_own(folder)  # somebody else's, wherever it lies


def test_a_template_cannot_reach_python(folder, tmp_path):
    text = YAML.format(name="sly", data=tmp_path / "rows.jsonl", text=ESCAPE)
    (folder / "sly.yaml").write_text(text, encoding="utf-8")
    (spec,), _ = expand_tasks("lm-eval:sly[de]", [], {})
    with pytest.raises(CellError, match="SecurityError"):
        TaskLoader(include_path=[str(folder)]).load(spec)


def test_tasks_of_a_folder_are_found_by_name_and_as_one_family(folder):
    options = TaskOptions(include_path=(str(folder),))
    spec = RunSpec(languages=("de", "fr"), tasks=("mytask_de", "lm-eval:mytask_{code}"), task_options=options)
    resolved, _ = planned(spec, Plugins())
    assert [(task.id, task.lm_eval_task, task.metric) for task in resolved.tasks] == [
        ("mytask_de[de]", "mytask_de", "acc"),
        ("mytask[de]", "mytask_de", "acc"),
        ("mytask[fr]", "mytask_fra_Latn", "acc"),
    ]
    for name in ("mytask_fi", "lm-eval:nothing_{code}"):
        with pytest.raises(UnknownNameError):
            planned(spec.model_copy(update={"tasks": (name,)}), Plugins())


def test_a_task_of_any_name_is_called_in_records_as_records_can(folder, tmp_path):
    for name in ("my t\u00e2sk (general)", "my t\u00fcsk (general)"):
        text = YAML.format(name=f'"{name}"', data=tmp_path / "rows.jsonl", text="{{q}}")
        (folder / f"{len(name)}{name[4]}.yaml").write_text(text, encoding="utf-8")
    options = TaskOptions(include_path=(str(folder),))
    asked = ("my t\u00e2sk (general)[de]", "lm-eval:darijammlu_arabic_language_(general)[fr]")
    spec = RunSpec(languages=("de", "fr"), tasks=asked, task_options=options)
    resolved, _ = planned(spec, Plugins())
    assert [(task.id, task.lm_eval_task) for task in resolved.tasks] == [
        ("my-t-sk-general-[de]", "my t\u00e2sk (general)"),
        ("darijammlu_arabic_language_-general-[fr]", "darijammlu_arabic_language_(general)"),
    ]
    with pytest.raises(UsageError, match=r"two tasks are both my-t-sk-general-\[de\] in a record"):
        planned(spec.model_copy(update={"tasks": (asked[0], "my t\u00fcsk (general)[de]")}), Plugins())


def test_data_that_is_not_there_is_missed_before_a_model_is_loaded(folder, tmp_path):
    options = TaskOptions(include_path=(str(folder),))
    spec = RunSpec(languages=("de", "fr"), tasks=("mytask_de",), task_options=options)
    check_tasks(*planned(spec, Plugins()))
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(CellError, match=r"task mytask_de\[de\]: lm-eval cannot load 'mytask_de'"):
        check_tasks(*planned(spec, Plugins()))
