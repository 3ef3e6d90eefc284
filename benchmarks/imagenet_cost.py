"""What the paper's experiments cost: `python -m benchmarks.imagenet_cost` writes `imagenet_cost.md` beside this file.

Nothing is timed here: multiply-adds are counted, and divided by the rates that experiments/README.md assumes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags as absl_flags

from ofar_tf import flags, models
from ofar_tf.pruning.budgets import parse_budgets
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.plan import PlannedStructure, plan_pool

CHECKOUT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("imagenet_cost.md")

# Recipe, classes, training images, and the rate that experiments/README.md assumes of one H100-class GPU, in TMAC/s.
EXPERIMENTS = (
    ("imagenet_mobilenet_v1", 1000, 1_281_167, 1),
    ("imagenet_mobilenet_v2", 1000, 1_281_167, 1),
    ("imagenet_resnet50", 1000, 1_281_167, 8),
    ("cifar10_wide_resnet", 10, 50_000, 8),
    ("cifar100_wide_resnet", 100, 50_000, 8),
)
FORWARD_AND_BACKWARD = 3
GPUS = 8
# Assumed share of eight GPUs' time that is not lost to waiting for each other.
SCALING = 0.9


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of all forward passes that one image goes through in a whole training.

    Attributes:
        ours: Search and joint training.
        us_net: The same sandwich without a search, at the largest resolution.
        mutual_net: The same sandwich without a search.
        structures_alone: Every structure trained alone, at the largest resolution.
        networks_alone: Every structure trained alone at every resolution: as many networks as the pool ships.
    """

    ours: float
    us_net: float
    mutual_net: float
    structures_alone: float
    networks_alone: float


def read_recipe(name: str) -> TrainConfig:
    """Reads a flagfile of `experiments/`."""
    values = absl_flags.FlagValues()
    flags.define(TrainConfig, values, module="recipe")
    path = CHECKOUT / "experiments" / f"{name}.flagfile"
    return flags.parse(TrainConfig, values, ["recipe", f"--flagfile={path}", "--run_dir=unused"])


def count(config: TrainConfig, *, classes: int) -> Cost:
    """Counts the multiply-adds of a recipe and of its rivals."""
    supernet = models.load(
        config.model,
        classes=classes,
        width_multiplier=config.width_multiplier,
        small_images=config.small_images,
    )
    resolutions = sorted(config.resolutions, reverse=True)
    groups = find_channel_groups(supernet, prune_residual_stream=config.prune_residual_stream)
    budgets = parse_budgets(pruning_rates=config.pruning_rates, macs_budgets=config.macs_budgets)
    planned = plan_pool(groups, budgets, resolutions=resolutions, rules=MaskRules())
    whole = planned[0].macs[0] / (1.0 - planned[0].macs_rate)
    every, largest = sandwich(planned, len(resolutions)), sandwich(planned, 1)
    joint = config.epochs - config.search_epochs
    # The most that a search costs: four networks of full width in every epoch but the first.
    search = whole * (1 + 4 * (config.search_epochs - 1))
    return Cost(
        ours=search + joint * every,
        us_net=config.epochs * largest,
        mutual_net=config.epochs * every,
        structures_alone=config.epochs * sum(structure.macs[0] for structure in planned),
        networks_alone=config.epochs * sum(sum(structure.macs) for structure in planned),
    )


def sandwich(planned: Sequence[PlannedStructure], resolutions: int) -> float:
    """Returns what a step costs for an image on average, its resolutions drawn from so many of the largest."""
    mean = [sum(structure.macs[:resolutions]) / resolutions for structure in planned]
    middle = mean[1:-1] or mean
    return planned[0].macs[0] + 2 * sum(middle) / len(middle) + mean[-1]


def hours(macs: float, *, images: int, rate: float) -> float:
    """Turns an image's multiply-adds into hours on one GPU."""
    return FORWARD_AND_BACKWARD * images * macs / (rate * 1e12) / 3600


def table() -> list[str]:
    """Returns the rows of the page's table."""
    rows = []
    for name, classes, images, rate in EXPERIMENTS:
        cost = count(read_recipe(name), classes=classes)
        one = {key: hours(value, images=images, rate=rate) for key, value in vars(cost).items()}
        eight = one["ours"] / GPUS / SCALING
        cells = [one["ours"], eight, one["us_net"], one["mutual_net"], one["structures_alone"], one["networks_alone"]]
        rows.append(
            f"| `{name}` | " + " | ".join(f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in cells) + " |"
        )
    return rows


HEAD = """# What the paper's experiments cost

Hours on H100-class GPUs, **derived, not measured**: the multiply-adds of every forward pass, times three for the
backward pass, divided by the sustained rates that [`experiments/README.md`](../experiments/README.md) assumes (1
TMAC/s for depthwise networks, 8 for dense ones). What was measured is that a sandwich step takes no longer than its
four networks trained alone, one after the other (see [README.md](README.md)), so multiply-adds can be added up. Good
to a factor of two, but the ratios between columns depend on multiply-adds only. Written by `python -m
benchmarks.imagenet_cost`.

| recipe | ours, 1 GPU | ours, 8 GPUs | US-Net | MutualNet | structures alone | structures x resolutions alone |
|---|---|---|---|---|---|---|
"""

FOOT = """
All columns but the second are hours on one GPU; eight GPUs are assumed to lose a tenth of their time. Ours is the
most it can be: the search is counted with four networks of full width in every epoch, and ends earlier where masks
settle earlier. Our family and MutualNet's have a network for each structure *and* resolution, as the last column;
US-Net's is trained at one resolution, as the column before it. US-Net draws its widths from a continuum, and we count
our own pool's for it.
"""


if __name__ == "__main__":
    PAGE.write_text(HEAD + "\n".join(table()) + "\n" + FOOT)
    print(PAGE.read_text())
