"""The rules of how the code is written, held by reading it."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for top in ("harness", "detectors", "tasks", "leaderboard")
    for path in (ROOT / top).rglob("*.py")
    if "__pycache__" not in path.parts
)
BROAD = {"Exception", "BaseException"}


def relative(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def test_there_is_something_to_read():
    assert len(SOURCES) > 50


def test_files_hold_one_idea():
    """A file is whole; one of more than 500 lines holds more than one idea."""
    assert [relative(p) for p in SOURCES if len(p.read_text(encoding="utf-8").splitlines()) > 500] == []


def test_functions_are_short(trees):
    """How many arguments, branches and statements they have, the linter counts."""
    long = [
        f"{relative(path)}:{node.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (node.end_lineno or 0) - node.lineno + 1 > 60
    ]
    assert long == []


def test_only_the_command_line_prints(trees):
    found = [
        f"{relative(path)}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "print"
        and "/cli/" not in relative(path)
        and not re.search(r"if __name__|__main__", path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_assert_and_no_silent_catch(trees):
    found = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Assert):
                found.append(f"{where} assert")
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                line = path.read_text(encoding="utf-8").splitlines()[node.lineno - 1]
                reasoned = " boundary" in line or "noqa: BLE001 - " in line
                if caught == "everything" or (caught in BROAD and not reasoned):
                    found.append(f"{where} broad except")
                if len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
                    found.append(f"{where} error ignored")
    assert found == []


def test_no_module_imports_its_own_package_root(trees):
    """What a module needs has a room of its own; the root imports all of them."""
    found = [
        f"{relative(path)}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "nharness" and "/nharness/" in relative(path)
    ]
    assert found == []


def test_kinds_of_task_are_asked_and_not_told_apart_by_name(trees):
    kinds = {"perplexity", "generation", "lm-eval"}
    found = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                named = any(
                    isinstance(side, ast.Attribute | ast.Name) and ast.unparse(side).endswith("kind") for side in sides
                )
                said = {each.value for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)}
                if named and kinds & said:
                    found.append(f"{relative(path)}:{node.lineno}")
    assert found == []


def test_no_unsafe_load(trees):
    found = [
        f"{relative(path)}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"torch.load", "pickle.load", "pickle.loads", "eval", "exec"}
        and "weights_only=True" not in ast.unparse(node)
        and not ast.unparse(node).startswith("pickle.loads(pickle.dumps(")
    ]
    assert found == []


def test_nothing_is_left_for_later_and_no_machine_is_named():
    left = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    paths = re.compile(r"(?<![\w.\$}])/(?:root|home/\w+|" + "wo" + "rk)/")
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = []
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if (left.search(line) or paths.search(line)) and path.name != "test_style.py":
                found.append(f"{relative(path)}:{number}")
    assert found == []


def test_no_module_is_called_after_nothing():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "data"}
    assert [relative(p) for p in SOURCES if p.stem in vague] == []


REPLACING = "harness/nharness/replacing.py"
"""The one door to objects of other libraries: what is set there is put back."""
MAKERS = {"deepcopy", "view", "from_pretrained", "getLogger", "_load_weights", "_load_tokenizer"}
SETTERS = {"setattr", "delattr", "object.__setattr__"}
AS_DICTIONARY = re.compile(r"vars\((.*)\)\.(?:pop|update|setdefault|clear)$")


def _own_nodes(scope):
    """Yield what stands in a function (or module) itself, not in functions inside it."""
    waiting = list(scope.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _made(nodes):
    """Return the names of objects that are made in a function: by a class, a copy, or a maker that we know."""
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            maker = ast.unparse(node.value.func).rpartition(".")[2]
            if maker.lstrip("_")[:1].isupper() or maker in MAKERS:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))


def _changed(nodes):
    """Yield the attributes that a function assigns to, deletes or sets, with the object that has them."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield ast.unparse(node), node.value, node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in SETTERS:
            yield f"{ast.unparse(node.func)}({ast.unparse(node.args[0])})", node.args[0], node.lineno
        elif isinstance(node, ast.Call) and (owner := AS_DICTIONARY.match(ast.unparse(node.func))):
            yield ast.unparse(node.func), ast.parse(owner[1], mode="eval").body, node.lineno


def test_nobody_assigns_to_another_objects_attributes(trees):
    found = []
    for path, tree in trees.items():
        for scope in ast.walk(tree) if relative(path) != REPLACING else ():
            if not isinstance(scope, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            nodes = list(_own_nodes(scope))
            made = {"self", "cls", *_made(nodes)}
            for what, owner, line in _changed(nodes):
                root = ast.unparse(owner).split(".")[0]
                own = root in made and (root not in {"self", "cls"} or isinstance(owner, ast.Name))
                if not own:
                    found.append(f"{relative(path)}:{line} {what}")
    assert found == []


def test_results_of_stages_are_frozen(trees):
    open_ = [
        f"{relative(path)}:{node.name}"
        for path, tree in trees.items()
        if "/run/stages/" in relative(path)
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        for decorator in node.decorator_list
        if ast.unparse(decorator).startswith("dataclass") and "frozen=True" not in ast.unparse(decorator)
    ]
    assert open_ == []


def test_what_a_package_exports_is_imported_from_it(trees):
    exports = {
        ".".join(path.parent.parts[len(ROOT.parts) + 1 :]): set(ast.literal_eval(node.value))
        for path, tree in trees.items()
        if path.name == "__init__.py"
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    }
    found = []
    for path, tree in trees.items():
        module = ".".join(path.with_suffix("").parts[len(ROOT.parts) + 1 :]) + "."
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                found += [
                    f"{relative(path)}:{node.lineno} {name.name} is {package}'s"
                    for package, names in exports.items()
                    if package != "nharness" and node.module.startswith(f"{package}.")  # its root imports every room
                    if not module.startswith(f"{package}.")
                    for name in node.names
                    if name.name in names
                ]
    assert len(exports) > 5
    assert found == []


def test_nats_become_bits_by_one_rule():
    rule = re.compile(r"\blog\(2(\.0)?\)|\bLN_?2\b|0\.693")
    found = [relative(path) for path in SOURCES if rule.search(path.read_text(encoding="utf-8"))]
    assert found == ["harness/nharness/information.py"]


def test_one_name_one_class(trees):
    """A name means one thing in the harness; sections of a record are called after what they record."""
    named = Counter(
        node.name
        for path, tree in trees.items()
        if relative(path).startswith("harness/")
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and not any(ast.unparse(base) == "Section" for base in node.bases)
    )
    assert [name for name, times in named.items() if times > 1] == []
