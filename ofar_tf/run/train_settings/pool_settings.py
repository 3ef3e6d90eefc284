"""Which structures a pool has, and how they are found."""

from collections.abc import Sequence
from dataclasses import dataclass

from ofar_tf.run.methods import METHODS
from ofar_tf.run.settings import Settings, setting
from ofar_tf.text.size import LARGEST_SIDE, Size


@dataclass(frozen=True)
class PoolSettings(Settings):
    """Which structures a pool has, and how they are found."""

    method: str = setting(
        "ofar",
        "What is trained: sets --importance, --distillation, --student_labels, --batch_norm, --networks_per_step, "
        "--weights and --training_resolutions, except those that are given.",
        choices=tuple(METHODS),
    )
    pruning_rates: tuple[float, ...] = setting((), "Shares of prunable channels to remove, one for each structure.")
    macs_budgets: tuple[int, ...] = setting(
        (), "Multiply-adds at the largest resolution, one for each structure: 504M,253M. Instead of --pruning_rates."
    )
    budgets: tuple[float, ...] = setting((), "Like --macs_budgets, but in --budget_unit. Instead of the two above.")
    budget_unit: str = setting(
        "macs",
        "What --budgets count: multiply-adds at the largest resolution, parameters, bytes of the int8 .tflite file "
        "(predicted from three conversions, to a few per cent), or milliseconds at the largest resolution on --device.",
        choices=("macs", "params", "bytes", "ms"),
    )
    device: str | None = setting(
        None,
        "What is known of a device, as ofar measure_device writes it: device.json. The latency of every structure "
        "is predicted from it.",
    )
    resolutions: tuple[int | Size, ...] = setting(
        (224, 192, 160, 128), "Input sizes in pixels: sides of squares, or HEIGHTxWIDTH.", low=1, high=LARGEST_SIDE
    )
    search_resolutions: tuple[int | Size, ...] = setting(
        (), "Input sizes during the search; by default the largest only.", low=1
    )
    training_resolutions: tuple[int | Size, ...] = setting(
        (),
        "Input sizes that joint training draws from; by default all or the largest only, as the method has it.",
        low=1,
    )
    search_epochs: int | None = setting(
        None, "Most epochs the structure search may take; by default a third of --epochs, at most 10.", low=0
    )
    similarity_threshold: float = setting(0.95, "Mask similarity above which a structure is frozen.", low=1e-6, high=1)
    similarity_patience: int = setting(1, "How many times in a row a mask must be unchanged.", low=1)
    similarity_window: int = setting(
        1, "With how many masks before it a mask is compared: 1 is the paper's, 5 Early-Bird's.", low=1
    )
    similarity_measure: str = setting(
        "raw",
        "What --similarity_threshold is held against: the cosine, or how far it is above that of random masks.",
        choices=("raw", "above_chance"),
    )
    importance: str | None = setting(
        None,
        "What ranks channels: the paper's gamma or a variant of it; kernel_norm, taylor (weight times gradient) or "
        "taylor_adaptive, for pretrained networks; or a control, uniform or random. By default as the method has it.",
        choices=(
            "gamma",
            "gamma_per_layer",
            "gamma_per_mac",
            "kernel_norm",
            "taylor",
            "taylor_adaptive",
            "uniform",
            "random",
        ),
    )
    rank_by: str = setting(
        "weights",
        "What is ranked: the weights as they are, or their moving averages, with --ema_momentum.",
        choices=("weights", "ema"),
    )
    groups: str | None = setting(
        None, "A file of channel groups, as --write_groups writes it, edited: groups to exclude, floors."
    )
    min_channels: int | None = setting(
        None, "Least channels a group keeps; by default 8, or a quarter of the group where that is less.", low=1
    )
    channel_round_to: int | None = setting(
        None,
        "Kept counts are multiples of this; by default 8, or less where that is more than a quarter of the group.",
        low=1,
    )
    prune_residual_stream: bool = setting(False, "Also prune sums and linear bottlenecks.")
    nested: bool = setting(False, "A structure keeps only channels of the larger ones.")

    def __post_init__(self) -> None:
        super().__post_init__()
        wrong = [rate for rate in self.pruning_rates if not 0.0 <= rate < 1.0]
        if wrong:
            raise ValueError(f"Expected --pruning_rates in [0, 1). Received: {wrong[0]}.")
        self._check_budgets()
        if not self.resolutions or len(set(self.resolutions)) < len(self.resolutions):
            raise ValueError(f"Expected different --resolutions, at least one. Received: {_listed(self.resolutions)}.")
        for name in ("search_resolutions", "training_resolutions"):
            sizes = getattr(self, name)
            if len(set(sizes)) < len(sizes):
                raise ValueError(f"Expected different --{name}. Received: {_listed(sizes)}.")
            if sizes and max(sizes) > max(self.resolutions):
                raise ValueError(
                    f"Expected --{name} of at most {max(self.resolutions)}, the largest resolution. "
                    f"Received: {_listed(sizes)}."
                )

    def _check_budgets(self) -> None:
        """Refuses budgets that are no amounts of their unit."""
        if self.budget_unit == "ms":
            if self.budgets and not self.device:
                raise ValueError(
                    "Expected --device, whose milliseconds --budgets are, as ofar measure_device writes "
                    "it. Received: none."
                )
            wrong = [budget for budget in self.budgets if budget <= 0]
        else:
            wrong = [budget for budget in self.budgets if budget < 1 or budget != int(budget)]
        if wrong:
            kind = "positive" if self.budget_unit == "ms" else "whole, positive"
            raise ValueError(f"Expected {kind} --budgets in {self.budget_unit}. Received: {wrong[0]:g}.")


def _listed(sizes: Sequence[int | Size]) -> str:
    return f"[{', '.join(map(str, sizes))}]"
