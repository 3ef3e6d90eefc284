"""Writes what documents show of the program: the table and picture of the README, the flags of every command.

    python docs/refresh.py

A test holds that nothing would change. What is written stands between marks, `<!-- name -->` and `<!-- /name -->`.
"""

import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from rich.console import Console

from ofar_tf.console import COMMANDS
from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.evaluation.pareto_figure import draw_pareto, points_of
from ofar_tf.evaluation.subnet_table import SubnetRow, print_subnets, read_subnets
from ofar_tf.files import atomic_file
from ofar_tf.run.device.device_config import DeviceConfig
from ofar_tf.run.doctor_config import DoctorConfig
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.help_text import default_of, flag_of, settings_in_groups
from ofar_tf.run.matrix.matrix_config import RunMatrixConfig
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.shipping.package_config import PackageConfig
from ofar_tf.shipping.predict_config import PredictConfig
from ofar_tf.shipping.select_config import SelectConfig
from ofar_tf.tasks.classification.accuracy import METRIC

CHECKOUT = Path(__file__).resolve().parents[1]
QUICKSTART = CHECKOUT / "results" / "fashion_mnist_mini" / "subnets.csv"
PICTURE = CHECKOUT / "docs" / "quickstart.svg"
CONFIGS = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "export": ExportConfig,
    "select": SelectConfig,
    "predict": PredictConfig,
    "package": PackageConfig,
    "run_matrix": RunMatrixConfig,
    "measure_device": DeviceConfig,
    "doctor": DoctorConfig,
}


def quickstart_rows() -> list[SubnetRow]:
    """Reads the table of the quick start, with the front that today's program finds on it."""
    rows = read_subnets(QUICKSTART, METRIC)
    front = pareto_front(rows, noise=[row.choice.noise for row in rows])
    return [dataclasses.replace(row, pareto=best) for row, best in zip(rows, front, strict=True)]


def quickstart_table() -> str:
    """Returns the table as the program prints it."""
    console = Console(width=100, record=True, file=io.StringIO())
    print_subnets(quickstart_rows(), console=console)
    printed = "\n".join(line.rstrip() for line in console.export_text().splitlines()).strip()
    return f"```\n{printed}\n```"


def flags_of(command: str) -> str:
    """Returns a table for each group of a command's settings."""
    parts = []
    for title, fields in settings_in_groups(CONFIGS[command]):
        rows = [
            f"| `{flag_of(field)}` | {_cell(default_of(field))} | {_escaped(field.metadata['help'])} |"
            for field in fields
        ]
        parts.append("\n".join([f"**{title}**", "", "| flag | default | |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return f"`{text}`" if text else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def all_flags() -> str:
    """Returns the flags of all commands."""
    return "\n\n".join(f"### ofar {name}\n\nTo {what}.\n\n{flags_of(name)}" for name, what in COMMANDS.items())


PARTS = {
    CHECKOUT / "README.md": {"table": quickstart_table},
    CHECKOUT / "docs" / "quickstart.md": {"table": quickstart_table},
    CHECKOUT / "docs" / "methods_and_options.md": {"flags": all_flags},
}


def refreshed() -> Iterator[tuple[Path, str]]:
    """Yields each page that holds something of the program's, with the text that it should have."""
    for page, parts in PARTS.items():
        text = page.read_text(encoding="utf-8")
        for name, make in parts.items():
            pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
            text, found = re.subn(pattern, lambda match: f"{match[1]}{make()}\n{match[2]}", text, flags=re.DOTALL)  # noqa: B023
            if found != 1:
                raise ValueError(f"Expected the marks of {name!r} once in {page}. Received: {found}.")
        yield page, text


def picture_source() -> str:
    """Identifies what the picture shows."""
    return f"results/fashion_mnist_mini/subnets.csv, SHA-256 {atomic_file.sha256_of(QUICKSTART)}"


def draw() -> None:
    """Draws the picture of the README."""
    figure = draw_pareto(points_of(quickstart_rows()), metric=METRIC, title="The quick start")
    with matplotlib.rc_context({"svg.hashsalt": "ofar_tf"}):  # The same picture, the same file.
        figure.savefig(PICTURE, metadata={"Date": None, "Description": picture_source()})


if __name__ == "__main__":
    for page, text in refreshed():
        page.write_text(text, encoding="utf-8")
    draw()
