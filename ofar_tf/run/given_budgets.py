"""What structures may cost, by whichever flag said it."""

from collections.abc import Sequence

import keras

from ofar_tf.conversion.file_size import measure_file_size
from ofar_tf.pruning.budgets import Budget
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.text.size import Size


def given_budgets(
    config: TrainConfig,
    supernet: keras.Model,
    groups: ChannelGroups,
    *,
    size: Size,
    rules: MaskRules,
    found: Sequence[ChannelMask],
) -> list[Budget]:
    """Returns the budgets of a run, one for each that was given; none where none was.

    Args:
        config: The settings of the run.
        supernet: Its network, which is converted where budgets are bytes.
        groups: The network's channel groups.
        size: The largest resolution.
        rules: What every mask must respect.
        found: Structures that are known: their multiply-adds are the budgets then.
    """
    if found:
        costs = Costs(groups)
        return [Budget(macs=costs.macs(mask, size)) for mask in found]
    if config.pruning_rates or config.macs_budgets:
        rates, macs = config.pruning_rates, config.macs_budgets
        return [*(Budget(rate=rate) for rate in rates), *(Budget(macs=count) for count in macs)]
    if config.budget_unit == "ms":
        return [Budget(ms=amount) for amount in config.budgets]
    counts = [int(amount) for amount in config.budgets]
    if config.budget_unit == "macs" or not counts:
        return [Budget(macs=count) for count in counts]
    if config.budget_unit == "params":
        return [Budget(params=count) for count in counts]
    file_size = measure_file_size(supernet, groups, resolution=size, rules=rules)
    return [Budget(params=file_size.params_within(count), file_bytes=count) for count in counts]
