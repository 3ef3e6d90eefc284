"""The model that trains a whole family of networks at once."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.models.resolution import check_resolutions
from ofar_tf.models.user_model import as_classifier, warn_of_frozen_layers
from ofar_tf.pruning.budgets import Budget, check_budgets, parse_budgets
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.importance import LEARNED
from ofar_tf.pruning.slicing import gates_of
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.search.mask_solver import MaskSolver
from ofar_tf.search.pool_weights import PoolWeights, ownership
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool
from ofar_tf.training.distillation import DISTILLATIONS, network_loss
from ofar_tf.training.gradient_accumulation import mean_over_parts
from ofar_tf.training.network_functions import NetworkFunctions
from ofar_tf.training.optimizer_state import averaged_weights, forget_momenta, loss_scale, restart_averages
from ofar_tf.training.regularization import Regularization
from ofar_tf.training.sandwich import SandwichRule
from ofar_tf.training.sandwich_pass import Outcome, SandwichPass
from ofar_tf.training.search_execution import EXECUTIONS
from ofar_tf.training.weight_update import WeightUpdate


class OnceForAll(keras.Model):
    """Trains a supernet so that every structure of a pool is a good network at every resolution.

    Add `MaskSearch` to the callbacks of `fit`: until it has frozen the structures, each step runs masked networks at
    the search resolutions; from then on it runs compact ones.

    With a `tf.distribute` strategy, make the supernet, this model and the optimizer in its scope. A batch is that of
    all replicas, and so are its gradients; all replicas train the same networks; BatchNorm sees the share of its
    replica, as in US-Net and MutualNet. So n replicas do what one device does with `gradient_accumulation=n`.

    Args:
        supernet: A functional or Sequential Keras model, images `[B, R, R, 3]` in, logits `[B, K]` out. Its variables
            are trained in place, but for those of layers that compute in another format than float32: see
            `as_classifier` and the attribute `supernet`.
        pruning_rates: Shares of prunable channels to remove, in [0, 1), at least two; or
        macs_budgets: multiply-adds at the largest resolution, at least two; or
        budgets: budgets of any kind, at least two. Exactly one of the three.
        resolutions: Input sizes in pixels, in any order.
        search_resolutions: Input sizes during the search; the largest only by default (DESIGN D23).
        training_resolutions: Input sizes that joint training draws from; all by default.
        importance: Criterion that ranks channels, see `channel_importance`.
        rules: Floor and rounding of kept channels.
        prune_residual_stream: Whether sums and linear bottlenecks may be pruned (DESIGN D10).
        excluded_groups: Names of channel groups that must not be pruned.
        nested: Whether a structure keeps only channels of the larger ones (DESIGN D16).
        gamma_l1: Weight of the L1 penalty on ranked gammas during the search (DESIGN D14).
        weight_decay: Weight of the L2 penalty, added to the gradient, on convolution and dense kernels only.
        search_execution: How the search runs its networks: `masked`, whole with gates, one trace for all epochs; or
            `sliced`, compact, each traced again when its mask has changed. The same numbers; see `faster_execution`.
        after_search: `continue` trains the structures on from the weights that the search ends with, `reinitialize`
            from the initial ones (DESIGN D15).
        networks_per_step: `sandwich`, the largest, two drawn and the smallest; or `all` structures.
        weights: `shared`, or `separate`: each structure has weights of its own, as if trained alone. The search then
            trains the whole network alone, as Network Slimming does.
        batch_norm: `calibrated`, structures share gamma and beta; `switchable`, each has its own from the end of the
            search on (DESIGN D17). Statistics are calibrated for each structure and resolution with both.
        distillation: Who teaches: `chain`, `star` or `none`, see `DISTILLATIONS`.
        divergence: `forward` or `reverse` KL between teacher and student (DESIGN D3).
        label_smoothing: Share of each label that is spread over all classes, in [0, 1).
        clip_norm: Largest norm of a step's gradient; none by default.
        gradient_accumulation: Parts that a batch is split into to save memory. Each part has BatchNorm statistics of
            its own, and all of them train the networks drawn for the step.
        networks_at_once: How many of a step's networks after the largest may run at the same time. Two take more memory
            than one, and on a CPU less time; an accelerator gains nothing.
        dtype_policy: `float32`, `mixed_bfloat16` or `mixed_float16`: what networks compute in. Weights, losses and the
            supernet that is saved stay float32. `mixed_float16` scales the loss.
        jit_compile: Whether XLA compiles each network for each resolution; slower on CPUs.
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
        training_resolutions: Sequence[int] = (),
        importance: str = "gamma",
        rules: MaskRules | None = None,
        prune_residual_stream: bool = False,
        excluded_groups: Collection[str] = (),
        nested: bool = False,
        gamma_l1: float = 1e-4,
        weight_decay: float = 1e-4,
        search_execution: str = "masked",
        after_search: str = "continue",
        networks_per_step: str = "sandwich",
        weights: str = "shared",
        batch_norm: str = "calibrated",
        distillation: str = "chain",
        divergence: str = "forward",
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        gradient_accumulation: int = 1,
        networks_at_once: int = 1,
        dtype_policy: str = "float32",
        jit_compile: bool = False,
        seed: int = 0,
    ):
        super().__init__(name="once_for_all")
        _check_choices(
            search_execution=(search_execution, EXECUTIONS),
            after_search=(after_search, ("continue", "reinitialize")),
            networks_per_step=(networks_per_step, ("sandwich", "all")),
            distillation=(distillation, DISTILLATIONS),
        )
        if gradient_accumulation < 1:
            raise ValueError(
                f"Expected at least one part of a batch. Received: gradient_accumulation={gradient_accumulation}."
            )
        self.supernet = supernet = as_classifier(supernet, reference="the supernet")
        warn_of_frozen_layers(supernet)
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
        self.search_execution = search_execution
        self.distillation = distillation
        self.label_smoothing = label_smoothing
        self._compute_policy = dtype_policy
        self._parts = gradient_accumulation
        every = networks_per_step == "all"
        search_sizes = self._sizes(search_resolutions, default=self.resolutions[:1])
        training_sizes = self._sizes(training_resolutions, default=self.resolutions)
        check_resolutions(
            supernet,
            {
                "resolutions": self.resolutions,
                "search_resolutions": search_sizes,
                "training_resolutions": training_sizes,
            },
        )
        self._search_rule = SandwichRule(len(self.budgets), search_sizes, seed, every)
        self._joint_rule = SandwichRule(len(self.budgets), training_sizes, seed, every)
        self.pool_weights = PoolWeights(
            supernet, structures=len(self.budgets), owned=ownership(weights=weights, batch_norm=batch_norm)
        )
        self._initial_weights = supernet.get_weights() if after_search == "reinitialize" else None
        regularization = Regularization(
            supernet,
            self.groups,
            weight_decay=weight_decay,
            gamma_l1=gamma_l1 if importance in LEARNED else 0.0,
            originals=self.pool_weights.originals(),
        )
        self._update = WeightUpdate(supernet, self.pool_weights, regularization, clip_norm=clip_norm)
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
            supernet,
            self.groups,
            loss=network_loss(divergence),
            seed=seed,
            dtype_policy=dtype_policy,
            compiled_for=sorted({*search_sizes, *training_sizes}) if jit_compile else (),
        )
        self._functions.use_gates(self._gates)
        self._sandwich = SandwichPass(
            self._functions,
            self._update,
            distillation=self.distillation,
            label_smoothing=self.label_smoothing,
            at_once=networks_at_once,
        )
        self._losses = [keras.metrics.Mean(name=f"{role}_loss") for role in _roles(self._joint_rule.networks)]
        self._accuracy = keras.metrics.Mean(name="accuracy")
        self.built = True

    def _sizes(self, given: Sequence[int], *, default: Sequence[int]) -> tuple[int, ...]:
        sizes = tuple(sorted(given, reverse=True)) or tuple(default)
        if sizes and sizes[0] > self.resolutions[0]:
            raise ValueError(
                f"Expected resolutions to search and train at of at most {self.resolutions[0]}, the largest. "
                f"Received: {list(sizes)}."
            )
        return sizes

    def compile(self, optimizer: Any = "sgd", *, jit_compile: bool = False, **kwargs: Any) -> None:
        """Sets the optimizer; losses are part of the method.

        Args:
            optimizer: A Keras optimizer. The networks' gradients are summed (DESIGN D5), as the learning rates of
                US-Net and MutualNet assume. Its own weight decay and gradient accumulation should be off: see
                `weight_decay` and `gradient_accumulation`. With `use_ema`, measure inside of `averaged_weights`.
            jit_compile: Refused: see `jit_compile` of the constructor.
            **kwargs: `run_eagerly` and `steps_per_execution` of `keras.Model.compile`.

        Raises:
            ValueError: If XLA is asked for here, or the optimizer accumulates gradients itself.
        """
        if jit_compile:
            # XLA needs the resolution when it compiles, and the step draws it when it runs.
            raise ValueError("Expected jit_compile as an argument of OnceForAll. Received: compile(jit_compile=True).")
        if self._compute_policy == "mixed_float16":
            optimizer = keras.optimizers.get(optimizer)
            if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        super().compile(optimizer=optimizer, jit_compile=False, **kwargs)
        if getattr(self.optimizer, "gradient_accumulation_steps", None):
            raise ValueError(
                "Expected gradient_accumulation as an argument of OnceForAll, so that all parts of a batch train the "
                f"same networks. Received: gradient_accumulation_steps={self.optimizer.gradient_accumulation_steps}."
            )
        self.optimizer.build(self.trainable_variables)

    @property
    def trainable_variables(self) -> list[Any]:
        """The supernet's trainable variables, and those that structures own."""
        return [*self.supernet.trainable_variables, *self.pool_weights.own]

    @property
    def trainable_weights(self) -> list[Any]:
        """The same as `trainable_variables`."""
        return self.trainable_variables

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Puts the moving averages of the weights in their place while it is entered, if the optimizer keeps any."""
        return averaged_weights(self.optimizer, self.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit` does, with `MaskSearch` among the callbacks unless a pool is frozen already.

        Args:
            x: Images float32 `[N, R, R, 3]` at the largest resolution, 0..255, or a data set of (images, labels), which
                may be a distributed one.
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
        kwargs.setdefault("shuffle", not isinstance(x, (tf.data.Dataset, tf.distribute.DistributedDataset)))
        return super().fit(x, y, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Runs the whole supernet. Its moving statistics are not trained; to use a network, calibrate its subnet."""
        return self.supernet(inputs, training=training)

    @property
    def metrics(self) -> list[Any]:
        """The means over an epoch: the loss of each role, and the teacher's training accuracy."""
        return [*self._losses, self._accuracy]

    @property
    def _rule(self) -> SandwichRule:
        return self._search_rule if self.searching else self._joint_rule

    @property
    def searching(self) -> bool:
        """Whether structures are still searched."""
        return self.pool is None

    @property
    def masks(self) -> list[ChannelMask]:
        """The masks in force: the pool's, or those of the last search epoch, or, before it, masks that keep all."""
        return list(self.pool.masks) if self.pool is not None else self._masks

    def weights_of(self, mask: ChannelMask) -> Sequence[Any]:
        """Returns the variables that the structure of a mask is cut out of, in the order of the supernet's."""
        if self.pool is None:
            return self.supernet.weights
        return self.pool_weights.of(list(self.pool.masks).index(mask))

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
        whole_teacher = self.pool_weights.separate or not frozen[0]
        running = [ChannelMask.full(self.groups), *masks[1:]] if whole_teacher else list(masks)
        if self.search_execution == "sliced":
            self._functions.use_slices(running)
        else:
            self._gates.assign(gates_of(running))
        if self.search_execution == "sliced" or not self._masked:
            self._trace_again()
        self._masked = True

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
        if self._initial_weights is not None:
            self.supernet.set_weights(self._initial_weights)
        self.pool_weights.take_over()
        if self.compiled:
            restart_averages(self.optimizer, self.trainable_variables)
            if self._initial_weights is not None:
                forget_momenta(self.optimizer)
        self._functions.use_slices(pool.masks, self.pool_weights)
        self.search_steps.assign(self.optimizer.iterations if self.compiled else 0)
        self._trace_again()

    def _trace_again(self) -> None:
        """Drops the step that Keras has traced; `fit` looks this attribute up at every step."""
        if self.compiled:
            self.make_train_function(force=True)

    @property
    def _networks(self) -> int:
        """How many networks a step runs: those of its rule, but where fewer give the same.

        Before the first masks every network is the whole supernet, and at one resolution a student that learns from
        itself has a gradient of zero. Structures with weights of their own do not exist before the search ends.
        """
        same = not self._masked and len(self._search_rule.resolutions) == 1 and self.distillation != "none"
        alone = self.searching and (same or self.pool_weights.separate)
        return 1 if alone else self._rule.networks

    def train_step(self, data: Any) -> dict[str, Any]:
        """Runs the sandwich: each network learns from its teacher, and one update sums what they learned.

        In the first epoch of a search there are no masks yet, and the teacher runs alone.

        Args:
            data: Images float32 `[B, R, R, 3]` at the largest resolution, 0..255, and labels, int `[B]` or `[B, 1]`, or
                probabilities `[B, K]`.

        Returns:
            The running means of the losses and of the teacher's accuracy.

        Raises:
            ValueError: If the labels have another shape.
        """
        images, labels = tf.cast(data[0], tf.float32), data[1]  # Keras hands on arrays in its `floatx`.
        outcome = mean_over_parts(
            self._run_networks, [images, self._probabilities(labels)], parts=self._parts, like=self._nothing
        )
        self._update.apply(self.optimizer, outcome.gradients, searching=self.searching)
        return self._update_metrics(outcome)

    def _run_networks(self, part: Any, images: Any, labels: Any) -> Outcome:
        """Runs the networks of a step, on all of a batch or on a part of it."""
        step, networks = self.optimizer.iterations.value, self._networks
        structures, resolutions = self._rule.draw(step)
        context = tf.distribute.get_replica_context()
        replica = tf.cast(step, tf.int32) * context.num_replicas_in_sync + context.replica_id_in_sync_group
        return self._sandwich.run(
            structures[:networks],
            resolutions[:networks],
            images=images,
            labels=labels,
            noise=replica * self._parts + part,
            loss_scale=loss_scale(self.optimizer),
            searching=self.searching,
        )

    def _nothing(self) -> Outcome:
        return self._sandwich.nothing(self._networks, searching=self.searching)

    def _probabilities(self, labels: tf.Tensor) -> tf.Tensor:
        classes = self.supernet.output_shape[-1]
        if labels.shape.rank == 1 or (labels.shape.rank == 2 and labels.shape[-1] == 1):
            return tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), classes)
        if labels.shape.rank != 2 or labels.shape[-1] != classes:
            raise ValueError(f"Expected labels of shape [B], [B, 1] or [B, {classes}]. Received: {labels.shape}.")
        return tf.cast(labels, tf.float32)

    def _update_metrics(self, outcome: Outcome) -> dict[str, Any]:
        for metric, loss in zip(self._losses, tf.unstack(outcome.losses), strict=False):
            metric.update_state(loss)
        self._accuracy.update_state(outcome.accuracy)
        logs = {metric.name: metric.result() for metric in self.metrics}
        if isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages what several processes log along the first axis.
            return {name: value[tf.newaxis] for name, value in logs.items()}
        return logs

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing: all is built. Keras' own fails with several processes (keras-team/keras#20585)."""


def _roles(networks: int) -> list[str]:
    """Names the networks of a step, largest first."""
    return ["teacher", *(f"assistant_{index}" for index in range(1, networks - 1)), "student"]


def _flat(callbacks: Any) -> Sequence[Any]:
    return callbacks.callbacks if isinstance(callbacks, keras.callbacks.CallbackList) else keras.tree.flatten(callbacks)


def _check_choices(**choices: tuple[str, Sequence[str]]) -> None:
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise ValueError(f"Expected {name} to be one of {', '.join(allowed)}. Received: {value!r}.")
