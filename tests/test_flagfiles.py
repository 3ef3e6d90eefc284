"""Every recipe is a run that could start now: its flags, its model and its budgets fit together."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from ofar_tf.config import ExportConfig, TrainConfig
from ofar_tf.data import ImageDataset
from ofar_tf.experiment import Experiment

CHECKOUT = Path(__file__).parents[1]
EXPERIMENTS = sorted((CHECKOUT / "experiments").glob("*.flagfile"))
EXPORTS = sorted((CHECKOUT / "export").glob("*.flagfile"))
CLASSES = {"cifar100": 100, "imagenet2012": 1000}  # Ten in every other set.


def named(path: Path) -> str:
    return path.stem


def absent_data_set(name: str) -> ImageDataset:
    """A data set whose description alone is there, as large as ImageNet."""
    return ImageDataset(
        name=name,
        class_names=tuple(str(index) for index in range(CLASSES.get(name, 10))),
        split_sizes={"train": 1_281_167, "validation": 50_000, "test": 10_000},
        read=lambda split, start, stop: tf.data.Dataset.range(start, stop),
        decode=lambda record: record,
    )


def test_there_are_recipes() -> None:
    assert EXPERIMENTS
    assert EXPORTS


@pytest.mark.parametrize("path", EXPERIMENTS, ids=named)
def test_a_recipe_opens_with_its_claim_command_and_cost(path: Path) -> None:
    header = path.read_text().split("\n\n", 1)[0].splitlines()
    assert all(line.startswith("#") for line in header)
    text = "\n".join(header)
    assert text.index("# Claim: ") < text.index("# Command: ") < text.index("# Cost: ") < text.index("# Expected: ")
    assert f"python -m ofar_tf.train --flagfile=experiments/{path.name} " in text


@pytest.mark.parametrize("path", [*EXPERIMENTS, *EXPORTS], ids=named)
def test_a_recipe_holds_one_flag_or_comment_on_a_line(path: Path) -> None:
    # absl makes a comment behind a flag part of its value, and an indented comment an argument.
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(line.startswith("--") and " #" not in line for line in lines)
    names = [line.removeprefix("--").partition("=")[0] for line in lines]
    assert len(set(names)) == len(names)
    assert not {"run_dir", "data_dir", "flagfile"} & set(names)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=named)
def test_a_recipe_gives_a_model_and_budgets_that_can_be_met(
    path: Path, parse_command: Callable[..., TrainConfig]
) -> None:
    config = parse_command(TrainConfig, f"--flagfile={path}", "--run_dir=r")
    experiment = Experiment(config)
    experiment.dataset = absent_data_set(config.dataset)
    trainer = experiment.build_trainer(experiment.build_supernet())
    assert len(trainer.budgets) == len(config.pruning_rates or config.macs_budgets)
    assert trainer.resolutions == tuple(sorted(config.resolutions, reverse=True))


@pytest.mark.parametrize("path", EXPORTS, ids=named)
def test_an_export_recipe_is_understood_and_says_its_command(
    path: Path, parse_command: Callable[..., ExportConfig]
) -> None:
    assert f"# Command:  python -m ofar_tf.export --run_dir=RUN --flagfile=export/{path.name}\n" in path.read_text()
    config = parse_command(ExportConfig, "--run_dir=r", f"--flagfile={path}")
    assert config.run_dir == "r"
    assert config.precisions == (path.stem,)
