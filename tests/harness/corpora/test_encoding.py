"""Encoding and batching: what counts, what is padded, and that nothing is lost or counted twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from nharness.corpora import (
    EVEN,
    Document,
    EncodingPolicy,
    Room,
    amount,
    batches,
    by_document,
    encode,
    mixed_batches,
    padding_share,
)
from nharness.corpora.encoding import EncodedDocument
from nharness.errors import CorpusError, OptionError


@pytest.fixture(scope="module", params=[True, False], ids=["bos-and-eos", "bare"])
def tokenizer(request):
    return make_tokenizer(special=request.param)


def make_tokenizer(*, special):
    """One token a letter: ids are 3 + place in the alphabet."""
    letters = {chr(code): 3 + code - ord("a") for code in range(ord("a"), ord("z") + 1)}
    inner = Tokenizer(models.BPE({"<unk>": 0, "<s>": 1, "</s>": 2, **letters}, [], unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def counted(part):
    return part.tokens[part.counted_from : part.counted_to].tolist()


def documents(*texts):
    return [Document(f"d{n}", text) for n, text in enumerate(texts)]


def test_added_tokens_do_not_count_unless_asked(tokenizer):
    (part,) = encode(tokenizer, documents("abc"), language="en")
    assert counted(part) == [3, 4, 5]
    (wide,) = encode(tokenizer, documents("abc"), language="en", policy=EncodingPolicy(count_special=True))
    assert counted(wide) == tokenizer("abc")["input_ids"]
    (bare,) = encode(tokenizer, documents("abc"), language="en", policy=EncodingPolicy(special_tokens="none"))
    assert bare.tokens.tolist() == [3, 4, 5]


@pytest.mark.parametrize("overlap", [0, 3])
def test_every_token_of_a_long_document_counts_once(tokenizer, overlap):
    text = "abcdefghijklmnopqrstuvwxyz"
    parts = list(
        encode(tokenizer, documents(text, "xyz"), language="en", policy=EncodingPolicy(max_length=9, overlap=overlap))
    )
    long, short = by_document(parts)
    assert [token for part in long for token in counted(part)] == [3 + n for n in range(26)]
    assert [window.number for window in long] == list(range(len(long)))
    assert max(len(part.tokens) for part in parts) == 9
    assert [part.bytes for part in long] == [26] + [0] * (len(long) - 1)
    assert (short[0].bytes, counted(short[0])) == (3, [26, 27, 28])
    if tokenizer("a")["input_ids"][0] == 1:
        assert all(part.tokens[0] == 1 and part.tokens[-1] == 2 for part in parts)


def test_only_the_response_counts(tokenizer):
    asked = [Document("q", "xyz", prompt="abc "), Document("r", "abcdefgh", prompt="zzzz")]
    policy = EncodingPolicy(interest="response", max_length=6)
    grouped = list(by_document(encode(tokenizer, asked, language="en", policy=policy)))
    assert [[token for part in parts for token in counted(part)] for parts in grouped] == [
        [26, 27, 28],
        [*range(3, 11)],
    ]
    assert [sum(part.bytes for part in parts) for parts in grouped] == [3, 8]
    (whole,) = encode(tokenizer, asked[:1], language="en")
    assert counted(whole) == [3, 4, 5, 26, 27, 28]
    assert whole.bytes == 7


def test_bytes_are_of_utf8():
    (part,) = encode(make_tokenizer(special=False), documents("aé水"), language="en")
    assert part.bytes == 6


def test_unknown_tokens_are_counted_where_text_is_encoded(tokenizer):
    texts = [Document("a#1", "abcабв"), Document("a#2", "где"), Document("b#1", "xyz")]
    parts = list(encode(tokenizer, texts, language="ru", policy=EncodingPolicy(max_length=4)))
    by_hand = [counted(part).count(0) for part in parts]
    assert [part.unknown for part in parts] == by_hand
    found = amount(parts)
    assert (found.documents, found.sources, found.tokens, found.unknown) == (3, 2, 12, 6)
    assert found.unknown_share == 0.5
    assert amount([]).unknown_share == 0


def test_the_budget_takes_whole_documents_in_order(tokenizer):
    found = list(encode(tokenizer, documents("abcd", "abc", "ab", "a"), language="en", max_tokens=8))
    assert [part.id for part in found] == ["d0", "d1"]
    assert [part.id for part in encode(tokenizer, documents("abcd", "a"), language="en", max_tokens=2)] == ["d0"]


def test_encoding_is_lazy(tokenizer):
    def endless():
        yield from (Document(str(n), "abcdef") for n in range(10**12))

    assert len(list(encode(tokenizer, endless(), language="en", max_tokens=6000))) == 1000


def test_nothing_to_count_and_no_room():
    tokenizer = make_tokenizer(special=True)
    with pytest.raises(CorpusError, match="no document of language 'en' has a token that counts"):
        list(encode(tokenizer, documents("", ""), language="en"))
    with pytest.raises(OptionError, match="max_length 2 leaves no room beside 2 special tokens"):
        list(encode(tokenizer, documents("abc"), language="en", policy=EncodingPolicy(max_length=2)))
    with pytest.raises(OptionError, match="overlap smaller"):
        EncodingPolicy(max_length=4, overlap=4)


def of_lengths(lengths):
    return [
        EncodedDocument(str(n), "en", str(n), 0, np.arange(length) + 7 * n, min(1, length - 1), length, 1)
        for n, length in enumerate(lengths)
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60),
    st.builds(
        Room,
        st.integers(1, 200),
        together=st.sampled_from([None, 0, 20]),
        longest=st.sampled_from([None, 41, 64]),
        unread=st.sampled_from([0, 1]),
    ),
    st.sampled_from([batches, mixed_batches]),
)
def test_batches_hold_every_row_once_and_keep_the_bound(lengths, room, cut):
    found = of_lengths(lengths)
    seen = []
    unread, longest = room.unread, room.longest
    for batch in cut(found, room):
        rows, width = batch.tokens.shape
        assert rows * (width - unread) <= room.tokens or rows == 1
        assert room.together is None or width <= room.together + unread or rows == 1
        assert width == batch.lengths.max() or (rows * (width - unread) % EVEN == 0 and cut is batches)
        assert longest is None or width - unread <= longest
        assert width - batch.lengths.max() < EVEN
        for place, row in enumerate(batch.rows):
            assert batch.tokens[place, : batch.lengths[place]].tolist() == found[row].tokens.tolist()
            assert (batch.tokens[place, batch.lengths[place] :] == found[row].tokens[-1]).all()
            assert batch.tokens[place][batch.mask[place]].tolist() == counted(found[row])
        assert batch.counted == batch.mask.sum()
        seen += batch.rows.tolist()
    assert sorted(seen) == list(range(len(lengths)))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.sampled_from([20, 64, 100, 128]), st.integers(0, 1))
def test_the_cut_is_the_cheapest_of_all(lengths, most, unread):
    """Against every way of cutting the sorted lengths, each batch as wide as makes it even, if there is room."""
    ordered = sorted(lengths)

    def width(rows, length):
        return next(w for w in range(length, length + 65) if rows * (w - unread) % EVEN == 0 or length == unread)

    def cheapest(start):
        if start == len(ordered):
            return 0
        costs = []
        for end in range(start + 1, len(ordered) + 1):
            rows, wide = end - start, width(end - start, ordered[end - 1])
            if rows == 1 or rows * (wide - unread) <= most:
                costs.append(rows * wide + 16 + cheapest(end))
        return min(costs)

    room = Room(most, overhead=16, unread=unread)
    assert sum(batch.tokens.size + 16 for batch in batches(of_lengths(lengths), room)) == cheapest(0)


def test_mixed_batches_put_the_shortest_beside_the_longest():
    made = list(mixed_batches(of_lengths([5, 9, 1, 7]), Room(18)))
    assert [batch.rows.tolist() for batch in made] == [[1, 2], [3, 0]]
    usual = list(batches(of_lengths([5, 9, 1, 7]), Room(18, overhead=0)))
    assert [batch.rows.tolist() for batch in usual] != [batch.rows.tolist() for batch in made]


def test_batches_of_text_have_few_sizes():
    """A library of matrix products compiles a kernel for each."""
    lengths = np.clip(np.random.default_rng(0).lognormal(4.0, 0.6, 640), 5, 512).astype(int)
    sizes = [batch.tokens[:, 1:].size for batch in batches(of_lengths(lengths), Room(1024, unread=1))]
    assert all(size % EVEN == 0 for size in sizes)
    assert len(set(sizes)) <= 40


def test_little_padding_on_lengths_like_those_of_paragraphs():
    lengths = np.clip(np.random.default_rng(0).lognormal(4.6, 0.6, 640), 5, 512).astype(int)
    shares = [padding_share(of_lengths(lengths[start : start + 64]), Room(2048)) for start in range(0, 640, 64)]
    assert np.mean(shares) < 0.08
    assert padding_share(of_lengths(lengths), Room(4096)) < 0.03
