"""The model that trains a whole family of networks at once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import GeneratorType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.data.batch_contract import explained
from ofar_tf.data.color import as_rgb
from ofar_tf.devices.accelerators import warn_of_unused_gpu
from ofar_tf.models.shared_code import check_shareable
from ofar_tf.models.user_model import as_classifier, as_supernet, warn_of_frozen_layers
from ofar_tf.pruning.budgets import Budget
from ofar_tf.pruning.channel_groups import ChannelGroups, find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.importance import set_gammas
from ofar_tf.search.mask_solver import MaskSolver
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.search.pool_weights import PoolWeights, weights_of
from ofar_tf.search.pruned_network_pool import PrunedNetworkPool
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tasks.task import Task
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.size import Size
from ofar_tf.tflite.operators import warn_of_missing_operators
from ofar_tf.training.fit_callbacks import callbacks_of_fit
from ofar_tf.training.given_data import checked_data, trusted_data
from ofar_tf.training.keras_arguments import check_compile, check_fit
from ofar_tf.training.optimizer_state import averaged_weights, forget_momenta, restart_averages, suitable
from ofar_tf.training.sandwich_step import SandwichStep
from ofar_tf.training.saved_family import save_family
from ofar_tf.training.step_metrics import StepMetrics
from ofar_tf.training.step_spec import StepSpec


class OnceForAll(keras.Model):
    """Trains a supernet so that every structure of a pool is a good network at every resolution.

    Add `MaskSearch` to the callbacks of `fit`: until it has frozen the structures, each step runs masked networks at
    the search resolutions; from then on it runs compact ones.

    With a `tf.distribute` strategy, make the supernet, this model and the optimizer in its scope. A batch is that of
    all replicas, and so are its gradients; all replicas train the same networks; BatchNorm sees the share of its
    replica, as in US-Net and MutualNet. So n replicas do what one device does with `gradient_accumulation=n`.

    Args:
        supernet: A functional Keras model, or one whose `call` can be opened, images `[B, H, W, 3]` in, what the task
            expects out. Its variables are trained in place.
        pool: What the pool is to be; or the short form of it:
        pruning_rates: shares of prunable channels to remove, in [0, 1), at least two; or
        macs_budgets: multiply-adds at the largest resolution, at least two; with
        resolutions: input sizes in pixels, in any order.
        step: What a step does; the paper's by default.
        teacher: A fixed classifier of logits, larger as a rule, whose probabilities join what the largest structure
            learns (`StepSpec.teacher_share`); none by default.
        task: What the networks learn; by default to tell as many classes apart as the supernet has outputs.
        groups: The channel groups of this very supernet, if they were found already, as the pool says.
        seed: Seed of all draws.

    Raises:
        ValueError: If an argument makes no sense for this supernet.
    """

    def __init__(
        self,
        supernet: keras.Model,
        *,
        pool: PoolSpec | None = None,
        pruning_rates: Sequence[float] = (),
        macs_budgets: Sequence[float | str] = (),
        resolutions: Sequence[int] = (),
        step: StepSpec | None = None,
        task: Task | None = None,
        teacher: keras.Model | None = None,
        groups: ChannelGroups | None = None,
        seed: int = 0,
    ):
        super().__init__(name="once_for_all")
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**31:
            raise ValueError(f"Expected a seed from 0 to {2**31 - 1}. Received: seed={seed!r:.80}.")
        if pool is None:
            pool = PoolSpec.of(pruning_rates=pruning_rates, macs_budgets=macs_budgets, resolutions=resolutions)
        elif any(np.size(values) for values in (pruning_rates, macs_budgets, resolutions)):  # Arrays have no truth.
            raise ValueError("Expected a pool or the short form of one. Received: both.")
        classifies = task is None or isinstance(task, Classification)
        given = supernet
        self.supernet = supernet = (as_classifier if classifies else as_supernet)(supernet, reference="the supernet")
        check_shareable(supernet, reference="the supernet")
        warn_of_frozen_layers(supernet)
        self.spec = pool
        self.step = step or StepSpec()
        self.task: Task = task or Classification(classes=supernet.output_shape[-1])
        self.seed = seed
        self.groups = (groups if supernet is given else None) or find_channel_groups(
            supernet,
            prune_residual_stream=pool.prune_residual_stream,
            excluded=pool.excluded_groups,
            outside=pool.outside,
        )
        if self.step.gamma_init is not None:
            set_gammas(supernet, self.groups, self.step.gamma_init)
        self.costs = Costs(self.groups, pool.predictor)
        self.pool: PrunedNetworkPool | None = None
        self._solver = MaskSolver(self.groups, self.costs, pool, seed=seed)
        # A budget that cannot be met is refused before anything is trained.
        self._solver.solve([np.asarray(weight) for weight in supernet.weights])
        self._masks = [ChannelMask.full(self.groups)] * len(pool.budgets)
        self._sandwich = SandwichStep(
            supernet, self.groups, pool=pool, spec=self.step, task=self.task, seed=seed, teacher=teacher
        )
        # The step at which joint training begins; a learning rate schedule may follow it.
        self.search_steps = keras.Variable(2**31 - 1, dtype="int32", trainable=False, name="search_steps")
        self._form: str | None = None
        self._initial_weights = supernet.get_weights() if self.step.after_search == "reinitialize" else None
        self._step_metrics = StepMetrics(self._sandwich.all_roles, progress=self.task.metric.progress)
        self.built = True

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """What each structure may cost, the largest first."""
        return self.spec.budgets

    @property
    def resolutions(self) -> tuple[Size, ...]:
        """What the networks may see, the largest first."""
        return self.spec.resolutions

    @property
    def frozen_pool(self) -> PrunedNetworkPool:
        """The pool, where the search is over.

        Raises:
            ValueError: If structures are still searched.
        """
        if self.pool is None:
            raise ValueError(
                "Expected a model whose structures are frozen: train it with MaskSearch among the callbacks, until its "
                "search has ended. Received: a model without a pool."
            )
        return self.pool

    @property
    def pool_weights(self) -> PoolWeights:
        """The weights that each structure is cut out of once the pool is frozen, the present ones."""
        return self._sandwich.weights

    @property
    def own_variables(self) -> list[Any]:
        """All variables that belong to one structure only, at whatever time of training."""
        return self._sandwich.own

    @property
    def sensitivity(self) -> keras.Variable | None:
        """The variable that `BY_SENSITIVITY` rank by, see `SandwichStep`; None for other criteria."""
        return self._sandwich.sensitivity

    @property
    def importance(self) -> str:
        """The criterion that ranks channels."""
        return self.spec.importance

    def compile(self, optimizer: Any = "sgd", *, jit_compile: bool = False, **kwargs: Any) -> None:
        """Sets the optimizer; losses are part of the method.

        Args:
            optimizer: A Keras optimizer. The networks' gradients are summed (DESIGN D5), as the learning rates of
                US-Net and MutualNet assume. Its own weight decay and gradient accumulation should be off: see
                `StepSpec`. With `use_ema`, measure inside of `averaged_weights`.
            jit_compile: Refused: see `StepSpec.jit_compile`.
            **kwargs: `run_eagerly` and `steps_per_execution` of `keras.Model.compile`.

        Raises:
            ValueError: If XLA, a loss or a metric is asked for here, or the optimizer accumulates gradients itself, or
                keeps no averages that the pool is to be ranked by.
        """
        check_compile(kwargs, jit_compile=jit_compile)
        optimizer = suitable(optimizer, dtype_policy=self.step.dtype_policy, averages=self.spec.rank_by == "ema")
        super().compile(optimizer=optimizer, jit_compile=False, **kwargs)
        self.optimizer.build(self.trainable_variables)
        self._sandwich.rates.give_to(self.optimizer, self.trainable_variables)

    @property
    def trainable_variables(self) -> list[Any]:
        """The supernet's trainable variables, and those that structures own."""
        return [*self.supernet.trainable_variables, *self.own_variables]

    @property
    def trainable_weights(self) -> list[Any]:
        """The same as `trainable_variables`."""
        return self.trainable_variables

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Puts the moving averages of the weights in their place while it is entered, if the optimizer keeps any."""
        return averaged_weights(self.optimizer, self.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, *, trusted: bool = False, **kwargs: Any) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit` does, with `MaskSearch` among the callbacks unless a pool is frozen already.

        Args:
            x: Images `[N, H, W, 3]`, or gray ones, `[N, H, W]` or `[N, H, W, 1]`, at the largest resolution, 0..255; or
                a data set of (images, labels) or (images, labels, weights), which may be a distributed one.
            y: Labels, int `[N]` or probabilities `[N, K]`; none with a data set.
            trusted: Whether the data need no check, as those of this package; distributed ones are never checked.
            **kwargs: The other arguments of `keras.Model.fit`, except those of validation: the moving statistics of
                BatchNorm are not trained, so each network is calibrated before it is measured (`evaluate_pool`).

        Returns:
            The history of the losses.

        Raises:
            ValueError: If nothing would ever search the structures, validation data or a callback that would do nothing
                is given, the data are not as the task takes them (`Task.checked`), or they end before the last epoch.
        """
        if not self.compiled:
            raise ValueError("Expected compile before fit. Received: a model that was not compiled.")
        warn_of_unused_gpu()
        check_fit(kwargs, classes=self.task.classes if isinstance(self.task, Classification) else None)
        kwargs["callbacks"] = callbacks_of_fit(
            kwargs.get("callbacks"),
            step=self.step,
            searching=self.searching,
            steps_per_epoch=kwargs.get("steps_per_epoch"),
            losses=self._step_metrics.losses,
            progress=self.task.metric.progress,
            once=None if trusted else isinstance(x, GeneratorType),
        )
        given = (x, y, kwargs.pop("sample_weight", None))
        data = (
            trusted_data(*given)
            if trusted
            else checked_data(
                *given,
                task=self.task,
                size=self.resolutions[0],
                steps_per_epoch=kwargs.get("steps_per_epoch"),
                epochs=kwargs.get("epochs", 1) - kwargs.get("initial_epoch", 0),
            )
        )
        # `ofar train` refuses such networks; of several devices' variables nothing is traced here.
        if self._form is None and not trusted and self.distribute_strategy.num_replicas_in_sync == 1:
            warn_of_missing_operators(self.supernet, size=self.resolutions[-1])
        if self._form not in (None, data.form):
            self._trace_again()
        self._form = data.form
        kwargs.setdefault("shuffle", data.shuffled_by_keras)
        with explained():
            return super().fit(data.x, data.y, sample_weight=data.weights, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Refuses: a family has no one loss.

        Raises:
            ValueError: Always, with the name of the function that measures.
        """
        raise ValueError(
            "Expected ofar_tf.evaluate_pool(model, validation, calibration=train), which calibrates and measures every "
            "network of the family. Received: model.evaluate."
        )

    def make_predict_function(self, force: bool = False) -> Any:
        """Refuses, and with it `predict`: without its statistics a network hardly answers better than by chance.

        Raises:
            ValueError: Always, with what gives a network that may be asked.
        """
        raise ValueError(
            "Expected predict of a network of the family, which save(folder) and ofar_tf.load(folder) keep: "
            "family.evaluate calibrates, and family.best() is a plain keras.Model. Received: predict of OnceForAll, "
            "whose BatchNormalization has no statistics."
        )

    def save(self, folder: str | Path, *, labels: Sequence[str] = (), overwrite: bool = False) -> None:
        """Keeps the trained family in a folder, for `ofar_tf.load`: the supernet, the structures, and how they fit.

        The state of the optimizer is not kept; runs of `ofar train` have checkpoints to go on from.

        Args:
            folder: A new or empty folder.
            labels: The class names, in the order of the outputs, if they are to be kept too.
            overwrite: Whether a family that was saved there may be replaced; its table goes with it.

        Raises:
            ValueError: If the structures are not frozen yet, the networks are no classifiers, or the folder holds
                something else.
        """
        save_family(self, folder, labels=labels, overwrite=overwrite)

    def get_config(self) -> dict[str, Any]:
        """Refuses, and with it copies, clones and pickles: they would have neither the structures nor their state.

        Raises:
            NotImplementedError: Always, as Keras expects it, with what keeps a family.
        """
        raise NotImplementedError(
            "Expected save(folder), which ofar_tf.load reads, to keep or copy a family. Received: a request for the "
            "configuration of OnceForAll."
        )

    def __repr__(self) -> str:
        if self.pool is None:
            structures = f"{len(self.budgets)} structures to be found"
        else:
            structures = ", ".join(f"{each.name} ({format_quantity(each.macs)} MACs)" for each in self.pool)
        return f"<OnceForAll of {self.supernet.name}: {structures}; at {', '.join(map(str, self.resolutions))} pixels>"

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Runs the whole supernet. Its moving statistics are not trained; to use a network, calibrate its subnet."""
        return self.supernet(as_rgb(inputs), training=training)

    @property
    def metrics(self) -> list[Any]:
        """The means over an epoch: the loss of each role, and how well the teacher does on training batches."""
        return self._step_metrics.of(self._sandwich.roles)

    @property
    def searching(self) -> bool:
        """Whether structures are still searched."""
        return self.pool is None

    @property
    def phase(self) -> str:
        """What training does now: `head`, `search`, `joint` or `finetune`, when each structure trains on alone."""
        if self._sandwich.rates.head_alone:
            return "head"
        if self.searching:
            return "search"
        return "finetune" if self._sandwich.finetuning else "joint"

    @property
    def masks(self) -> list[ChannelMask]:
        """The masks in force: the pool's, or those of the last search epoch, or, before it, masks that keep all."""
        return list(self.pool.masks) if self.pool is not None else self._masks

    def weights_of(self, mask: ChannelMask) -> Sequence[Any]:
        """Returns the variables that the structure of a mask is cut out of, in the order of the supernet's."""
        return weights_of(mask, supernet=self.supernet, pool=self.pool, weights=self.pool_weights)

    def derive_masks(self, frozen: Sequence[ChannelMask | None] = ()) -> list[ChannelMask]:
        """Cuts one mask per budget from the ranking of the channels as they are now.

        Args:
            frozen: Masks of structures that no longer change; only `nested` reads them.

        Returns:
            One mask per budget, in the order of `budgets`.
        """
        with self.averaged_weights() if self.spec.rank_by == "ema" and self.compiled else nullcontext():
            weights = [np.asarray(weight) for weight in self.supernet.weights]
        seen = None if self.sensitivity is None else np.asarray(self.sensitivity)
        return self._solver.solve(weights, frozen=frozen, sensitivity=seen)

    def set_masks(self, masks: Sequence[ChannelMask], *, frozen: Sequence[bool]) -> None:
        """Gates the networks that the search trains.

        The teacher stays whole until its own structure is frozen: channels that no network trained could never earn
        their place back, and a mask that cannot change would count as converged.

        Args:
            masks: One per budget.
            frozen: Which of them no longer change.
        """
        self._masks = list(masks)
        if self._sandwich.use_masks(masks, frozen=frozen):
            self._trace_again()

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
        self._sandwich.use_pool(pool.masks)
        if self.compiled:
            restart_averages(self.optimizer, self.trainable_variables)
            if self._initial_weights is not None:
                forget_momenta(self.optimizer)
        self.search_steps.assign(self.optimizer.iterations if self.compiled else 0)
        self._trace_again()

    def finetune(self) -> None:
        """Ends joint training: from the next step on each structure trains alone, from the weights that it has.

        Where moving averages are kept, those are what it begins with. `fit` calls it in time.

        Raises:
            ValueError: If structures are still searched, or the step was not made for it (`finetune_structures`).
        """
        if self.searching:
            raise ValueError(
                "Expected structures that are frozen before each trains on alone: fewer search epochs. Received: a "
                "search that is not over."
            )
        with self.averaged_weights() if self.compiled else nullcontext():
            values = [[np.asarray(v) for v in self.pool_weights.of(index)] for index in range(len(self.masks))]
        self._sandwich.finetune(self.masks, values)
        if self.compiled:
            restart_averages(self.optimizer, self.trainable_variables, of=self.pool_weights.own)
        self._trace_again()

    def learn_head_alone(self, alone: bool) -> None:
        """Lets the head learn alone, or everything. `fit` calls it in time, see `StepSpec.head_epochs`."""
        self._sandwich.rates.learn_head_alone(alone)

    def _trace_again(self) -> None:
        """Drops the step that Keras has traced; `fit` looks this attribute up at every step."""
        if self.compiled:
            self.make_train_function(force=True)

    def count_on(self) -> None:
        """Counts steps on from those of the optimizer. `fit` calls it in time, see `DataEnd`."""
        self._sandwich.begin_at(int(np.asarray(self.optimizer.iterations)))

    @property
    def steps_of_epoch(self) -> int:
        """How many steps of the epoch are done; of several devices, the steps of all."""
        return self._step_metrics.steps

    def make_train_function(self, force: bool = False) -> Any:
        """Makes the function that Keras trains by. Steps are counted on from those of the optimizer."""
        self.count_on()
        return super().make_train_function(force=force)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Runs the sandwich: each network learns from its teacher, and one update sums what they learned.

        In the first epoch of a search there are no masks yet, and the teacher runs alone.

        Args:
            data: Images float32 `[B, H, W, 3]`, or gray ones, at the largest resolution, 0..255; labels as the task
                takes them, for classification int `[B]` or `[B, 1]`, or probabilities `[B, K]`; and sample weights
                `[B]` or none.

        Returns:
            The running means of the losses and of the teacher's progress.

        Raises:
            ValueError: If the labels have another shape.
        """
        images, labels, weight = keras.utils.unpack_x_y_sample_weight(data)
        images = as_rgb(tf.cast(images, tf.float32))  # Keras hands on arrays in its `floatx`.
        outcome = self._sandwich.run(images, self.task.targets(labels, weight), optimizer=self.optimizer)
        return self._step_metrics.update(outcome, roles=self._sandwich.roles, strategy=self.distribute_strategy)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing: all is built. Keras' own fails with several processes (keras-team/keras#20585)."""
