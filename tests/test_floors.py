"""Arrows between the rooms of the package go down only, as docs/architecture.md draws them."""

import ast
import re
from pathlib import Path

import pytest

import stream_audio

ROOT = Path(__file__).parents[1]
PACKAGE = Path(stream_audio.__file__).parent  # an installed one too
ARCHITECTURE = ROOT / "docs" / "architecture.md"
MOST_FLAT = 16


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def room_of(module):
    """Return the folder of a module, or the module itself where it lies flat."""
    inner = module.removeprefix("stream_audio").lstrip(".")
    if inner == "__main__":
        return "cli"  # `python -m stream_audio` is another name for it
    return inner.split(".")[0] or "__init__"


def imported(module):
    """Yield all that a module imports of the package, wherever in it the statement stands."""
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for each in node.names:
                full = f"{node.module}.{each.name}"
                yield full if full in MODULES else node.module
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively, which this test cannot follow"


def arrows():
    """Return which rooms each room imports, itself aside."""
    found = {room_of(module): set() for module in MODULES}
    for module in MODULES:
        found[room_of(module)] |= {room_of(each) for each in imported(module)}
    return {room: others - {room} for room, others in found.items()}


def table():
    """Return the rows of the table of floors, from the top: rooms, and what each imports."""
    text = ARCHITECTURE.read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|[^|]*\| ([^|]*) \|$", text, re.MULTILINE)
    return [(int(floor), room, set(re.findall(r"`(\w+)`", uses))) for floor, room, uses in rows]


ARROWS = arrows()
TABLE = table()
FLOORS = {room: floor for floor, room, _ in TABLE}


def test_each_room_stands_in_the_table_once():
    assert sorted(room for _, room, _ in TABLE) == sorted(ARROWS)


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_arrows_go_down_only(room):
    up = {other for other in ARROWS[room] if FLOORS[other] >= FLOORS[room]}
    assert not up, f"{room} imports {sorted(up)}, which do not stand below it"


@pytest.mark.parametrize(("room", "claimed"), [(room, uses) for _, room, uses in TABLE])
def test_imports_bear_out_what_the_table_claims(room, claimed):
    assert claimed <= ARROWS[room]


def test_few_modules_lie_flat():
    flat = [module for module in MODULES if module.count(".") == 1 and module not in packages()]
    assert len(flat) <= MOST_FLAT, flat


# ---- what can be read in one sitting ----

MOST = {"attributes": 25, "methods": 30, "lines": 450}
"""Of any class, the router too: what is more does several things."""


def classes():
    """Yield each class of the package, with its module."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield module, node


def size(node):
    """Return how much there is of a class."""
    own = {each.target.id for each in node.body if isinstance(each, ast.AnnAssign)}
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
            own |= {each.attr} if ast.unparse(each.value) == "self" else set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        "attributes": len(own),
        "methods": sum(isinstance(each, functions) for each in node.body),
        "lines": node.end_lineno - node.lineno + 1,
    }


def test_every_class_can_be_read_in_one_sitting():
    for module, node in classes():
        found = size(node)
        assert all(found[what] <= MOST[what] for what in MOST), (module, node.name, found)


def test_the_size_of_a_class_is_counted():
    source = "class A:\n a: int\n def f(self):\n  self.b = self.c = self.a.d = 1\n"
    assert size(ast.parse(source).body[0]) == {"attributes": 3, "methods": 1, "lines": 4}


def booleans(node):
    """Return the attributes of a class that are said to be true or false."""
    found = set()
    for each in ast.walk(node):
        if not isinstance(each, (ast.Assign, ast.AnnAssign)):
            continue
        is_said = isinstance(each.value, ast.Constant) and isinstance(each.value.value, bool)
        if is_said or (isinstance(each, ast.AnnAssign) and ast.unparse(each.annotation) == "bool"):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            found |= {
                target.attr
                for target in targets
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
            }
    return found


def test_no_class_keeps_three_booleans_about_its_own_life():
    """Eight combinations of them can be written, and few of those can be; so it is an enum."""
    for module, node in classes():
        assert len(booleans(node)) < 3, (module, node.name, booleans(node))


def test_booleans_are_counted():
    source = "class A:\n def f(self):\n  self.a = True\n  self.b: bool = g()\n  self.c = 1\n"
    assert booleans(ast.parse(source).body[0]) == {"a", "b"}


def reached_into(tree, whole):
    """Return where something reaches into a part of ``whole``: ``whole.part.of_the_part``."""
    inner = [each.value for each in ast.walk(tree) if isinstance(each, ast.Attribute)]
    parts = [each for each in inner if isinstance(each, ast.Attribute)]
    return [
        ast.unparse(each) for each in parts if ast.unparse(each.value) in (whole, f"self._{whole}")
    ]


@pytest.mark.parametrize(
    "module", ["builder", "session", "live.sink_handle", "live.sources", "starting"]
)
def test_what_a_user_holds_reaches_into_no_part_of_the_engine(module):
    tree = ast.parse(MODULES[f"stream_audio.{module}"].read_text("utf-8"))
    assert reached_into(tree, "engine") == []


def test_reaching_into_a_part_is_found():
    tree = ast.parse("engine.stop()\nself._engine.router.stop()\nengine.roster.sinks[0]\n")
    assert len(reached_into(tree, "engine")) == 2


def packages():
    return {module for module, path in MODULES.items() if path.name == "__init__.py"}
