"""Families: their code tables against the installed lm-eval, and what the plug-in registers."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nharness.languages import parse_language
from nharness.plugins import Plugins
from nharness.task import PerplexityFamily
from nharness_tasks.families.table import families, own_families

NAMES = {
    "belebele",
    "xcopa",
    "xnli",
    "xstorycloze",
    "xwinograd",
    "paws-x",
    "mgsm_direct",
    "mgsm_native_cot",
    "global_mmlu",
    "m_mmlu",
    "arc_multilingual",
    "hellaswag_multilingual",
    "lambada_multilingual",
    "multiblimp",
    "include",
    "flores",
    "afrimgsm",
    "afrixnli",
    "truthfulqa_multilingual",
}


@pytest.fixture(scope="module")
def index():
    from lm_eval.tasks import TaskManager

    from nharness.evaluation.quiet import quiet

    with quiet():
        return TaskManager()


def test_every_family_is_there():
    assert {family.name for family in families()} >= NAMES


@pytest.mark.parametrize("family", [*families(), *own_families()], ids=lambda family: family.name)
def test_languages_are_canonical_and_each_code_stands_for_one(family):
    assert [parse_language(tag) for tag in family.languages()] == list(family.languages())
    names = [family.lm_eval_name(tag) for tag in family.languages()]
    assert len(set(names)) == len(names)


def _merged(path):
    """A task's YAML with what it includes, functions left as text."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda _loader, _suffix, node: node.value)
    found = yaml.load(Path(path).read_text(encoding="utf-8"), Loader)
    included = found.pop("include", [])
    for name in [included] if isinstance(included, str) else included:
        found = _merged(Path(path).parent / name) | found
    return found


def _leaves(name, index):
    entry = index.task_index[name]
    if str(entry.kind).rpartition(".")[2] == "TASK":
        return [entry]
    if entry.yaml_path is None:
        return [leaf for tag in sorted(entry.tags) for leaf in _leaves(tag, index)]
    children = _merged(entry.yaml_path)["task"]
    return [leaf for child in children for leaf in _leaves(child if isinstance(child, str) else child["task"], index)]


@pytest.mark.slow
@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_the_installed_lm_eval_has_every_task_with_its_metric_and_filter(family, index):
    for tag in family.languages():
        name = family.lm_eval_name(tag)
        assert name in index.all_tasks, name
        config = _merged(_leaves(name, index)[0].yaml_path)
        metrics = [entry["metric"] for entry in config["metric_list"]]
        assert family.metric in metrics, (name, metrics)
        filters = [entry["name"] for entry in config.get("filter_list") or [{"name": "none"}]]
        assert family.metric_filter in filters or len(filters) == 1, (name, filters)


@pytest.mark.slow
def test_no_language_of_a_plain_family_is_missing(index):
    """Names that lm-eval forms with the family's pattern and two letters, which the table leaves out."""
    left_out = {"xnli": {"xnli_va"}}  # Valencian has no language tag of its own
    for family in families():
        prefix, _, suffix = family.task.partition("{code}")
        if any(len(code) != 2 for code in family.codes.values()):
            continue
        theirs = {
            n
            for n in index.all_tasks
            if n.startswith(prefix) and n.endswith(suffix) and len(n) == len(prefix + suffix) + 2
        }
        ours = {family.lm_eval_name(tag) for tag in family.languages()}
        assert theirs - ours == left_out.get(family.name, set()), family.name


def test_the_plug_in_registers_tasks_corpus_and_model():
    plugins = Plugins()
    assert set(plugins.entries("tasks")) >= NAMES | {"ppl", "continuation", "translation_choice"}
    assert isinstance(plugins.resolve("tasks", "ppl"), PerplexityFamily)
    assert (plugins.resolve("corpora", "sample") / "corpus.json").is_file()
    assert plugins.resolve("models", "babel").name == "model"


def test_listing_tasks_imports_neither_a_tensor_library_nor_lm_eval():
    code = (
        "import sys, nharness_tasks.plugin as p; p.nharness_register_tasks();"
        "sys.exit(bool({'torch', 'lm_eval', 'datasets', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
