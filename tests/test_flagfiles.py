"""Every recipe is a run that could start now: its flags, its model, its budgets and its header fit together."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import keras
import pytest
import tensorflow as tf

from ofar_tf.data import ImageDataset
from ofar_tf.pruning.budgets import parse_budgets
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.run.experiment import Experiment
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.plan import PlannedStructure, plan_pool

CHECKOUT = Path(__file__).parents[1]
EXPERIMENTS = sorted((CHECKOUT / "experiments").glob("*.flagfile"))
EXPORTS = sorted((CHECKOUT / "export").glob("*.flagfile"))
HEADERS = {path.stem: path.read_text().split("\n\n", 1)[0] for path in EXPERIMENTS}
VARIANTS = {
    name: found[1].split(" with ")
    for name, header in HEADERS.items()
    if (found := re.search(r"^# Base:     (.*)$", header, re.MULTILINE))
}
CLASSES = {"cifar100": 100, "imagenet2012": 1000, "coco/2017": 80}  # Ten in every other set.
# As many as ImageNet in every other set.
TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "coco/2017": 118_287}
# In millions: the multiply-adds of the whole network (DESIGN section 2), then the columns called FLOPs in the paper's
# Tables 1, 2, 4 and 5 and in Section 4.1; None where it has no number.
PUBLISHED = {
    "imagenet_mobilenet_v1": (1258, 570, None, None, 50),
    "imagenet_mobilenet_v2": (673, 504, 253, 209, 179, 107),
    "imagenet_mobilenet_v2_largest_rate_0.6": (673, 504, 253),
    "imagenet_resnet50": (4089, 2800, 1700, 1000),
    "cifar10_wide_resnet": (5243, None, 828, None),
    "cifar100_wide_resnet": (5243, None, 1022, None),
}


def named(path: Path) -> str:
    return path.stem


def absent_data_set(name: str) -> ImageDataset:
    """A data set whose description alone is there, as large as ImageNet."""
    return ImageDataset(
        name=name,
        class_names=tuple(str(index) for index in range(CLASSES.get(name, 10))),
        split_sizes={"train": TRAINING_IMAGES.get(name, 1_281_167), "validation": 50_000, "test": 10_000},
        read=lambda split, start, stop: tf.data.Dataset.range(start, stop),
        decode=lambda record: record,
    )


@dataclass(frozen=True)
class Plan:
    """What `--plan` shows of a recipe, and the multiply-adds of the whole network at the largest resolution."""

    structures: list[PlannedStructure]
    whole: int


def find_groups(config: TrainConfig) -> ChannelGroups:
    """Builds the model of a recipe, without its data set."""
    # Weights that others trained change no multiply-adds, and may not be installed; nor do anchors, which need boxes.
    experiment = Experiment(dataclasses.replace(config, pretrained="none", anchor_scale=1.0))
    experiment.images.dataset = absent_data_set(config.dataset)
    with keras.StatelessScope(initialize_variables=False):  # Only shapes are wanted.
        return experiment.find_groups(experiment.build_supernet())


@pytest.fixture(scope="module")
def plan() -> Callable[[TrainConfig], Plan]:
    """Plans the pool of a recipe. Recipes of one network share its groups: building all anew takes a minute."""
    built: dict[Any, ChannelGroups] = {}

    @cache
    def made(config: TrainConfig) -> Plan:
        network = (config.model, config.width_multiplier, config.dataset, config.prune_residual_stream)
        if network not in built:
            built[network] = find_groups(config)
        groups = built[network]
        resolutions = sorted(config.resolutions, reverse=True)
        budgets = parse_budgets(pruning_rates=config.pruning_rates, macs_budgets=config.macs_budgets)
        rules = MaskRules(config.min_channels, config.channel_round_to)
        whole = Costs(groups).macs(ChannelMask.full(groups), resolutions[0])
        return Plan(plan_pool(groups, budgets, resolutions=resolutions, rules=rules), whole)

    return made


@pytest.fixture(scope="module")
def recipe(parse_command: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    """Reads an experiment by its name, with flags after it."""

    def read(name: str, *overrides: str) -> TrainConfig:
        path = CHECKOUT / "experiments" / f"{name}.flagfile"
        return parse_command(TrainConfig, f"--flagfile={path}", "--run_dir=r", *overrides)

    return read


def test_there_are_recipes() -> None:
    assert set(PUBLISHED) < set(HEADERS)
    assert len(VARIANTS) == 5 + 2  # Table 5 has six rows, Table 3 three methods; the first is the base of the others.
    assert EXPORTS


@pytest.mark.parametrize("name", HEADERS)
def test_a_recipe_opens_with_its_claim_command_and_cost(name: str) -> None:
    text = HEADERS[name]
    assert all(line.startswith("#") and len(line) <= 120 for line in text.splitlines())
    assert text.index("# Claim: ") < text.index("# Command: ") < text.index("# Cost: ") < text.index("# Expected: ")
    assert f"ofar train --flagfile=experiments/{name}.flagfile " in text


def test_the_index_has_a_row_for_every_recipe() -> None:
    index = CHECKOUT / "experiments" / "README.md"
    rows = re.findall(r"^\| `([^`]+)` \|", index.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted([*HEADERS, *(path.name for path in index.parent.glob("*.toml"))])


@pytest.mark.parametrize("path", [*EXPERIMENTS, *EXPORTS], ids=named)
def test_a_recipe_holds_one_flag_or_comment_on_a_line(path: Path) -> None:
    # absl makes a comment behind a flag part of its value, and an indented comment an argument; a flagfile inside a
    # flagfile would be looked for in the current directory.
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(line.startswith("--") and " #" not in line for line in lines)
    names = [line.removeprefix("--").partition("=")[0] for line in lines]
    assert len(set(names)) == len(names)
    assert not {"run_dir", "data_dir", "flagfile"} & set(names)


@pytest.mark.parametrize("name", HEADERS)
def test_a_recipe_gives_a_model_and_budgets_that_can_be_met(
    name: str, recipe: Callable[..., TrainConfig], plan: Callable[[TrainConfig], Plan]
) -> None:
    config = recipe(name)
    structures = plan(config).structures
    assert len(structures) == len(config.pruning_rates or config.macs_budgets)
    assert all(len(structure.macs) == len(config.resolutions) for structure in structures)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_its_base_but_for_the_flags_it_names(name: str, recipe: Callable[..., TrainConfig]) -> None:
    base, change = VARIANTS[name]
    assert recipe(name) == recipe(base, change) != recipe(base)


@pytest.mark.parametrize("name", PUBLISHED)
def test_structures_cost_what_the_paper_prints(
    name: str, recipe: Callable[..., TrainConfig], plan: Callable[[TrainConfig], Plan]
) -> None:
    planned = plan(recipe(name))
    millions = [count / 1e6 for count in (planned.whole, *(structure.macs[0] for structure in planned.structures))]
    for ours, printed in zip(millions, PUBLISHED[name], strict=True):
        # 2.8G is printed with two digits, and a rate is not a number of multiply-adds.
        assert printed is None or ours == pytest.approx(printed, rel=0.021)


@pytest.mark.parametrize("name", [name for name, header in HEADERS.items() if "Not run" in header])
def test_the_cost_in_a_header_follows_from_the_plan(
    name: str, recipe: Callable[..., TrainConfig], plan: Callable[[TrainConfig], Plan]
) -> None:
    pattern = r"# Cost:     (\d+) PMACs at an assumed (\d) TMAC/s: about ([\d.]+) (days|hours) on"
    found = re.search(pattern, HEADERS[name])
    assert found
    config = recipe(name)
    assert int(found[1]) == round(training_macs(plan(config), config) / 1e15)
    seconds = {"days": 86_400, "hours": 3_600}[found[4]]
    assert float(found[3]) == pytest.approx(int(found[1]) * 1e3 / int(found[2]) / seconds, rel=0.05)


def training_macs(planned: Plan, config: TrainConfig) -> float:
    """The multiply-adds that a run is expected to take at most, as experiments/README.md derives them."""
    images = TRAINING_IMAGES.get(config.dataset, 1_281_167) // config.batch_size * config.batch_size
    at_random = [mean(structure.macs) for structure in planned.structures]
    sandwich = planned.structures[0].macs[0] + 2 * mean(at_random[1:-1] or at_random) + at_random[-1]
    whole_networks = 1 + 4 * (config.search_epochs - 1)
    return 3 * images * (whole_networks * planned.whole + (config.epochs - config.search_epochs) * sandwich)


@pytest.mark.parametrize("path", EXPORTS, ids=named)
def test_an_export_recipe_is_understood_and_says_its_command(
    path: Path, parse_command: Callable[..., ExportConfig]
) -> None:
    assert f"# Command:  ofar export --run_dir=RUN --flagfile=export/{path.name}\n" in path.read_text()
    config = parse_command(ExportConfig, "--run_dir=r", f"--flagfile={path}")
    assert config.run_dir == "r"
    assert config.precisions == (path.stem,)
