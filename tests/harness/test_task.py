"""Expanding what a user asks for into tasks, one per language."""

import pytest

from nharness.errors import OptionError, UnknownNameError, UsageError
from nharness.task import CodedFamily, OutputLanguageFamily, PerplexityFamily, expand_tasks, written_in

FAMILIES = {
    family.name: family
    for family in (
        PerplexityFamily(),
        CodedFamily("xcopa", "two choices", task="xcopa_{code}", codes={"zh": "zh", "sw": "sw"}, chance=0.5),
        CodedFamily("reading", "four choices", task="read_{code}_v2", codes={"zh": "zho_Hans", "fr": "=other_fr"}),
    )
}


def expanded(requested, languages=()):
    specs, warnings = expand_tasks(requested, languages, FAMILIES)
    return [(spec.id, spec.lm_eval_task) for spec in specs], list(warnings)


def test_a_family_over_languages_in_the_order_asked():
    assert expanded("reading,xcopa", ["sw", "zh"]) == (
        [("reading[zh]", "read_zho_Hans_v2"), ("xcopa[sw]", "xcopa_sw"), ("xcopa[zh]", "xcopa_zh")],
        ["task family reading has no task for sw"],
    )


def test_brackets_go_before_languages_and_take_several_spellings():
    assert expanded(["xcopa[zho_Hans,Swahili]"], ["fr"])[0] == [("xcopa[zh]", "xcopa_zh"), ("xcopa[sw]", "xcopa_sw")]
    assert expanded("xcopa[zh,sw],reading[fr]")[0][-1] == ("reading[fr]", "other_fr")


def test_a_region_that_the_family_leaves_out_is_met_and_kept_in_the_cells_name():
    assert expanded("xcopa", ["zh-CN", "sw"]) == ([("xcopa[zh-CN]", "xcopa_zh"), ("xcopa[sw]", "xcopa_sw")], [])
    assert expanded("all", ["zh-CN"])[1] == []
    assert expanded("xcopa[zh-CN]", ["zh"])[0] == [("xcopa[zh]", "xcopa_zh")]
    assert expanded("xcopa", ["zh-TW"])[1] == ["task family xcopa has no task for zh-TW"]


def test_without_languages_a_family_has_all_of_its_own():
    assert [spec for spec, _ in expanded("xcopa")[0]] == ["xcopa[zh]", "xcopa[sw]"]


def test_all_is_every_family_that_has_the_language():
    found, warnings = expanded("all[sw]")
    assert [spec for spec, _ in found] == ["ppl[sw]", "xcopa[sw]"]
    assert warnings == ["no task for sw in: reading"]
    assert [spec for spec, _ in expanded("all", ["zh", "fr"])[0]] == [
        "ppl[zh]",
        "ppl[fr]",
        "xcopa[zh]",
        "reading[zh]",
        "reading[fr]",
    ]


def test_each_task_once():
    assert len(expanded("xcopa[zh],xcopa,all[zh]", ["zh"])[0]) == 3


def test_lm_evals_own_names():
    assert expanded("read_zho_Hans_v2")[0] == [("reading[zh]", "read_zho_Hans_v2")]
    assert expanded("lm-eval:hellaswag[en]")[0] == [("hellaswag[en]", "hellaswag")]
    assert expanded("lm-eval:mine", ["vi"])[0] == [("mine[vi]", "mine")]


@pytest.mark.parametrize(
    ("requested", "languages", "error", "message"),
    [
        ("xcop", ["zh"], UnknownNameError, "unknown task family 'xcop'; did you mean 'xcopa'"),
        ("xcopa[klingonn]", [], UnknownNameError, "unknown language 'klingonn'"),
        ("xcopa[fr]", [], UnknownNameError, "unknown language of task family xcopa 'fr'; known: sw, zh"),
        ("xcopa[zh", [], UsageError, "unbalanced brackets"),
        ("xcopa]zh[", [], UsageError, "unbalanced brackets"),
        ("xcopa[]", [], UsageError, "names no language"),
        ("ppl", [], UsageError, r"takes its languages from the corpus; name some, as in 'ppl\[en,zh\]'"),
        ("lm-eval:mine", ["vi", "zh"], UsageError, "covers one language; name it"),
        ("xcopa", ["zh", "Chinese"], UsageError, "named more than once"),
    ],
)
def test_what_is_wrong_is_said(requested, languages, error, message):
    with pytest.raises(error, match=message):
        expand_tasks(requested, languages, FAMILIES)


def test_options_are_checked():
    (spec,), _ = expand_tasks("xcopa[zh]", [], FAMILIES)
    assert spec.with_options(limit=5).limit == 5
    assert spec.with_options() == spec
    assert spec.with_options(num_fewshot=0).num_fewshot == 0
    with pytest.raises(OptionError, match="limit is a number of items, 1 or more; got 0"):
        spec.with_options(limit=0)
    with pytest.raises(OptionError, match="num_fewshot is a number of examples"):
        spec.with_options(num_fewshot=-1)


def test_tasks_over_the_corpus_take_any_language():
    written = OutputLanguageFamily(outputs=8).tasks_for("en")
    assert [task.name for task in written] == [
        "output_language",
        "output_language.lines",
        "output_language.fluency",
        "output_language.repetition",
    ]
    assert {(task.kind, task.limit, task.family) for task in written} == {("generation", 8, "output_language")}
    (spec,) = PerplexityFamily().tasks_for("en")
    assert (spec.kind, spec.metric, spec.higher_is_better, spec.chance) == ("perplexity", "bits_per_byte", False, None)


def test_prompts_in_a_source_language_are_judged_in_every_column_and_their_text_once():
    asked = OutputLanguageFamily("quiz", questions={"de": (("q", "Warum?"),), "fr": (("q", "Pourquoi ?"),)})
    tasks, _ = expand_tasks("quiz,ppl", ["de", "fr"], {"quiz": asked, "ppl": PerplexityFamily()})
    asked_tasks = [task for task in tasks if task.family == "quiz"]
    steered = [task for task in (written_in(task, "de", tasks) for task in asked_tasks) if task is not None]
    assert [task.id for task in steered] == [
        "quiz[de]",
        "quiz.lines[de]",
        "quiz.fluency[de]",
        "quiz.repetition[de]",
        "quiz[fr]",
        "quiz.lines[fr]",
    ]
    assert {(task.prompts, task.prompted_in) for task in steered} == {((("q", "Warum?"),), "de")}
    with pytest.raises(UsageError, match="task quiz has no prompts in --source-language 'en'"):
        written_in(tasks[0], "en", tasks)


def test_a_name_with_a_code_in_it_is_one_family_over_languages():
    specs, warnings = expand_tasks("lm-eval:mytask_{code}", ["de", "zh"], FAMILIES)
    assert [(spec.id, spec.family, spec.lm_eval_task, spec.metric) for spec in specs] == [
        ("mytask[de]", "mytask", "mytask_{code}", ""),
        ("mytask[zh]", "mytask", "mytask_{code}", ""),
    ]
    assert warnings == ()
    (spec,), _ = expand_tasks("lm-eval:exam-{code}_v2[fr]", ["de"], FAMILIES)
    assert (spec.id, spec.lm_eval_task) == ("examv2[fr]", "exam-{code}_v2")
    with pytest.raises(UsageError, match=r"mytask_\{code\} is a family for any language; name some"):
        expand_tasks("lm-eval:mytask_{code}", [], FAMILIES)


def test_a_task_of_an_included_folder_is_found_by_its_name():
    def included(name):
        return name in {"mytask_de", "mytask_zho_Hans", "plain"}

    specs, _ = expand_tasks("mytask_de,mytask_zho_Hans,plain[zh]", ["de", "zh"], FAMILIES, included=included)
    assert [(spec.id, spec.lm_eval_task) for spec in specs] == [
        ("mytask_de[de]", "mytask_de"),
        ("mytask_zho_Hans[zh]", "mytask_zho_Hans"),
        ("plain[zh]", "plain"),
    ]
    with pytest.raises(UsageError, match=r"task 'plain' covers one language; name it, as in 'plain\[zh\]'"):
        expand_tasks("plain", ["de", "zh"], FAMILIES, included=included)
