"""The notebooks as they stand; `make notebooks`, a job of its own on GitHub, executes them from start to end."""

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@EACH
def test_it_begins_with_a_badge_an_installation_and_a_switch_that_is_off(path: Path) -> None:
    first, install, *_ = ("".join(cell["source"]) for cell in cells(path))
    assert first.startswith("# ") and f"notebooks/{path.name})" in first
    assert "Restart the session now" in install
    assert code_cells(path)[1].startswith("FULL = False")


@EACH
def test_every_cell_is_code_whose_names_exist(path: Path) -> None:
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ofar_tf"):
                module = import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("ofar_tf", "ofar_tf.data"):
                assert hasattr(import_module(ast.unparse(node.value)), node.attr), ast.unparse(node)


@EACH
def test_it_is_kept_without_outputs(path: Path) -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in _executable(path))


def _executable(path: Path) -> Iterator[dict]:
    return (cell for cell in cells(path) if cell["cell_type"] == "code")


def test_the_index_has_them_all() -> None:
    index = (NOTEBOOKS[0].parent / "README.md").read_text(encoding="utf-8")
    assert all(f"({path.name})" in index for path in NOTEBOOKS)


@EACH
@pytest.mark.parametrize("in_a_clone", [True, False])
def test_its_first_cell_installs_the_clone_that_it_lies_in_and_else_the_repository(
    path: Path, in_a_clone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    monkeypatch.chdir(path.parent if in_a_clone else tmp_path)
    exec(code_cells(path)[0], {})
    ((*pip, source),) = commands
    assert pip == [sys.executable, "-m", "pip", "install", "--quiet"]
    requirement = Requirement(source.replace(str(path.parents[1]), "ofar-tf") if in_a_clone else source)
    assert requirement.name == "ofar-tf" and (requirement.url is None) == in_a_clone
    # What the cells that follow load from packages of their own.
    cells = "".join(code_cells(path))
    loaded = {"pretrained": 'pretrained="imagenet"', "detection": "--task=detection"}
    assert requirement.extras == {extra for extra, sign in loaded.items() if sign in cells}
