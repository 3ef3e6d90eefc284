"""How large a structure's file will be, before there is one."""

from dataclasses import dataclass

import keras
import numpy as np

from ofar_tf.conversion.throwaway_files import convert_throwaways
from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import MaskRules, mask_without
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.text.size import Resolution


@dataclass(frozen=True)
class FileSize:
    """The size of a network's `.tflite` file as a straight line over its parameters.

    The graph's own share does not depend on how many channels are kept, and the rest grows with the weights. Files are
    aligned, so the smaller the network, the rougher the line: 1 % for a ResNet-20, 3 % for one half as wide.

    Attributes:
        fixed: Bytes of a network without weights.
        per_parameter: Bytes of a weight.
    """

    fixed: float
    per_parameter: float

    def params_within(self, file_bytes: int) -> int:
        """Returns how many weights a file of that size has room for; at least 1."""
        return max(1, int((file_bytes - self.fixed) / self.per_parameter))


def measure_file_size(
    supernet: keras.Model, groups: ChannelGroups, *, resolution: Resolution, rules: MaskRules, precision: str = "int8"
) -> FileSize:
    """Converts the whole network, half of it and the smallest one that the rules allow, and draws a line above them.

    Args:
        supernet: The functional model; its weights do not matter.
        groups: Its channel groups.
        resolution: What files of it see.
        rules: Floor and rounding.
        precision: The kind of file, see `ofar_tf.conversion.precision.PRECISIONS`.

    Returns:
        The line.

    Raises:
        ValueError: If the rules leave nothing to prune, or the network does not convert.
    """
    costs, order = Costs(groups), np.arange(groups.size)
    masks = [mask_without(groups.groups, order, pruned, rules=rules) for pruned in (0, groups.size // 2, groups.size)]
    most, middle, least = map(costs.params, masks)
    if most == least:
        raise ValueError("Expected a floor below the channels of some group. Received: rules that keep every channel.")
    with scratch_folder("size") as scratch:
        models = [_random_model(build_subnet(supernet, groups, mask, resolution=resolution)) for mask in masks]
        files = convert_throwaways(models, scratch, precision=precision, workers=len(models))
        large, medium, small = (file.stat().st_size for file in files)
    slope = (large - small) / (most - least)
    fixed = max(large - slope * most, medium - slope * middle)
    return FileSize(fixed=fixed, per_parameter=slope)


def _random_model(subnet: keras.Model) -> keras.Model:
    """Fills a network with random weights: equal ones, such as fresh biases, would be stored in a file only once."""
    random = np.random.default_rng(0)
    subnet.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in subnet.weights])
    outputs = subnet.output
    # A classifier's file ends in a softmax, a detector's `raw` one as its network does.
    return keras.Model(
        subnet.input, outputs if isinstance(outputs, dict) else keras.layers.Softmax(dtype="float32")(outputs)
    )
