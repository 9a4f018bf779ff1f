"""Open prompts answered by the model itself, and the corpus that has its answers for text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nharness.corpora import Corpus, Document, fingerprint
from nharness.corpora.corpus import Reader
from nharness.evaluation.decoding import Decoding
from nharness.evaluation.generation import Prompt, Written, generate, prompt_tokens
from nharness.run.work.executor import Seen, Work
from nharness.run.work.worker import Worker


@dataclass(frozen=True)
class Answered:
    """Detection documents by language, given answers among them, and how those came to be."""

    documents: Mapping[str, tuple[Document, ...]]
    how: str

    def corpus(self, corpus: Corpus) -> Corpus:
        """Return the corpus with these documents for its split `detect`; its name and fingerprint say how they came."""
        readers = {**corpus.readers, "detect": {tag: _reader(found) for tag, found in self.documents.items()}}
        texts = ",".join(fingerprint(found) for found in self.documents.values())
        identity = f"{corpus.identity} {texts}" if corpus.identity else ""
        return Corpus(f"{corpus.name} ({self.how})", readers, identity, {**corpus.notes, "answers": self.how})


@dataclass(frozen=True)
class AnswerWork(Work[Sequence[Document], tuple[tuple[str, ...], int]]):
    """Answer documents of one language, a list at a time: the answers, in order, and how many tokens they have.

    tokens_of_answer: the most tokens of one answer. tokens_of_prompt: the most tokens of a prompt, its last ones.
    """

    in_order = True
    tokens_of_answer: int
    tokens_of_prompt: int

    def begin(
        self, worker: Worker, seen: Seen
    ) -> Callable[[Sequence[Document]], Iterator[tuple[tuple[str, ...], int]]]:
        """Return what answers; `seen` is not told, since answers count once they are kept."""
        del seen
        loaded, decoding = worker.loaded, Decoding(self.tokens_of_answer)

        def answers(documents: Sequence[Document]) -> Iterator[tuple[tuple[str, ...], int]]:
            prompts = [self._prompt(loaded.tokenizer, each) for each in documents]
            made = generate(loaded.model, loaded.tokenizer, prompts, decoding=decoding, together=loaded.together)
            texts = tuple(answer_text(loaded.tokenizer, each) for each in made)
            yield texts, sum(len(each.tokens) for each in made)

        return answers

    def _prompt(self, tokenizer: Any, document: Document) -> Prompt:
        """Return the prompt's last tokens."""
        tokens = prompt_tokens(tokenizer, document.prompt)
        return Prompt(document.id, document.cluster, tokens[-self.tokens_of_prompt :])


def answer_text(tokenizer: Any, written: Written) -> str:
    """Return what stands behind the prompt, the space between both included where tokenizers drop a first one."""
    decode, prompt = tokenizer.decode, written.prompt.tolist()
    before, whole = str(decode(prompt)), str(decode([*prompt, *written.tokens.tolist()]))
    return whole[len(before) :] if whole.startswith(before) else written.text


def _reader(documents: Sequence[Document]) -> Reader:
    return lambda: documents
