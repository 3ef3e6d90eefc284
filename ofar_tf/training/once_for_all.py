"""The model that trains a whole family of networks at once."""

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.pruning.budgets import Budget, check_budgets, parse_budgets
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.importance import LEARNED
from ofar_tf.pruning.slicing import gates_of
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.search.mask_solver import MaskSolver
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool
from ofar_tf.training.distillation import DIVERGENCES, forward_kl, reverse_kl
from ofar_tf.training.network_functions import NetworkFunctions, NetworkPass
from ofar_tf.training.regularization import Regularization
from ofar_tf.training.sandwich import NETWORKS, SandwichRule

_ROLES = ("teacher", "assistant_1", "assistant_2", "student")


class OnceForAll(keras.Model):
    """Trains a supernet so that every structure of a pool is a good network at every resolution.

    Add `MaskSearch` to the callbacks of `fit`: until it has frozen the structures, each step runs masked networks at
    the search resolutions; from then on it runs compact ones.

    Args:
        supernet: A functional Keras model, images `[B, R, R, 3]` in, logits `[B, K]` out. Its variables are trained in
            place.
        pruning_rates: Shares of prunable channels to remove, in [0, 1), at least two; or
        macs_budgets: multiply-adds at the largest resolution, at least two; or
        budgets: budgets of any kind, at least two. Exactly one of the three.
        resolutions: Input sizes in pixels, in any order.
        search_resolutions: Input sizes during the search; the largest only by default (DESIGN D23).
        importance: Criterion that ranks channels, see `channel_importance`.
        rules: Floor and rounding of kept channels.
        prune_residual_stream: Whether sums and linear bottlenecks may be pruned (DESIGN D10).
        excluded_groups: Names of channel groups that must not be pruned.
        nested: Whether a structure keeps only channels of the larger ones (DESIGN D16).
        gamma_l1: Weight of the L1 penalty on ranked gammas during the search (DESIGN D14).
        weight_decay: Weight of the L2 penalty, added to the gradient, on convolution and dense kernels only.
        divergence: `forward` or `reverse` KL between teacher and student (DESIGN D3).
        seed: Seed of all draws.

    Raises:
        ValueError: If an argument makes no sense for this supernet.
    """

    def __init__(
        self,
        supernet: keras.Model,
        *,
        pruning_rates: Sequence[float] = (),
        macs_budgets: Sequence[int] = (),
        budgets: Sequence[Budget] = (),
        resolutions: Sequence[int],
        search_resolutions: Sequence[int] = (),
        importance: str = "gamma",
        rules: MaskRules | None = None,
        prune_residual_stream: bool = False,
        excluded_groups: Collection[str] = (),
        nested: bool = False,
        gamma_l1: float = 1e-4,
        weight_decay: float = 1e-4,
        divergence: str = "forward",
        seed: int = 0,
    ):
        super().__init__(name="once_for_all")
        _check_choices(divergence=divergence, gamma_l1=gamma_l1, weight_decay=weight_decay)
        self.supernet = supernet
        self.budgets = (
            check_budgets(budgets) if budgets else parse_budgets(pruning_rates=pruning_rates, macs_budgets=macs_budgets)
        )
        self.resolutions = tuple(sorted(resolutions, reverse=True))
        self.importance = importance
        self.nested = nested
        self.rules = rules or MaskRules()
        self.seed = seed
        self.groups = find_channel_groups(
            supernet, prune_residual_stream=prune_residual_stream, excluded=excluded_groups
        )
        self.costs = Costs(self.groups)
        self.pool: PrunedNetworkPool | None = None
        search_sizes = tuple(sorted(search_resolutions, reverse=True)) or self.resolutions[:1]
        self._search_rule = SandwichRule(len(self.budgets), search_sizes, seed)
        self._joint_rule = SandwichRule(len(self.budgets), self.resolutions, seed)
        if search_sizes[0] > self.resolutions[0]:
            raise ValueError(
                f"Expected search resolutions of at most {self.resolutions[0]}, the largest resolution. "
                f"Received: {list(search_sizes)}."
            )
        self._regularization = Regularization(
            supernet, self.groups, weight_decay=weight_decay, gamma_l1=gamma_l1 if importance in LEARNED else 0.0
        )
        self._solver = MaskSolver(
            self.groups,
            self.costs,
            self.budgets,
            resolution=self.resolutions[0],
            importance=importance,
            rules=self.rules,
            nested=nested,
            seed=seed,
        )
        self.derive_masks()  # A budget that cannot be met is refused before anything is trained.
        self._masks = [ChannelMask.full(self.groups)] * len(self.budgets)
        self._masked = False
        self._gates = keras.Variable(gates_of(self._masks), trainable=False, name="gates")
        # The step at which joint training begins; a learning rate schedule may follow it.
        self.search_steps = keras.Variable(2**31 - 1, dtype="int32", trainable=False, name="search_steps")
        self._functions = NetworkFunctions(
            supernet, self.groups, divergence=reverse_kl if divergence == "reverse" else forward_kl, seed=seed
        )
        self._functions.use_gates(self._gates)
        self._losses = [keras.metrics.Mean(name=f"{role}_loss") for role in _ROLES]
        self._accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        self.built = True

    def compile(self, optimizer: Any = "sgd", *, jit_compile: bool = False, **kwargs: Any) -> None:
        """Sets the optimizer. Losses are part of the method; XLA is off by default, because resolutions vary.

        Args:
            optimizer: A Keras optimizer. The four networks' gradients are summed (DESIGN D5), as the learning rates of
                US-Net and MutualNet assume. Its own weight decay should be off: see `weight_decay`.
            jit_compile: Whether XLA compiles the step; slower on CPUs.
            **kwargs: `run_eagerly` and `steps_per_execution` of `keras.Model.compile`.

        Raises:
            ValueError: If the optimizer scales the loss, as Keras' does under the policy `mixed_float16`.
        """
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It would divide gradients by a factor that no loss was multiplied with.
            raise ValueError("Expected an optimizer without loss scaling. Received: a LossScaleOptimizer.")
        self.optimizer.build(self.supernet.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit` does, with `MaskSearch` among the callbacks unless a pool is frozen already.

        Args:
            x: Images float32 `[N, R, R, 3]` at the largest resolution, 0..255, or a data set of (images, labels).
            y: Labels, int `[N]` or probabilities `[N, K]`; none with a data set.
            **kwargs: The other arguments of `keras.Model.fit`, but for those of validation: the moving statistics of
                BatchNorm are not trained, so each network is calibrated before it is measured (`evaluate_pool`).

        Returns:
            The history of the losses.

        Raises:
            ValueError: If nothing would ever search the structures, or validation data is given.
        """
        if self.searching and not any(isinstance(each, MaskSearch) for each in _flat(kwargs.get("callbacks"))):
            raise ValueError(
                "Expected MaskSearch among the callbacks of fit, or a pool given to freeze before it. Received: "
                "neither, so no structure would ever be cut out."
            )
        if kwargs.get("validation_data") is not None or kwargs.get("validation_split"):
            raise ValueError(
                "Expected no validation data in fit: networks are measured after calibration, by "
                "ofar_tf.evaluate_pool. Received: validation_data or validation_split."
            )
        # Keras warns of every data set that it cannot shuffle itself.
        kwargs.setdefault("shuffle", not isinstance(x, tf.data.Dataset))
        return super().fit(x, y, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Runs the whole supernet. Its moving statistics are not trained; to use a network, calibrate its subnet."""
        return self.supernet(inputs, training=training)

    @property
    def metrics(self) -> list[Any]:
        """The means over an epoch: the loss of each role, and the teacher's training accuracy."""
        return [*self._losses, self._accuracy]

    @property
    def searching(self) -> bool:
        """Whether structures are still searched."""
        return self.pool is None

    @property
    def masks(self) -> list[ChannelMask]:
        """The masks in force: the pool's, or those of the last search epoch, or, before it, masks that keep all."""
        return list(self.pool.masks) if self.pool is not None else self._masks

    def derive_masks(self, frozen: Sequence[ChannelMask | None] = ()) -> list[ChannelMask]:
        """Cuts one mask per budget from the ranking of the channels as they are now.

        Args:
            frozen: Masks of structures that no longer change; only `nested` reads them.

        Returns:
            One mask per budget, in the order of `budgets`.
        """
        return self._solver.solve([np.asarray(weight) for weight in self.supernet.weights], frozen=frozen)

    def set_masks(self, masks: Sequence[ChannelMask], *, frozen: Sequence[bool]) -> None:
        """Gates the networks that the search trains.

        The teacher stays whole until its own structure is frozen: channels that no network trained could never earn
        their place back, and a mask that cannot change would count as converged.

        Args:
            masks: One per budget.
            frozen: Which of them no longer change.
        """
        self._masks = list(masks)
        if not self._masked:
            self._masked = True
            self._trace_again()
        gates = gates_of(masks)
        gates[0] = gates[0] if frozen[0] else 1.0
        self._gates.assign(gates)

    def freeze(self, pool: PrunedNetworkPool) -> None:
        """Ends the search: from the next step on, the pool's structures are trained jointly, on compact weights.

        Args:
            pool: The structures, as many as there are budgets.

        Raises:
            ValueError: If the number of structures differs from the number of budgets.
        """
        if len(pool) != len(self.budgets):
            raise ValueError(f"Expected {len(self.budgets)} structures. Received: {len(pool)}.")
        self.pool = pool
        self._functions.use_slices(pool.masks)
        self.search_steps.assign(self.optimizer.iterations if self.compiled else 0)
        self._trace_again()

    def _trace_again(self) -> None:
        """Drops the step that Keras has traced; `fit` looks this attribute up at every step."""
        if self.compiled:
            self.make_train_function(force=True)

    @property
    def _networks(self) -> int:
        """How many networks a step runs: four, but where all would be the same one.

        Before the first masks every network is the whole supernet, and at one resolution a student that learns from
        itself has a gradient of zero.
        """
        alone = self.searching and not self._masked and len(self._search_rule.resolutions) == 1
        return 1 if alone else NETWORKS

    def train_step(self, data: Any) -> dict[str, Any]:
        """Runs the sandwich: each of four networks learns from the one before, and one update sums what they learned.

        In the first epoch of a search there are no masks yet, and the teacher runs alone.

        Args:
            data: Images float32 `[B, R, R, 3]` at the largest resolution, 0..255, and labels, int `[B]` or `[B, 1]`, or
                probabilities `[B, K]`.

        Returns:
            The running means of the losses and of the teacher's accuracy.

        Raises:
            ValueError: If the labels have another shape.
        """
        images, labels = data
        step = self.optimizer.iterations.value
        structures, resolutions = (self._search_rule if self.searching else self._joint_rule).draw(step)
        labels = target = self._probabilities(labels)
        passes: list[NetworkPass] = []
        for index, resolution in zip(structures[: self._networks], resolutions, strict=False):
            passes.append(self._functions.run(index, step=step, images=images, resolution=resolution, target=target))
            target = passes[-1].probabilities
        gradients = [tf.add_n(parts) for parts in zip(*(network.gradients for network in passes), strict=True)]
        variables = self.supernet.trainable_variables
        gradients = self._regularization.add_to(gradients, variables, searching=self.searching)
        self.optimizer.apply(gradients, variables)
        return self._update_metrics(labels, passes)

    def _probabilities(self, labels: tf.Tensor) -> tf.Tensor:
        classes = self.supernet.output_shape[-1]
        if labels.shape.rank == 1 or (labels.shape.rank == 2 and labels.shape[-1] == 1):
            return tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), classes)
        if labels.shape.rank != 2 or labels.shape[-1] != classes:
            raise ValueError(f"Expected labels of shape [B], [B, 1] or [B, {classes}]. Received: {labels.shape}.")
        return tf.cast(labels, tf.float32)

    def _update_metrics(self, labels: tf.Tensor, passes: Sequence[NetworkPass]) -> dict[str, Any]:
        for metric, network in zip(self._losses, passes, strict=False):
            metric.update_state(network.loss)
        self._accuracy.update_state(labels, passes[0].probabilities)
        return {metric.name: metric.result() for metric in self.metrics}


def _flat(callbacks: Any) -> Sequence[Any]:
    return callbacks.callbacks if isinstance(callbacks, keras.callbacks.CallbackList) else keras.tree.flatten(callbacks)


def _check_choices(*, divergence: str, gamma_l1: float, weight_decay: float) -> None:
    if divergence not in DIVERGENCES:
        raise ValueError(f"Expected a divergence of {', '.join(DIVERGENCES)}. Received: {divergence!r}.")
    if gamma_l1 < 0.0 or weight_decay < 0.0:
        raise ValueError(
            f"Expected penalties of at least 0. Received: gamma_l1={gamma_l1}, weight_decay={weight_decay}."
        )
