"""The networks that are timed: supernets, structures cut out of them, and native networks of the same shapes."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import ofar_tf
from ofar_tf.data import resize_batch
from ofar_tf.pruning.budgets import Budget, solve_mask
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.subnet import build_subnet
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.tasks.classification.divergence import forward_kl
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.step_spec import StepSpec

CLASSES = 10
SEED = 0

NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "MobileNetV2": lambda: ofar_tf.models.mobilenet_v2(CLASSES),
    "MobileNetV2-1.5x": lambda: ofar_tf.models.mobilenet_v2(CLASSES, width_multiplier=1.5),
    "MobileNetV1-1.5x": lambda: ofar_tf.models.mobilenet_v1(CLASSES, width_multiplier=1.5),
    "ResNet-20": lambda: ofar_tf.models.cifar_resnet(CLASSES, depth=20),
    "ResNet-50": lambda: ofar_tf.models.resnet50(CLASSES),
    "WRN-28-10": lambda: ofar_tf.models.wide_resnet(CLASSES),
}


def batch(size: int, resolution: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns random images float32 `[B, R, R, 3]` and labels int64 `[B]`."""
    random = np.random.default_rng(SEED)
    images = random.uniform(0, 255, (size, resolution, resolution, 3)).astype(np.float32)
    return tf.constant(images), tf.constant(random.integers(CLASSES, size=size))


# ResNet-20's first stage has 16 channels: multiples of 8 would not allow 80 % of them to go.
RULES = {"ResNet-20": MaskRules(4, 4)}


def random_masks(model: OnceForAll, rates: Sequence[float]) -> list[ChannelMask]:
    """Returns a mask for each rate that keeps channels at random, rounded as searches do."""
    scores = np.random.default_rng(SEED).uniform(size=model.groups.size)
    return [
        solve_mask(model.groups, scores, Budget(rate=rate), resolution=model.resolutions[0], rules=model.spec.rules)
        for rate in rates
    ]


def frozen_trainer(network: str, rates: Sequence[float], resolutions: Sequence[int], **arguments: Any) -> OnceForAll:
    """Returns a compiled trainer whose structures are random ones."""
    model = OnceForAll(
        NETWORKS[network](),
        pool=PoolSpec.of(pruning_rates=rates, resolutions=resolutions, rules=RULES.get(network)),
        step=StepSpec(**arguments),
        seed=SEED,
    )
    model.compile(sgd())
    model.freeze(make_pool(model, random_masks(model, rates)))
    return model


def make_pool(model: OnceForAll, masks: Sequence[ChannelMask]) -> PrunedNetworkPool:
    """Returns a pool of masks, the largest first."""
    costs = Costs(model.groups)
    return PrunedNetworkPool(
        tuple(
            PrunedNetwork(
                name=f"structure_{index}",
                rate=mask.rate,
                mask=mask,
                macs=costs.macs(mask, model.resolutions[0]),
                params=costs.params(mask),
                frozen_at_epoch=1,
                converged=True,
            )
            for index, mask in enumerate(masks)
        )
    )


def sgd() -> keras.optimizers.Optimizer:
    """Returns the optimizer of all steps."""
    return keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)


class NativeNetwork:
    """A compact network of its own, trained alone: what an engineer would write for one structure.

    Args:
        model: The trainer whose structure it copies.
        mask: The structure.
        fused: Whether BatchNormalization runs on TensorFlow's fused kernel; if not, the layers are stock Keras 3.
        dtype_policy: Number formats of its layers, as in `build_subnet`.
    """

    def __init__(self, model: OnceForAll, mask: ChannelMask, *, fused: bool, dtype_policy: str = "float32"):
        self.network = build_subnet(model.supernet, model.groups, mask, trainable_copy=fused, dtype_policy=dtype_policy)
        self.optimizer = sgd()
        self.optimizer.build(self.network.trainable_variables)

    def gradients(self, images: tf.Tensor, target: tf.Tensor) -> list[tf.Tensor]:
        """Runs the network forward and backward on labels or another network's output."""
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(forward_kl(target, self.network(images, training=True)))
        return tape.gradient(loss, self.network.trainable_variables)

    def step(self, images: tf.Tensor, target: tf.Tensor) -> None:
        """Trains the network for one step, with an update of its own."""
        self.optimizer.apply(self.gradients(images, target), self.network.trainable_variables)

    def traced_step(self, *, compiled: bool = False) -> Callable[[tf.Tensor, tf.Tensor], None]:
        """Returns `step` as a graph: one for all sizes, or with XLA one for each."""
        if compiled:
            return tf.function(self.step, jit_compile=True, autograph=False)
        signature = [tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, CLASSES])]
        return tf.function(self.step, input_signature=signature, autograph=False)

    def wait(self) -> None:
        """Returns when its steps are done."""
        self.network.trainable_variables[-1].numpy()


class NativeSteps:
    """One training step of each structure of a pool, written natively: what the sandwich is held against.

    Args:
        model: The trainer with the pool.
        fused: As in `NativeNetwork`.
        dtype_policy: As there.
        compiled: Whether XLA compiles the steps.
    """

    def __init__(self, model: OnceForAll, *, fused: bool, dtype_policy: str = "float32", compiled: bool = False):
        self._model = model
        self._networks = [
            NativeNetwork(model, mask, fused=fused, dtype_policy=dtype_policy) for mask in model.pool.masks
        ]
        self._steps = [network.traced_step(compiled=compiled) for network in self._networks]

    def run(self, images: tf.Tensor, target: tf.Tensor) -> None:
        """Trains each network at the size that the sandwich draws for its step of the same number, and waits."""
        _, drawn = self._model._sandwich.rule.draw(tf.constant(int(self._networks[-1].optimizer.iterations)))
        for train, pixels in zip(self._steps, drawn, strict=True):
            train(resize_batch(images, int(pixels[0])), target)
        self._networks[-1].wait()

    def run_largest(self, images: tf.Tensor, target: tf.Tensor) -> None:
        """Trains the largest network alone, and waits."""
        self._steps[0](images, target)
        self._networks[0].wait()
