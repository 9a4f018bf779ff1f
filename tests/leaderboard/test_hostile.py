"""Hostile records: refused, or shown harmless. Nothing raises, nothing runs, nothing leaves its folder."""

import copy
import json
import math
import random
import re
from contextlib import suppress
from html.parser import HTMLParser

import pytest

from browser import Watched
from narrowing import present
from nharness.record.model import content_id
from nharness.record.validate import validate_bytes
from nharness_leaderboard.results import place
from nharness_leaderboard.site.about import repository
from nharness_leaderboard.site.build import build_site
from nharness_leaderboard.site.text import script_json
from synthetic_records import synthetic_record

MUTANTS = 10_000
EVIL = [
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    '"><img src=x onerror=window.hacked=1>',
    "'><svg onload=window.hacked=1>",
    "javascript:window.hacked=1",
    "{{7*7}}",
    "{% raw %}",
    "../../../etc/passwd",
    "..\\..\\x",
    "\u202e\u2066evil",
    "__proto__",
    "constructor",
    "]]>",
    "<!--",
    "\x00",
    "\ud800",
    "=cmd()",
    "a" * 5000,
    "",
    "\n\r\t",
    "${hacked}",
    "%s%n",
    "NaN",
    "&lt;script&gt;",
]
WRONG = [
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    -0.0,
    1e308,
    -1e308,
    math.inf,
    -math.inf,
    math.nan,
    2**63,
    10**400,
    "",
    "x",
    [],
    [None],
    [[[[]]]],
    {},
    {"a": {"b": {}}},
    {"__proto__": {"polluted": True}},
]


def small():
    return synthetic_record(languages=("en", "zh"), layers=2, width=16, draws=2, accuracy=False, seed=1).document()


def places(value, here=()):
    """Yield the path of every value of a document, containers included."""
    yield here
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield from places(child, (*here, name))


def at(document, path):
    for part in path:
        document = document[part]
    return document


FREE = [
    ("identity", "command"),
    ("model", "name"),
    ("model", "architecture"),
    ("detector", "plugin"),
    ("detector", "options", "notes"),
    ("corpus", "name"),
    ("corpus", "licence"),
    ("environment", "platform"),
    ("tasks", 0, "unit"),
    ("tasks", 0, "dataset"),
]


def mutate(document, rng):
    """Return the document with one to three random wrongs in it, or one hostile text where any text may stand."""
    changed = copy.deepcopy(document)
    if rng.random() < 0.05:
        path = rng.choice(FREE)
        at(changed, path[:-1])[path[-1]] = rng.choice(EVIL)
        return changed
    for _ in range(rng.choice((1, 1, 2, 3))):
        path = rng.choice([p for p in places(changed) if p])
        parent, name = at(changed, path[:-1]), path[-1]
        action = rng.randrange(6)
        if action == 0:
            parent[name] = rng.choice(WRONG)
        elif action == 1:
            parent[name] = rng.choice(EVIL)
        elif action == 2 and isinstance(parent, dict):
            del parent[name]
        elif action == 3 and isinstance(parent, dict):
            parent[rng.choice(EVIL)] = parent[name]
        elif action == 4 and isinstance(parent, list):
            parent.extend(copy.deepcopy(parent) * rng.choice((1, 3)))
        else:
            parent[name] = copy.deepcopy(at(changed, rng.choice(list(places(changed)))))
    return changed


def as_text(document, rng):
    """Return JSON text, its content key renewed when that is possible, and sometimes damaged as text."""
    with suppress(KeyError, TypeError, ValueError):
        document["identity"]["id"] = content_id(document)
    text = json.dumps(document).encode("utf-8", "surrogatepass")
    if rng.random() < 0.03:
        spot = rng.randrange(len(text))
        text = text[:spot] + bytes(rng.randrange(256) for _ in range(3)) + text[spot + rng.randrange(40) :]
    return text


PAPER = re.compile(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}")


class Elements(HTMLParser):
    """What a page would run or load: elements and attributes that no page of ours has."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        data = tag == "script" and given.get("type") == "application/json"
        ours = tag == "script" and (given.get("src") or "").startswith(("assets/", "../assets/"))
        if tag in {"img", "iframe", "object", "embed", "base"} or (tag == "script" and not (data or ours)):
            self.found.append(tag)
        self.found += [name for name in given if name.startswith("on")]
        link = given.get("href") or ""
        if link.startswith(("javascript:", "http", "//")) and link != repository() and not PAPER.fullmatch(link):
            self.found.append(link)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """The site of ten thousand mutants: what was built, and where."""
    root = tmp_path_factory.mktemp("fuzzed")
    rng, document = random.Random(20261120), small()
    for number in range(MUTANTS):
        folder = root / "results" / str(number)
        folder.mkdir(parents=True)
        (folder / "record.json").write_bytes(as_text(mutate(document, rng), rng))
    return build_site(root / "results", root / "site"), root


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_mutants_are_judged_and_built_without_a_traceback(fuzzed):
    """Every mutant gets a verdict in plain words; those that pass are published, and nothing in a page is theirs to run."""
    built, root = fuzzed
    assert built.records + len(built.refused) == MUTANTS
    assert len(built.refused) > 0.7 * MUTANTS
    assert built.records > 0.03 * MUTANTS
    for problems in built.refused.values():
        assert problems
        for problem in problems:
            assert str(problem).isprintable(), problem
            assert len(str(problem)) < 1300
    assert {path.name for path in root.iterdir()} == {"results", "site"}
    pages = {path: path.read_text(encoding="utf-8") for path in (root / "site").rglob("*.html")}
    hostile = {path: text for path, text in pages.items() if "hacked" in text}
    assert len(hostile) > 20, "no hostile text reached a page: the test proves nothing"
    for path, text in hostile.items():
        assert Elements(text).found == [], path.name


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(1800)
def test_no_mutant_runs_a_script_in_the_browser(fuzzed, browser):
    site = fuzzed[1] / "site"
    records = sorted((site / "records").iterdir())
    chosen = [path for path in records if "window.hacked" in path.read_text(encoding="utf-8")][:12]
    assert chosen
    compared = ",".join(path.stem for path in chosen[:6])
    watched = Watched(browser)
    for path, fragment in [
        (site / "index.html", ""),
        (site / "records.html", ""),
        (site / "compare.html", f"#r={compared}"),
        *((path, "") for path in chosen),
    ]:
        page = watched.open(path, fragment)
        assert page.evaluate("[window.hacked, Object.prototype.polluted]") == [None, None], path.name
    assert watched.close() == []


def test_what_the_page_check_looks_for_is_found():
    assert Elements(
        '<a href="javascript:x"><img onerror=x><script>x</script><script src="assets/a.js"></script>'
    ).found == [
        "javascript:x",
        "img",
        "onerror",
        "script",
    ]


def test_every_field_with_every_wrong_type_is_refused_or_allowed_but_never_raises():
    document = small()
    for path in [p for p in places(document) if p and not any(isinstance(part, int) and part > 0 for part in p)]:
        for wrong in ([], {}, "<x>", 10**400, 1e308, None, True):
            changed = copy.deepcopy(document)
            at(changed, path[:-1])[path[-1]] = wrong
            record, problems = validate_bytes(json.dumps(changed).encode(), schema=False)
            assert record is None or not problems or path


def test_the_schema_refuses_nothing_that_the_models_accept():
    """What the models let through, the JSON Schema lets through as well, and the other way round for types."""
    rng, document = random.Random(5), small()
    for _ in range(400):
        text = as_text(mutate(document, rng), rng)
        with_schema, without = (validate_bytes(text, schema=schema) for schema in (True, False))
        assert (with_schema[0] is None) == (without[0] is None)
        assert bool(with_schema[1]) == bool(without[1])


def evil_record(evil):
    """Return a valid record with the text in every field that takes free text."""
    document = synthetic_record(languages=("en", "zh", "fr"), layers=2, seed=1).document()
    document["model"] |= {"name": evil, "architecture": evil, "revision": evil, "dtype": evil, "args": {evil: evil}}
    document["identity"] |= {"command": evil, "nharness": evil}
    document["identity"]["study"] = {
        "name": evil,
        "text": evil,
        "digest": __import__("hashlib").sha256(evil.encode()).hexdigest(),
    }
    document["detector"] |= {
        "plugin": evil,
        "distribution": evil,
        "version": evil,
        "options": {evil: [evil, {evil: evil}]},
    }
    document["intervention"]["options"] = {evil: evil}
    document["corpus"] |= {"name": evil, "licence": evil}
    document["corpus"]["overlap"][0]["examples"] = [evil]
    document["environment"] |= dict.fromkeys(("python", "torch", "transformers", "platform", "cpu", "gpu"), evil)
    for task in document["tasks"]:
        task |= {"unit": evil, "dataset": evil, "version": evil}
    values = ("baseline", "edited", "change", "interval", "p", "q", "mcnemar_p", "perplexity_ratio", "control")
    document["cells"][0] |= {"status": "failed", "reason": evil} | dict.fromkeys(values)
    document["identity"]["id"] = content_id(document)
    return document


SHOWN = [evil for evil in EVIL if evil and evil.isprintable() and len(evil) < 200]


@pytest.mark.browser
@pytest.mark.timeout(1800)
def test_script_in_every_text_field_runs_nowhere(tmp_path, browser):
    results = tmp_path / "results"
    for number, evil in enumerate(SHOWN):
        document = evil_record(evil)
        document["detector"]["name"] = f"synthetic-{number}"
        document["identity"]["id"] = content_id(document)
        record, problems = validate_bytes(json.dumps(document).encode())
        assert problems == [], (evil, problems[:3])
        folder = results / place(present(record))
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(document))
    site = tmp_path / "deep" / "site"
    built = build_site(results, site, title="<script>window.hacked=1</script>")
    assert built.records == len(SHOWN)
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"site"}
    ids = sorted(path.stem for path in (site / "records").iterdir())
    pages = [("index.html", ""), ("methods.html", ""), ("compare.html", "#r=" + ",".join(ids[:6]))]
    pages += [(path.relative_to(site).as_posix(), "") for path in site.rglob("*.html") if path.parent != site]
    watched = Watched(browser)
    for name, fragment in pages:
        page = watched.open(site / name, fragment)
        assert page.evaluate("[window.hacked, Object.prototype.polluted]") == [None, None], name
        assert page.query_selector("img, iframe, object, embed, base, form[action]") is None
    page = watched.open(site / "index.html")
    outside = page.evaluate("[...document.querySelectorAll('a')].filter(a => a.protocol !== 'file:').map(a => a.href)")
    assert set(outside) <= {repository()}
    assert watched.close() == []


def test_data_in_a_script_cannot_end_it():
    text = str(script_json({"a": "</script><!-- &", "b": [1.5, None]}))
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!-- &", "b": [1.5, None]}
    with pytest.raises(ValueError, match="JSON compliant"):
        script_json(math.nan)
