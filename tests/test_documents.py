"""What documents say holds: links lead somewhere, flags and names exist, and output is what the program prints."""

import ast
import csv
import dataclasses
import inspect
import io
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import ofar_tf
from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.evaluation.subnet_table import SubnetRow, print_subnets
from ofar_tf.run.doctor_config import DoctorConfig
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.matrix.matrix_config import RunMatrixConfig
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.shipping.package_config import PackageConfig
from ofar_tf.shipping.predict_config import PredictConfig
from ofar_tf.shipping.select_config import SelectConfig
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.task import Evaluator, Scores, Task
from ofar_tf.text.size import Size

CHECKOUT = Path(__file__).parents[1]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
OTHERS = [CHECKOUT / folder / "README.md" for folder in ("benchmarks", "experiments", "export", "results")]
CONFIGS = (
    TrainConfig,
    EvaluateConfig,
    ExportConfig,
    SelectConfig,
    PackageConfig,
    RunMatrixConfig,
    PredictConfig,
    DoctorConfig,
)
# Every command has the first two; the third is TensorBoard's.
FURTHER_FLAGS = {"help", "flagfile", "logdir"}
PUBLIC = ("ofar_tf", "ofar_tf.data", "ofar_tf.models")


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def python_blocks(page: Path) -> Iterator[str]:
    return map(textwrap.dedent, re.findall(r"^```python\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_every_link_leads_to_a_page_and_a_heading_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_every_file_of_ours_that_is_named_exists(page: Path) -> None:
    for path in re.findall(r"`((?:\w+/)+\w+\.(?:py|md|toml|flagfile))`", text_of(page)):
        assert any((root / path).exists() for root in (CHECKOUT, CHECKOUT / "ofar_tf")), path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_flag_that_is_shown_exists(page: Path) -> None:
    known = FURTHER_FLAGS | {field.name for config in CONFIGS for field in dataclasses.fields(config)}
    lines = [line for line in text_of(page).splitlines() if not line.startswith("#SBATCH")]
    shown = set(re.findall(r"(?<![\w-])--([a-z]\w*)(?![\w-])", "\n".join(lines)))
    assert shown - known == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_is_shown_exists(page: Path) -> None:
    for module in re.findall(r"python -m (ofar_tf\.\w+)", text_of(page)):
        assert (CHECKOUT / module.replace(".", "/")).with_suffix(".py").exists()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_that_is_shown_uses_names_that_exist(page: Path) -> None:
    for block in python_blocks(page):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ofar_tf"):
                module = import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in PUBLIC:
                assert hasattr(import_module(ast.unparse(node.value)), node.attr), ast.unparse(node)


def test_the_values_of_the_long_form_are_as_the_readme_writes_them() -> None:
    block = next(block for block in python_blocks(CHECKOUT / "README.md") if "PoolSpec" in block)
    names: dict[str, Any] = {"ofar_tf": ofar_tf}
    exec(block.split("model = ")[0], names)
    kinds = [type(names[name]).__name__ for name in ("pool", "step", "task")]
    assert kinds == ["PoolSpec", "StepSpec", "Classification"]
    assert {"pool", "step", "task"} <= set(inspect.signature(ofar_tf.OnceForAll).parameters)


def test_worked_examples_are_short() -> None:
    for block in python_blocks(CHECKOUT / "docs" / "extending.md"):
        assert sum(bool(line) for line in block.splitlines()) < 40


def test_the_task_that_is_shown_has_all_that_a_task_needs() -> None:
    block = next(block for block in python_blocks(CHECKOUT / "docs" / "extending.md") if "Regression" in block)
    names: dict[str, Any] = {}
    exec(block, names)
    assert {name for name in vars(Task) if not name.startswith("_")} <= set(dir(names["Regression"]()))
    assert {name for name in vars(Evaluator) if not name.startswith("_")} <= set(dir(names["MeanSquaredError"]()))


def test_the_readme_shows_the_table_that_the_program_prints() -> None:
    with (CHECKOUT / "results" / "fashion_mnist_mini" / "subnets.csv").open(newline="") as file:
        rows = [_row(cells) for cells in csv.DictReader(file)]
    front = pareto_front(rows, noise=[row.choice.noise for row in rows])
    rows = [dataclasses.replace(row, pareto=best) for row, best in zip(rows, front, strict=True)]
    console = Console(width=100, record=True, file=io.StringIO())
    print_subnets(rows, console=console)
    printed = "\n".join(line.rstrip() for line in console.export_text().splitlines()).strip()
    assert printed in text_of(CHECKOUT / "README.md")


def _row(cells: dict[str, str]) -> SubnetRow:
    return SubnetRow(
        structure=cells["structure"],
        rate=float(cells["rate"]),
        resolution=Size.parse(cells["resolution"]),
        macs=int(cells["macs"]),
        params=int(cells["params"]),
        scores=Scores(METRIC, {name: float(cells[name]) for name in METRIC.columns}, int(cells["images"])),
    )
