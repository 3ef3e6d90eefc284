"""The house as docs/design.md draws it: which way imports fall, and what every module owes its readers."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "ofar_tf"
# Each room may import from those before it.
ROOMS = (
    "text",
    "files",
    "devices",
    "tflite",
    "data",
    "models",
    "pruning",
    "tasks",
    "search",
    "training",
    "evaluation",
    "conversion",
    "checks",
    "family",
    "run",
    "shipping",
)
COMMANDS = ("train", "evaluate", "export", "select", "package", "run_matrix", "predict", "doctor", "measure_device")
# What is at the top belongs to no room: the doors, which open any of them, and the version, which any room may read.
DOORS = (*COMMANDS, "library", "flags", "console", "__main__")
VERSION = "ofar_tf._version"
MODULES = {
    ".".join(("ofar_tf", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(module: str, *, node: ast.AST | None = None, only_when_loaded: bool = False) -> Iterator[str]:
    """Yields what a module imports, by full name; with `only_when_loaded`, not what its functions import later."""
    for child in ast.iter_child_nodes(node or tree(module)):
        later = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) or _is_for_type_checkers(child)
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module}: a relative import"
            full = [f"{child.module}.{alias.name}" for alias in child.names]
            yield from (name if name in MODULES else str(child.module) for name in full)
        elif not (later and only_when_loaded):
            yield from imports(module, node=child, only_when_loaded=only_when_loaded)


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name.split(".")[0] == "ofar_tf"}


def room_of(module: str) -> str | None:
    return next((room for room in ROOMS if f"{module}.".startswith(f"ofar_tf.{room}.")), None)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_the_rooms_above_it(room: str) -> None:
    above = ROOMS[: ROOMS.index(room)]
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if room_of(module) == room
        for name in ours(module) - {VERSION}
        if room_of(name) not in (room, *above)
    ]
    assert wrong == []


def test_every_module_is_in_a_room_or_is_a_door() -> None:
    loose = {module for module in MODULES if room_of(module) is None}
    assert loose == {"ofar_tf", VERSION, *(f"ofar_tf.{door}" for door in DOORS)}


def test_the_version_imports_nothing_of_ours() -> None:
    assert ours(VERSION) == set()


def test_only_flags_and_the_commands_know_the_command_line() -> None:
    readers = {module for module in MODULES if any(name.split(".")[0] == "absl" for name in imports(module))}
    assert readers == {"ofar_tf.flags"}
    users = {module for module in MODULES if "ofar_tf.flags" in ours(module)}
    assert users == {f"ofar_tf.{command}" for command in COMMANDS}


def test_nothing_imports_a_command() -> None:
    commands = {f"ofar_tf.{command}" for command in COMMANDS}
    assert [module for module in MODULES if ours(module) & commands] == []


def test_no_imports_go_in_a_circle() -> None:
    loads = {module: set(imports(module, only_when_loaded=True)) & set(MODULES) for module in MODULES}
    done: set[str] = set()
    while ready := {module for module in set(MODULES) - done if loads[module] - {module} <= done}:
        done |= ready
    assert set(MODULES) - done == set()


def test_keras_is_never_reached_through_tensorflow() -> None:
    # tensorflow-model-optimization turns `tf.keras` into Keras 2 for the whole process.
    wrong = [
        module
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and node.attr == "keras" and isinstance(node.value, ast.Name)
        if node.value.id in ("tf", "tensorflow")
    ]
    wrong += [module for module in MODULES if any(name.startswith("tensorflow.keras") for name in imports(module))]
    assert wrong == []


def test_no_module_is_a_drawer_for_the_rest() -> None:
    names = {part for module in MODULES for part in module.split(".")}
    assert names & {"utils", "util", "helpers", "helper", "common", "misc"} == set()


def public_nodes(module: str) -> Iterator[tuple[str, ast.AST]]:
    yield module, tree(module)
    for node in tree(module).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield f"{module}.{node.name}", node
            for method in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield f"{module}.{node.name}.{method.name}", method


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_docstring(module: str) -> None:
    undocumented = [
        name
        for name, node in public_nodes(module)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and not ast.get_docstring(node)
    ]
    assert undocumented == []


def test_modules_and_functions_stay_small() -> None:
    lines = sorted(len(path.read_text().splitlines()) for path in MODULES.values())
    assert lines[len(lines) // 2] <= 130
    functions = [node for module in MODULES for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef)]
    bodies = sorted((node.end_lineno or 0) - _first_statement(node).lineno + 1 for node in functions)
    assert bodies[int(0.9 * len(bodies))] <= 35


def _first_statement(function: ast.FunctionDef) -> ast.stmt:
    return function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]


def test_every_decision_and_section_that_the_code_cites_can_be_looked_up() -> None:
    headings = (CHECKOUT / "docs" / "design.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^### (D\d+)\.", headings, re.MULTILINE))
    known |= {f"section {number}" for number in re.findall(r"^## (\d+)\.", headings, re.MULTILINE)}
    cited = {entry for path in MODULES.values() for entry in _citations(path.read_text(encoding="utf-8"))}
    assert {"D1", "D28", "section 4"} <= cited
    assert cited - known == set()
    assert known >= {f"D{number}" for number in range(1, 29)}


def _citations(text: str) -> Iterator[str]:
    """Yields what a text cites, `DESIGN D9`, `DESIGN D13, D21` or `DESIGN section 4`, also over the end of a line."""
    for found in re.finditer(r"DESIGN((?:[\s#,]+(?:and\s+|section\s+)?(?:D?\d+)\b)+)", text):
        yield from re.findall(r"D\d+", found[1])
        yield from (f"section {number}" for number in re.findall(r"section\s+(\d+)", found[1]))
