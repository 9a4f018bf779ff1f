"""Answers to prompts: with tokens of interest "response", the model itself answers what the corpus leaves open.

1. Documents of the detection split that have a prompt and no text are answered, a block of documents of every language
   after the other, until a language has more tokens of answers than detection may record.
2. The prompt is read as it stands, without a chat template. Decoding is greedy; an answer ends at the model's end mark
   or after `response_tokens` tokens.
3. A block's answers are in the store under a key over model, prompts and decoding: who goes on, goes on with the same.
4. From here on the detection split is these documents, given answers among them, and the corpus says so by its name and
   its fingerprint: records tell that answers were written, and of how many tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from nharness.corpora import Document, fingerprint
from nharness.events import Noted, StageAdvanced, StageFinished, StageStarted
from nharness.run.context import RunContext
from nharness.run.store import content_key
from nharness.run.work.executor import unheard
from nharness.run.work.prompt_answers import Answered, AnswerWork

STAGE = "answer"
BLOCK = 32


def answer(context: RunContext) -> Answered | None:
    """Return the detection documents with open prompts answered by the model, where responses are what counts.

    None with tokens of interest "all", and where every document has its text.
    """
    spec = context.spec.corpus
    if spec.tokens_of_interest != "response":
        return None
    started = time.perf_counter()
    context.listen(StageStarted(STAGE, len(context.languages) * spec.detect_tokens, "tokens"))
    answers = _Answers(context)
    documents = answers.documents()
    bare = [tag for tag, found in documents.items() if not any(document.prompt for document in found)]
    if bare:
        name = context.corpus.name
        text = f"no document of corpus {name} in {', '.join(bare)} has a prompt: all tokens are the response's"
        context.listen(Noted("warning", text))
    summary = f"{answers.given} prompts answered in {len(context.languages)} languages"
    reused = bool(answers.given and not answers.written)
    context.listen(StageFinished(STAGE, time.perf_counter() - started, reused, summary))
    how = f"answers written, greedy, at most {spec.response_tokens} tokens"
    return Answered(documents, how) if answers.given else None


@dataclass
class _Answers:
    """Answers documents in blocks; `given` answers there are, `written` of them were not in the store."""

    context: RunContext
    given: int = 0
    written: int = 0
    _done: dict[str, list[Document]] = field(default_factory=dict)

    def documents(self) -> dict[str, tuple[Document, ...]]:
        """Return every language's documents, answered, until they have more tokens than detection may record."""
        context, most = self.context, self.context.spec.corpus.detect_tokens
        blocks = {tag: _blocks(context.corpus.documents(tag, "detect")) for tag in context.languages}
        self._done = {tag: [] for tag in blocks}
        totals = dict.fromkeys(blocks, 0)
        while blocks:
            current = {tag: block for tag, left in blocks.items() if (block := next(left, None)) is not None}
            for tag, full in self._answered(current).items():
                self._done[tag] += full
                totals[tag] += sum(self._count(document) for document in full)
            blocks = {tag: blocks[tag] for tag in current if totals[tag] <= most}
        return {tag: tuple(found) for tag, found in self._done.items()}

    def _count(self, document: Document) -> int:
        return len(self.context.worker.loaded.tokenizer(document.text, add_special_tokens=False)["input_ids"])

    def _answered(self, blocks: dict[str, list[Document]]) -> dict[str, list[Document]]:
        """Return one block of every language with its open prompts answered."""
        store, spec = self.context.store, self.context.spec
        unanswered = {
            tag: found for tag, block in blocks.items() if (found := [each for each in block if _is_open(each)])
        }
        keys = {tag: self._key(tag, found) for tag, found in unanswered.items()}
        texts: dict[str, Sequence[str] | None] = {
            tag: store.get("answers", key, partial(_texts, count=len(unanswered[tag]))) for tag, key in keys.items()
        }
        missing = [tag for tag, found in texts.items() if found is None]
        room = max(1, spec.model.max_length - spec.corpus.response_tokens)
        work = AnswerWork(spec.corpus.response_tokens, room)
        made = self.context.executor.map(work, [unanswered[tag] for tag in missing], unheard)
        for tag, (answers, tokens) in zip(missing, made, strict=True):
            store.put("answers", keys[tag], list(answers))
            self.written += len(answers)
            texts[tag] = answers
            self.context.listen(StageAdvanced(STAGE, tokens))
        self.given += sum(map(len, unanswered.values()))
        return {tag: list(_filled(block, texts.get(tag) or ())) for tag, block in blocks.items()}

    def _key(self, tag: str, documents: Sequence[Document]) -> str:
        return content_key(
            stage=STAGE,
            identity=dict(self.context.identity),
            language=tag,
            prompts=fingerprint(documents),
            tokens=self.context.spec.corpus.response_tokens,
        )


def _texts(payload: Any, *, count: int) -> list[str]:
    """Read answers; raises `ValueError` for another number of them."""
    found = [str(text) for text in payload]
    if len(found) != count:
        raise ValueError(f"{len(found)} answers to {count} prompts")
    return found


def _filled(block: Iterable[Document], answers: Iterable[str]) -> Iterator[Document]:
    remaining = iter(answers)
    for document in block:
        yield replace(document, text=next(remaining)) if _is_open(document) else document


def _is_open(document: Document) -> bool:
    return bool(document.prompt.strip()) and not document.text.strip()


def _blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    remaining = iter(documents)
    while block := list(islice(remaining, BLOCK)):
        yield block
