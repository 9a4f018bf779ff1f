"""Make the items of `continuation` and `translation_choice` from the sample corpus.

    python -m nharness_tasks.lm_eval.build_items [--sample FOLDER] [--out FOLDER]

1. A passage is a document, its paragraphs are lines, and line i of a document says the same in every language. A line
   is eligible if it is prose in every language: `SHORTEST` to `LONGEST` UTF-8 bytes, no text said twice in it.
2. `continuation`: of each document, its eligible line nearest to the middle is the right choice, the one or two
   paragraphs before it are the context.
3. `translation_choice`: of each document, its first eligible line; the line in English (in German for English) is the
   source.
4. The three wrong choices are eligible lines of other pages whose length in bytes is nearest to the right one's in the
   mean over languages, drawn from the nearest twelve with a seed that is the item's id; the same in every language.
5. The place of the right choice is drawn likewise. Files are written byte for byte the same every time.
6. The questions, split `test`, are evaluation text. `EXAMPLES` items made in the same way from detection text, one a
   page, are the split `fewshot`: no example is a question.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import langcodes

from nharness.corpora import Corpus, load_corpus

LANGUAGES = ("en", "de", "fr", "es", "ru", "zh", "ja", "ko", "vi", "id")
HERE = Path(__file__).parent
SHORTEST, LONGEST = 30, 400
NEAREST = 12
CONTEXT = 2
EXAMPLES = 16
Lines = Mapping[str, tuple[str, ...]]
"""The paragraphs of one document by language."""


@dataclass(frozen=True)
class Line:
    """One paragraph in all languages: its document, its place there, and its text by language."""

    document: str
    place: int
    text: Mapping[str, str]

    @property
    def page(self) -> str:
        """The page that the document is from."""
        return self.document.rpartition("#")[0]


def documents(corpus: Corpus, split: str) -> dict[str, Lines]:
    """Return a split's documents that have the same number of paragraphs in every language, by id."""
    texts = {tag: {doc.id: doc.text for doc in corpus.documents(tag, split)} for tag in LANGUAGES}
    found: dict[str, Lines] = {}
    for name in sorted(set.intersection(*(set(by_id) for by_id in texts.values()))):
        lines = {tag: tuple(texts[tag][name].split("\n")) for tag in LANGUAGES}
        if len({len(some) for some in lines.values()}) == 1:
            found[name] = lines
    return found


def eligible(parallel: Mapping[str, Lines]) -> list[Line]:
    """Return the lines that can be a choice, each text once."""
    seen: set[str] = set()
    chosen = []
    for name, lines in parallel.items():
        for place in range(len(lines["en"])):
            text = {tag: lines[tag][place].strip() for tag in LANGUAGES}
            if all(_is_prose(some) for some in text.values()) and not seen & set(text.values()):
                seen |= set(text.values())
                chosen.append(Line(name, place, text))
    return chosen


def continuation(parallel: Mapping[str, Lines], lines: Sequence[Line]) -> Iterator[dict[str, dict[str, object]]]:
    """Yield items by language."""
    for name, paragraphs in parallel.items():
        middle = len(paragraphs["en"]) / 2
        own = [line for line in lines if line.document == name and line.place > 0]
        if not own:
            continue
        right = min(own, key=lambda line: abs(line.place - middle))
        wrong = _wrong(right, lines, "continuation")
        before = slice(max(0, right.place - CONTEXT), right.place)
        yield {tag: _item(right, wrong, tag, context="\n".join(paragraphs[tag][before])) for tag in LANGUAGES}


def translation_choice(lines: Sequence[Line]) -> Iterator[dict[str, dict[str, object]]]:
    """Yield items by language."""
    firsts = {line.document: line for line in reversed(lines)}
    for right in reversed(firsts.values()):
        wrong = _wrong(right, lines, "translation_choice")
        yield {tag: _item(right, wrong, tag, context=_question(right, tag)) for tag in LANGUAGES}


def _question(line: Line, language: str) -> str:
    source = "de" if language == "en" else "en"
    names = [langcodes.Language.get(tag).display_name() for tag in (source, language)]
    return f"{names[0]}: {line.text[source]}\n{names[1]}:"


def _item(right: Line, wrong: Sequence[Line], language: str, *, context: str) -> dict[str, object]:
    name = f"{right.document}:{right.place}"
    place = random.Random(f"place {name}").randrange(len(wrong) + 1)  # noqa: S311 - a shuffle, not a secret
    choices = [line.text[language] for line in wrong]
    choices.insert(place, right.text[language])
    return {"id": name, "cluster": right.page, "context": context, "choices": choices, "label": place}


def _wrong(right: Line, lines: Sequence[Line], task: str) -> list[Line]:
    others = [line for line in lines if line.page != right.page]
    near = sorted(others, key=lambda line: (_distance(line, right), line.document, line.place))[:NEAREST]
    return random.Random(f"{task} {right.document}:{right.place}").sample(near, 3)  # noqa: S311 - likewise


def _distance(one: Line, other: Line) -> float:
    return sum(abs(math.log(len(one.text[tag].encode()) / len(other.text[tag].encode()))) for tag in LANGUAGES)


def _is_prose(text: str) -> bool:
    half = text[: len(text) // 2].strip()
    return SHORTEST <= len(text.encode()) <= LONGEST and not (len(half) > 5 and half in text[len(text) // 2 :])


def examples(items: Sequence[dict[str, dict[str, object]]]) -> list[dict[str, dict[str, object]]]:
    """Return `EXAMPLES` items for the split `fewshot`, spread over pages, or all if there are fewer."""
    pages: dict[object, dict[str, dict[str, object]]] = {}
    for item in items:
        pages.setdefault(item["en"]["cluster"], item)
    first = list(pages.values())
    step = max(1, len(first) // EXAMPLES)
    chosen = first[::step][:EXAMPLES]
    return [{tag: {**item, "split": "fewshot"} for tag, item in each.items()} for each in chosen]


def write(items: Sequence[Mapping[str, Mapping[str, object]]], task: str, folder: Path) -> None:
    """Write `<task>_<language>.jsonl.gz` for every language."""
    folder.mkdir(parents=True, exist_ok=True)
    for tag in LANGUAGES:
        text = "".join(json.dumps(item[tag], ensure_ascii=False) + "\n" for item in items)
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
            file.write(text.encode())
        (folder / f"{task}_{tag}.jsonl.gz").write_bytes(buffer.getvalue())


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the unpacked items files of a folder, by name."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.jsonl.gz")):
        digest.update(path.name.encode() + b"\0" + gzip.decompress(path.read_bytes()))
    return digest.hexdigest()


def main() -> None:
    """Build the items of both tasks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=Path, default=HERE.parent / "corpora" / "sample")
    parser.add_argument("--out", type=Path, default=HERE / "items")
    chosen = parser.parse_args()
    corpus = load_corpus(chosen.sample)
    parallel, seen = documents(corpus, "eval"), documents(corpus, "detect")
    lines, lines_seen = eligible(parallel), eligible(seen)
    questions, shots = continuation(parallel, lines), continuation(seen, lines_seen)
    write([*questions, *examples(list(shots))], "continuation", chosen.out)
    questions, shots = translation_choice(lines), translation_choice(lines_seen)
    write([*questions, *examples(list(shots))], "translation_choice", chosen.out)


if __name__ == "__main__":
    main()
