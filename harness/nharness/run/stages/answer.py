"""Answers to prompts: with tokens of interest "response", the model itself answers what the corpus leaves open.

1. Documents of the detection split that have a prompt and no text are answered, a block of documents after the other,
   until a language has more tokens of answers than detection may record.
2. The prompt is read as it stands, without a chat template. Decoding is greedy; an answer ends at the model's end mark
   or after `response_tokens` tokens.
3. A block's answers are in the store under a key over model, prompts and decoding: who goes on, goes on with the same.
4. From here on the detection split is these documents, given answers among them, and the corpus says so by its name and
   its fingerprint: records tell that answers were written, and of how many tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from nharness.corpora import Corpus, Document
from nharness.corpora.corpus import Reader, fingerprint
from nharness.evaluation.decoding import Decoding
from nharness.evaluation.generation import Prompt, Written, generate, prompt_tokens
from nharness.events import Listener, Noted, StageAdvanced, StageFinished, StageStarted
from nharness.run.store import Store, content_key
from nharness.run.work.worker import Worker

STAGE = "answer"
BLOCK = 32


def answer_prompts(worker: Worker, store: Store, listen: Listener) -> None:
    """Let the worker's model answer the open prompts of its corpus' split `detect`, where responses are what counts.

    Nothing happens with tokens of interest "all", nor where every document has its text.
    """
    resolved = worker.resolved
    spec, corpus = resolved.spec.corpus, resolved.corpus
    if spec.tokens_of_interest != "response":
        return
    started = time.perf_counter()
    listen(StageStarted(STAGE, len(resolved.languages) * spec.detect_tokens, "tokens"))
    writer = _Writer(worker, store, listen)
    answered = {tag: list(writer.documents(tag)) for tag in resolved.languages}
    bare = [tag for tag, found in answered.items() if not any(document.prompt for document in found)]
    if bare:
        text = f"no document of corpus {corpus.name} in {', '.join(bare)} has a prompt: all tokens are the response's"
        listen(Noted("warning", text))
    if writer.answers:
        how = f"answers written, greedy, at most {spec.response_tokens} tokens"
        worker.resolved = replace(resolved, corpus=with_answers(corpus, answered, how))
    summary = f"{writer.answers} prompts answered in {len(resolved.languages)} languages"
    listen(StageFinished(STAGE, time.perf_counter() - started, bool(writer.answers and not writer.written), summary))


def with_answers(corpus: Corpus, answered: Mapping[str, Sequence[Document]], how: str) -> Corpus:
    """Return the corpus with these documents for its split `detect`; its name and fingerprint say `how` they came."""
    readers = {**corpus.readers, "detect": {tag: _reader(found) for tag, found in answered.items()}}
    texts = ",".join(fingerprint(found) for found in answered.values())
    identity = f"{corpus.identity} {texts}" if corpus.identity else ""
    return Corpus(f"{corpus.name} ({how})", readers, identity, {**corpus.notes, "answers": how})


def _reader(documents: Sequence[Document]) -> Reader:
    return lambda: documents


class _Writer:
    """Answers documents in blocks; `answers` of them there are, `written` were not in the store."""

    def __init__(self, worker: Worker, store: Store, listen: Listener) -> None:
        self.answers = self.written = 0
        self._worker, self._store, self._listen = worker, store, listen
        spec = worker.resolved.spec
        self._decoding = Decoding(spec.corpus.response_tokens)
        self._room = max(1, spec.model.max_length - spec.corpus.response_tokens)  # tokens of a prompt, its last ones

    def documents(self, tag: str) -> Iterator[Document]:
        """Yield a language's documents, answered, until they have more tokens than detection may record."""
        most, total = self._worker.resolved.spec.corpus.detect_tokens, 0
        for block in _blocks(self._worker.resolved.corpus.documents(tag, "detect")):
            answers = iter(self._answers(tag, [each for each in block if _is_open(each)]))
            for document in block:
                full = replace(document, text=next(answers)) if _is_open(document) else document
                total += len(self._worker.loaded.tokenizer(full.text, add_special_tokens=False)["input_ids"])
                yield full
            if total > most:
                return

    def _answers(self, tag: str, documents: Sequence[Document]) -> Sequence[str]:
        if not documents:
            return ()
        key = content_key(
            stage=STAGE,
            identity=self._worker.identity,
            language=tag,
            prompts=fingerprint(documents),
            tokens=self._decoding.max_new_tokens,
        )
        self.answers += len(documents)
        found: list[str] | None = self._store.get("answers", key)
        if found is None:
            loaded, prompts = self._worker.loaded, [self._prompt(each) for each in documents]
            made = generate(loaded.model, loaded.tokenizer, prompts, decoding=self._decoding, together=loaded.together)
            found = [self._text(each) for each in made]
            self.written += len(found)
            self._store.put("answers", key, found)
            self._listen(StageAdvanced(STAGE, sum(len(each.tokens) for each in made)))
        return found

    def _prompt(self, document: Document) -> Prompt:
        """Return the prompt's last tokens."""
        tokens = prompt_tokens(self._worker.loaded.tokenizer, document.prompt)
        return Prompt(document.id, document.cluster, tokens[-self._room :])

    def _text(self, written: Written) -> str:
        """Return what stands behind the prompt, the space between both included where tokenizers drop a first one."""
        decode, prompt = self._worker.loaded.tokenizer.decode, written.prompt.tolist()
        before, whole = str(decode(prompt)), str(decode([*prompt, *written.tokens.tolist()]))
        return whole[len(before) :] if whole.startswith(before) else written.text


def _is_open(document: Document) -> bool:
    return bool(document.prompt.strip()) and not document.text.strip()


def _blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    remaining = iter(documents)
    while block := list(islice(remaining, BLOCK)):
        yield block
