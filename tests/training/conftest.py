"""One tiny supernet, its masks, and images for it."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.step_spec import StepSpec

CLASSES = 3


def build_supernet(*, dropout: float = 0.0, seed: int = 0) -> keras.Model:
    """Eight channels through a depthwise convolution, then six, all prunable; betas and statistics are not 0."""
    layers, random = keras.layers, np.random.default_rng(seed)
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="depthwise_bn")(x))
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="last")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="last_bn")(x))
    x = layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    supernet = keras.Model(image, layers.Dense(CLASSES, name="logits")(x))
    for weight in supernet.weights:
        if "seed" not in weight.path:
            positive = weight.name in ("gamma", "moving_variance")
            weight.assign(random.uniform(0.5, 1.5, weight.shape) if positive else random.normal(0, 0.4, weight.shape))
    return supernet


def build_trainer(supernet: keras.Model | None = None, **arguments: Any) -> OnceForAll:
    """A trainer of four structures (or as many as rates are given), not compiled.

    Its arguments are the fields of the pool, of the step and of the task, and the seed.
    """
    supernet = supernet or build_supernet()

    def taken(kind: Any) -> dict[str, Any]:
        return {name: arguments.pop(name) for name in inspect.signature(kind).parameters if name in arguments}

    pool = {"pruning_rates": [0.0, 0.25, 0.4, 0.6], "resolutions": [8, 12], "rules": MaskRules(1, 1)}
    step = {"weight_decay": 0.0, "gamma_l1": 0.0, "search_networks": "sandwich"}
    return OnceForAll(
        supernet,
        pool=PoolSpec.of(**{**pool, **taken(PoolSpec.of)}),
        step=StepSpec(**{**step, **taken(StepSpec)}),
        task=Classification(classes=supernet.output_shape[-1], **taken(Classification)),
        **arguments,
    )


def draw_masks(model: OnceForAll, *, seed: int = 0) -> list[ChannelMask]:
    """One random mask per budget that keeps about as much as the budget says, in both groups."""
    random, masks = np.random.default_rng(seed), []
    for budget in model.budgets:
        keep = np.zeros(model.groups.size, bool)
        for group in model.groups.groups:
            kept = max(1, round(group.size * (1 - budget.rate)))
            keep[group.start + random.choice(group.size, kept, replace=False)] = True
        masks.append(ChannelMask(model.groups.groups, keep))
    return masks


def make_pool(model: OnceForAll, masks: list[ChannelMask]) -> PrunedNetworkPool:
    """A pool of masks that are ordered by cost."""
    costs = Costs(model.groups)
    return PrunedNetworkPool(
        tuple(
            PrunedNetwork(
                name=budget.name,
                rate=mask.rate,
                mask=mask,
                macs=costs.macs(mask, model.resolutions[0]),
                params=costs.params(mask),
                frozen_at_epoch=1,
                converged=True,
            )
            for budget, mask in zip(model.budgets, masks, strict=True)
        )
    )


@pytest.fixture(scope="session")
def supernet_builder() -> Callable[..., keras.Model]:
    return build_supernet


@pytest.fixture(scope="session")
def trainer_builder() -> Callable[..., OnceForAll]:
    return build_trainer


@pytest.fixture(scope="session")
def mask_drawer() -> Callable[..., list[ChannelMask]]:
    return draw_masks


@pytest.fixture(scope="session")
def pool_maker() -> Callable[..., PrunedNetworkPool]:
    return make_pool


@pytest.fixture(scope="session")
def batch() -> tuple[np.ndarray, np.ndarray]:
    """Ten images of 12 pixels, whose brightness tells the class."""
    random = np.random.default_rng(1)
    labels = np.arange(10) % CLASSES
    images = random.uniform(0, 85, (10, 12, 12, 3)) + 85.0 * labels[:, None, None, None]
    return images.astype(np.float32), labels


@pytest.fixture(scope="session")
def groups() -> Any:
    return find_channel_groups(build_supernet())
