"""Structures of a supernet drawn at random, as different in size and shape as those a search may find."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from ofar_tf.models.functional_graph import flat_layers
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.text.size import Resolution, Size

_LEAST_SHARE, _APART = 0.1, 0.3
_BY_CHANNEL = (keras.layers.DepthwiseConv2D,)


@dataclass(frozen=True)
class DrawnStructure:
    """A structure at a resolution.

    Attributes:
        mask: The channels kept.
        resolution: What it sees.
    """

    mask: ChannelMask
    resolution: Size


def draw_structures(
    groups: ChannelGroups, *, count: int, resolutions: Sequence[Resolution], rules: MaskRules, seed: int
) -> list[DrawnStructure]:
    """Draws structures, each at one of the resolutions in turn.

    The first is the whole network at the largest resolution, the last the smallest one at the smallest: predictions of
    the others lie between. Of each other one a share of all channels is drawn, and the groups' own shares around it.

    Args:
        groups: The supernet's channel groups.
        count: How many, at least 2.
        resolutions: What they see.
        rules: Floor and rounding.
        seed: Of the draws.

    Returns:
        The structures.

    Raises:
        ValueError: If the rules leave nothing to prune.
    """
    random, sizes = np.random.default_rng(seed), sorted(map(Size.of, resolutions), reverse=True)
    whole, smallest = (_mask(groups, np.full(len(groups.groups), share), rules) for share in (1.0, 0.0))
    if whole == smallest:
        raise ValueError("Expected a floor below the channels of some group. Received: rules that keep every channel.")
    drawn = [DrawnStructure(whole, sizes[0])]
    for number in range(1, count - 1):
        shares = random.uniform(_LEAST_SHARE, 1.0) + random.uniform(-_APART, _APART, len(groups.groups))
        drawn.append(DrawnStructure(_mask(groups, shares, rules), sizes[number % len(sizes)]))
    return [*drawn, DrawnStructure(smallest, sizes[-1])]


def _mask(groups: ChannelGroups, shares: np.ndarray, rules: MaskRules) -> ChannelMask:
    keep = np.zeros(groups.size, bool)
    for group, share in zip(groups.groups, np.clip(shares, 0.0, 1.0), strict=True):
        keep[group.channels][: rules.allowed(round(share * group.size), group)] = True
    return ChannelMask(groups.groups, keep)


def random_network(supernet: keras.Model, groups: ChannelGroups, drawn: DrawnStructure, *, seed: int) -> keras.Model:
    """Builds a structure with random weights, of a size that keeps its activations near 1.

    Activations that shrink from layer to layer would end as denormal numbers, with which processors are slow.

    Args:
        supernet: The functional model; its weights do not matter.
        groups: Its channel groups.
        drawn: The structure.
        seed: Of the weights.

    Returns:
        A functional model that ends in a softmax, as exported networks do.
    """
    subnet = build_subnet(supernet, groups, drawn.mask, resolution=drawn.resolution)
    random = np.random.default_rng(seed)
    for layer in flat_layers(subnet):
        by_channel = isinstance(layer, _BY_CHANNEL)
        layer.set_weights([_like(weight, random, by_channel=by_channel) for weight in layer.weights])
    return keras.Model(subnet.input, keras.layers.Softmax(dtype="float32")(subnet.output))


def _like(weight: keras.Variable, random: np.random.Generator, *, by_channel: bool) -> np.ndarray:
    """Draws a kernel by He's rule; all else stays as in fresh layers, plus small differences that keep it apart."""
    if len(weight.shape) < 2 or "kernel" not in weight.name:
        return np.asarray(weight) + random.uniform(0.0, 0.01, weight.shape)
    fan_in = np.prod(weight.shape[:2] if by_channel else weight.shape[:-1])
    return random.normal(0.0, np.sqrt(2.0 / fan_in), weight.shape)
