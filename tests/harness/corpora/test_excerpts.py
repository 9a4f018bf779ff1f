"""Evaluation text spread over sources: many clusters at no more tokens, cut at sentence ends, at the same places."""

from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from nharness.cache import cache_folder
from nharness.corpora import Document, EncodingPolicy, amount, counterpart, encode, load_corpus, spread
from nharness.corpora.excerpts import sentence_ends

BUDGET = 4_000  # the default of --eval-tokens


def words(texts):
    return [len(text.split()) for text in texts]


def text_of(sentences, number=0):
    return " ".join(f"Sentence {number} {place} has exactly seven words." for place in range(sentences))


def pages(count, sentences, documents=1):
    return [
        Document(f"page {page}#{part}", text_of(sentences, page)) for page in range(count) for part in range(documents)
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?", ["One.", " Two!", " Three?"]),
        ("Er kam z. B. am Montag. Dann nicht.", ["Er kam z. B. am Montag.", " Dann nicht."]),
        ("Version 2.0 is out. It works.", ["Version 2.0 is out.", " It works."]),
        ("He left... and came back.", ["He left... and came back."]),
        ("第一句。第二句！「第三句。」完", ["第一句。", "第二句！", "「第三句。」", "完"]),
        ("यह एक वाक्य है। दूसरा।", ["यह एक वाक्य है।", " दूसरा।"]),
        ("Heading\nText below it.\n\nMore", ["Heading\n", "Text below it.\n\n", "More"]),
        ("", [""]),
    ],
)
def test_ends_of_sentences(text, parts):
    ends = sentence_ends(text)
    assert [text[a:b] for a, b in zip([0, *ends], ends, strict=False)] == parts


def test_a_sentence_without_end_is_cut_at_white_space():
    ends = sentence_ends("ประโยค " * 200)
    assert max(b - a for a, b in zip([0, *ends], ends, strict=False)) <= 300
    assert all(("ประโยค " * 200)[end - 1] != " " for end in ends[:-1])


def test_a_text_within_the_budget_stays_as_it_is():
    documents = pages(5, 3, documents=2)
    assert spread(documents, words, 10_000) == documents


def test_the_budget_reaches_as_many_sources_as_it_can():
    documents = pages(30, 40)
    found = spread(documents, words, 30 * 21)
    assert len({document.cluster for document in found}) == 30
    assert sum(words([document.text for document in found])) == 30 * 21
    assert all(
        whole.text.startswith(cut.text) and cut.text.endswith(".") for whole, cut in zip(documents, found, strict=True)
    )


def test_of_many_sources_the_same_ones_in_every_order_and_language():
    documents = pages(500, 4)
    found = spread(documents, words, 400)
    assert len(found) >= 400 // 21 - 1
    assert {d.id for d in spread(documents[::-1], words, 400)} == {d.id for d in found}
    longer = [Document(d.id, d.text.replace("exactly", "exactly and no more than")) for d in documents]
    others = {d.id for d in spread(longer, words, 400)}
    assert others <= {d.id for d in found}
    assert len(others) >= 10


def test_every_source_begins_where_its_first_document_does():
    found = spread(pages(3, 10, documents=3), words, 3 * 35)
    assert [document.id for document in found] == [f"page {n}#0" for n in range(3)]
    more = spread(pages(3, 2, documents=3), words, 3 * 28)
    assert [document.id for document in more] == [f"page {n}#{part}" for n in range(3) for part in (0, 1)]


def test_prompts_stay_whole_and_count():
    documents = [Document(f"{n}", text_of(5), prompt="A question of six words here? ") for n in range(10)]
    found = spread(documents, words, 10 * 21)
    assert all(document.prompt == documents[0].prompt for document in found)
    assert sum(words([document.prompt + document.text for document in found])) <= 10 * 21


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=80), st.integers(1, 900))
def test_never_more_than_the_budget_but_for_the_first_sentence(sizes, budget):
    documents = [Document(f"{n}", text_of(size, n)) for n, size in enumerate(sizes)]
    found = spread(documents, words, budget)
    assert found
    used = sum(words([document.text for document in found]))
    assert used <= budget or (len(found) == 1 and used == 7)
    assert [d.id for d in found] == [d.id for d in documents if d.id in {f.id for f in found}]


def test_an_endless_stream_is_left_in_time():
    endless = (Document(str(n), text_of(3)) for n in range(10**12))
    assert len(spread(endless, words, 500, looked_at=200)) >= 20


def test_where_an_excerpt_stands_in_the_translation():
    english, german = "One. Two is longer. Three.", "Eins. Zwei ist viel länger. Drei."
    assert counterpart("One. Two is longer.", english, german) == "Eins. Zwei ist viel länger."
    assert counterpart(english, english, german) == german
    assert counterpart("One.", english, "Eins, und das ist es. Zwei und drei sind ein Satz.") == "Eins, und das ist es."


def babel_tokenizer():
    return AutoTokenizer.from_pretrained(files("nharness_tasks") / "babel/model")


def smollm2_tokenizer():
    for folder in sorted((cache_folder() / "gguf").glob("*")):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if len(tokenizer) == 49152:
            return tokenizer
    pytest.skip("needs SmolLM2, which --model smollm2 converts once")


@pytest.mark.parametrize("tokenizer_of", [babel_tokenizer, smollm2_tokenizer])
def test_at_least_forty_sources_a_language_of_the_sample_corpus(tokenizer_of):
    tokenizer = tokenizer_of()
    policy = EncodingPolicy(max_length=1 << 30, special_tokens="none")
    corpus = load_corpus(str(files("nharness_tasks") / "corpora/sample"))

    def count(texts):
        return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    for tag in corpus.languages:
        documents = spread(corpus.documents(tag, "eval"), count, BUDGET)
        found = amount(encode(tokenizer, documents, language=tag, policy=policy))
        assert found.sources >= 40
        assert found.tokens <= BUDGET
