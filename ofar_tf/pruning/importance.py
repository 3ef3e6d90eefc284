"""How important each channel is: the criterion that masks are cut by (DESIGN D13, D21)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ofar_tf.pruning.channel_groups import ChannelGroup, ChannelGroups
from ofar_tf.pruning.costs import Costs
from ofar_tf.text.size import Resolution

BY_GAMMA = ("gamma", "gamma_per_layer", "gamma_per_mac")
BY_SENSITIVITY = ("taylor", "taylor_adaptive")
LEARNED = (*BY_GAMMA, "kernel_norm", *BY_SENSITIVITY)
CRITERIA = (*LEARNED, "uniform", "random")


def channel_importance(
    groups: ChannelGroups,
    weights: Sequence[np.ndarray],
    *,
    criterion: str = "gamma",
    resolution: Resolution | None = None,
    seed: int = 0,
    sensitivity: np.ndarray | None = None,
) -> np.ndarray:
    """Scores every prunable channel.

    Args:
        groups: The supernet's channel groups.
        weights: The values of `model.weights`; only the scales and kernels that rank a group are read.
        criterion: One of `CRITERIA`. `gamma` is the paper's (Network Slimming): the absolute BatchNorm gamma, the mean
            where several BatchNorms rank a channel. Where BatchNorm has no scale, it is the norm of the filter that
            feeds it, in units of the mean in its layer, because such a BatchNorm undoes the scale of a whole layer.
            `gamma_per_layer` divides by the group's mean, `gamma_per_mac` by the MACs the channel costs. `kernel_norm`
            is the norm of the filters that make the channel, the mean where several do, in units of the mean in their
            layer. `taylor` is how much the loss would change without the channel, to first order (Molchanov et al.,
            2019); the sum of what channels lose alone says too little of a layer that loses nearly all of them, and
            `taylor_adaptive` counts a channel by its share in what is left of its group, times the group's whole (the
            idea of Lee et al., 2021, who leave out the last factor). These and `kernel_norm` suit trained networks,
            whose gammas no penalty has pushed apart. `uniform` (the first channels, as US-Net) and `random` are the
            controls without which no gain can be credited to the ranking.
        resolution: Pixels; needed by `gamma_per_mac` only.
        seed: Seed of `random`, which is the same at every epoch.
        sensitivity: float `[channels]`, what `BY_SENSITIVITY` rank by: the sum over training steps of
            `GateSensitivity`. All channels count alike where there were none yet.

    Returns:
        float64 `[channels]`, larger is more important.

    Raises:
        ValueError: If the criterion is unknown, or `gamma_per_mac` has no resolution.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"Expected an importance of {', '.join(CRITERIA)}. Received: {criterion!r}.")
    if criterion == "random":
        return np.random.default_rng(seed).random(groups.size)
    if criterion == "uniform":
        return np.zeros(groups.size)
    if criterion in BY_SENSITIVITY:
        seen = np.zeros(groups.size) if sensitivity is None else np.asarray(sensitivity, float)
        return seen if criterion == "taylor" else _of_what_is_left(groups, seen)
    if criterion == "kernel_norm":
        return _mean_norms(groups, weights)
    gamma = _mean_absolute_gamma(groups, weights)
    if criterion == "gamma_per_mac":
        if resolution is None:
            raise ValueError("Expected a resolution for gamma_per_mac. Received: resolution=None.")
        return gamma / np.maximum(Costs(groups).macs_per_channel(resolution), 1.0)
    if criterion == "gamma_per_layer":
        for group in groups.groups:
            gamma[group.channels] /= max(gamma[group.channels].mean(), np.finfo(float).tiny)
    return gamma


def _of_what_is_left(groups: ChannelGroups, scores: np.ndarray) -> np.ndarray:
    """Returns scores that rise as their group empties: each by the group's sum over that of the ones no smaller."""
    adapted = np.zeros(groups.size)
    for group in groups.groups:
        own = scores[group.channels]
        falling = np.argsort(-own, kind="stable")
        left = np.maximum(np.cumsum(own[falling]), np.finfo(float).tiny)
        adapted[group.start + falling] = own[falling] * own.sum() / left
    return adapted


def _mean_absolute_gamma(groups: ChannelGroups, weights: Sequence[np.ndarray]) -> np.ndarray:
    total, count = np.zeros(groups.size + 1), np.zeros(groups.size + 1)
    for index in sorted({gamma for group in groups.groups for gamma in group.gammas}):
        channels = groups.weights[index].axes[0]
        np.add.at(total, channels, np.abs(np.asarray(weights[index], float)))
        np.add.at(count, channels, 1)
    scores = (total / np.maximum(count, 1))[:-1]
    for group in groups.groups:
        if group.kernels:
            scores[group.channels] = np.mean(
                [
                    _relative_norms(groups, group, weights[index], weight=index, axis=axis)
                    for index, axis in group.kernels
                ],
                axis=0,
            )
    return scores


def _mean_norms(groups: ChannelGroups, weights: Sequence[np.ndarray]) -> np.ndarray:
    scores = np.zeros(groups.size)
    for group in groups.groups:
        made_by = [
            (index, axis)
            for index, entry in enumerate(groups.weights)
            for axis in entry.feeds
            if np.isin(np.arange(group.start, group.start + group.size), entry.axes.get(axis, ())).all()
        ]
        norms = [_relative_norms(groups, group, weights[index], weight=index, axis=axis) for index, axis in made_by]
        scores[group.channels] = np.mean(norms, axis=0)
    return scores


def _relative_norms(
    groups: ChannelGroups, group: ChannelGroup, kernel: np.ndarray, *, weight: int, axis: int
) -> np.ndarray:
    """Returns float `[group.size]`: the root of the mean square of each channel's filters, in units of their mean."""
    filters = np.moveaxis(np.asarray(kernel, float), axis, 0).reshape(kernel.shape[axis], -1)
    total, count = np.zeros(groups.size + 1), np.zeros(groups.size + 1)
    channels = groups.weights[weight].axes[axis]
    np.add.at(total, channels, (filters**2).sum(axis=1))
    np.add.at(count, channels, 1)
    norms = np.sqrt(total[group.channels] / count[group.channels])
    return norms / max(norms.mean(), np.finfo(float).tiny)


def set_gammas(supernet: Any, groups: ChannelGroups, value: float) -> None:
    """Gives all ranked gammas one value to start from, as Network Slimming does with 0.5 (DESIGN D27).

    Args:
        supernet: The model that the groups were found in.
        groups: Its channel groups.
        value: The value, above 0.

    Raises:
        ValueError: If it is not.
    """
    if not 0.0 < value < float("inf"):
        raise ValueError(f"Expected a positive gamma to start from. Received: gamma_init={value}.")
    for index in {gamma for group in groups.groups for gamma in group.gammas}:
        weight = supernet.weights[index]
        weight.assign(np.full(weight.shape, value))
