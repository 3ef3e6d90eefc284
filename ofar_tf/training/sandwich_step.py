"""One training step: which networks it runs now, what they learn, and the one update that sums it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.devices.accelerators import on_host
from ofar_tf.models.resolution import check_resolutions
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.importance import BY_GAMMA, BY_SENSITIVITY
from ofar_tf.pruning.sensitivity import GateSensitivity
from ofar_tf.pruning.slicing import gates_of
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.search.pool_weights import PoolWeights
from ofar_tf.tasks.task import Nest, Task
from ofar_tf.training.fixed_teacher import teaching
from ofar_tf.training.gradient_accumulation import mean_over_parts
from ofar_tf.training.network_functions import NetworkFunctions
from ofar_tf.training.optimizer_state import loss_scale
from ofar_tf.training.part_rates import PartRates
from ofar_tf.training.regularization import Regularization
from ofar_tf.training.sandwich import SandwichRule
from ofar_tf.training.sandwich_pass import Outcome, SandwichPass
from ofar_tf.training.step_rules import StepRules
from ofar_tf.training.step_spec import StepSpec
from ofar_tf.training.weight_update import WeightUpdate


class SandwichStep:
    """Runs the sandwich on the networks in force: masked ones while structures are searched, then the pool's.

    At the very end, if that is wanted, every structure trains on alone, on weights of its own.

    Args:
        supernet: The functional model whose variables are trained.
        groups: Its channel groups.
        pool: What the pool is to be.
        spec: What a step does.
        task: What the networks learn.
        seed: Seed of all draws.
        teacher: A fixed network whose outputs join what the largest structure learns; none by default.

    Attributes:
        weights: The weights that each structure is cut out of once the pool is frozen, the present ones.
        own: All variables that belong to one structure only, at whatever time.
        searching: Whether structures are still searched.
        rates: The learning rates of the head and the body.
        finetuning: Whether each structure trains on alone.
        sensitivity: float32 `[channels]`, how much the loss depended on each channel, summed over the steps since masks
            were taken last; None where the criterion does not ask.

    Raises:
        ValueError: If the supernet cannot run at a resolution, or a setting makes no sense for it.
    """

    def __init__(
        self,
        supernet: keras.Model,
        groups: ChannelGroups,
        *,
        pool: PoolSpec,
        spec: StepSpec,
        task: Task,
        seed: int,
        teacher: keras.Model | None = None,
    ):
        self._rules = StepRules.of(pool, spec, seed=seed)
        check_resolutions(supernet, {"resolutions": pool.resolutions, **self._rules.sizes}, outside=pool.outside)
        structures = len(pool.budgets)
        self._groups = groups
        self._spec = spec
        self.searching = True
        self.finetuning = False
        self._teach = teaching(teacher, task, share=spec.teacher_share) if teacher is not None else None
        # Before the first masks every network is the whole supernet, and at one resolution a student that learns from
        # itself has a gradient of zero; what labels it learns beside are the teacher's, once more. How many run is a
        # variable, since another trace would take longer than they do.
        same = len(self._rules.search.sizes) == 1 and spec.distillation != "none"
        with on_host():
            self._running = keras.Variable(1 if same else self._rules.search.networks, trainable=False, dtype="int32")
            # The optimizer's own count lies on the accelerator, which would have to be waited for at every step.
            self._done = keras.Variable(0, trainable=False, dtype="int32", aggregation="only_first_replica")
        weights = partial(PoolWeights, supernet, structures=structures)
        self.weights = weights(owned=spec.owned)
        self._alone = weights(owned="everything") if spec.finetune_structures else None
        originals = {**self.weights.originals(), **(self._alone.originals() if self._alone else {})}
        self.own = [*self.weights.own, *(self._alone.own if self._alone else ())]
        self._regularization = Regularization(
            supernet,
            groups,
            weight_decay=spec.weight_decay,
            gamma_l1=spec.gamma_l1 if pool.importance in BY_GAMMA else 0.0,
            decoupled=spec.decoupled_weight_decay,
            originals=originals,
        )
        self.rates = PartRates(
            supernet, spec, decay=self._regularization.decay_of, originals=originals, outside=groups.outside
        )
        self._update = WeightUpdate(supernet, self.weights, self._regularization, clip_norm=spec.clip_norm)
        whole = gates_of([ChannelMask.full(groups)] * structures)
        self.gates = keras.Variable(whole, dtype="float32", trainable=False, name="gates")
        self._functions = NetworkFunctions(
            supernet, groups, task=task, seed=seed, spec=spec, sizes=self._rules.all_sizes
        )
        self._functions.use_gates(self.gates)
        self._sandwich = SandwichPass(
            self._functions,
            task,
            self._update,
            distillation=spec.distillation,
            at_once=spec.networks_at_once,
            sensitivity=GateSensitivity(supernet, groups) if pool.importance in BY_SENSITIVITY else None,
        )
        self.sensitivity = _sum_over_steps(groups.size) if self._sandwich.sensitivity else None

    def begin_at(self, step: int) -> None:
        """Counts on from so many steps: the networks of a step are drawn by its number.

        The host's count waits for nothing of the accelerator, and so has a step too many where data ended within one.
        """
        self._done.assign(step)

    @property
    def roles(self) -> list[str]:
        """Names the networks of a step, largest first; those of a search's step have the names of joint training."""
        rule = self._rules.alone if self.finetuning else self._rules.joint
        return rule.roles[: self.networks]

    @property
    def all_roles(self) -> list[str]:
        """Names the networks of all steps."""
        alone = self._rules.alone.roles if self._alone else []
        return list(dict.fromkeys([*self._rules.joint.roles, *alone]))

    @property
    def rule(self) -> SandwichRule:
        """What draws the networks now."""
        if self.finetuning:
            return self._rules.alone
        return self._rules.search if self.searching else self._rules.joint

    def use_masks(self, masks: Sequence[ChannelMask], *, frozen: Sequence[bool]) -> bool:
        """Gates the networks that the search trains, see `OnceForAll.set_masks`, and measures sensitivity anew.

        Args:
            masks: See there.
            frozen: See there.

        Returns:
            Whether a step that was traced before no longer holds.
        """
        if self.sensitivity is not None:
            self.sensitivity.assign(np.zeros(self.sensitivity.shape))
        whole_teacher = self.weights.separate or not frozen[0]
        running = [ChannelMask.full(self._groups), *masks[1:]] if whole_teacher else list(masks)
        self._running.assign(self._rules.search.networks)
        if self._spec.search_execution != "sliced":
            self.gates.assign(gates_of(running))
            return False
        before = self._functions.traced[: self.networks]
        self._functions.use_slices(running)
        return self._functions.traced[: self.networks] != before

    def use_pool(self, masks: Sequence[ChannelMask]) -> None:
        """Ends the search: runs the pool's structures on compact weights, of their own as far as they own some.

        Args:
            masks: The structures' masks, the largest first.
        """
        self.searching = False
        self.weights.take_over()
        self._run_pool(masks)

    def finetune(self, masks: Sequence[ChannelMask], values: Sequence[Sequence[Any]]) -> None:
        """Ends joint training: from the next step on every structure trains alone, on the labels.

        Args:
            masks: The structures' masks, the largest first.
            values: What each structure begins with, one array for each of the supernet's weights.

        Raises:
            ValueError: If the step was not made for it.
        """
        if self._alone is None:
            raise ValueError("Expected finetune_structures of at least 1 in the StepSpec. Received: 0.")
        self._alone.take_over(values)
        self.finetuning, self.weights = True, self._alone
        self._update = replace(self._update, weights=self.weights)
        self._sandwich = replace(self._sandwich, update=self._update, distillation="none")
        self._run_pool(masks)

    def _run_pool(self, masks: Sequence[ChannelMask]) -> None:
        if self._spec.weight_decay_on == "largest":
            self._regularization.decay_only(self.weights.of(0), masks[0])
        self._functions.use_slices(masks, self.weights)

    @property
    def networks(self) -> int:
        """How many networks a step is made for.

        Structures with weights of their own do not exist before the search ends.
        """
        alone = self.searching and (self.weights.separate or self._spec.search_networks == "largest")
        return 1 if alone else self.rule.networks

    def run(self, images: tf.Tensor, targets: Nest, *, optimizer: Any) -> Outcome:
        """Runs the networks of a step and updates the weights once.

        Args:
            images: float32 `[B, H, W, 3]` at the largest resolution, 0..255.
            targets: Those of the images, as `Task.targets` returns them.
            optimizer: A built Keras optimizer.

        Returns:
            What the networks lost, and how well the largest did.
        """

        def run_part(part: Any, batch: Any) -> Outcome:
            return self._run_part(part, *batch, optimizer=optimizer)

        outcome: Outcome = mean_over_parts(
            run_part,
            (images, targets),
            parts=self._spec.gradient_accumulation,
            like=lambda: self._sandwich.nothing(self.networks, searching=self.searching),
        )
        if self.searching and self.sensitivity is not None:
            scale = loss_scale(optimizer)
            seen = outcome.sensitivity if scale is None else outcome.sensitivity / scale
            # A step whose scaled gradients overflow is left out, as it is by the optimizer.
            self.sensitivity.assign_add(tf.where(tf.math.is_finite(seen), seen, 0.0))
        # Data that do not say how many they are end within a step, of which TensorFlow still does what needs no image:
        # counts it, and shrinks weights.
        with tf.control_dependencies([outcome.losses]):
            self._update.apply(optimizer, outcome.gradients, searching=self.searching)
        self._done.assign_add(1)
        return outcome

    def _run_part(self, part: Any, images: tf.Tensor, targets: Nest, *, optimizer: Any) -> Outcome:
        """Runs the networks on all of a batch or on a part of it."""
        scale, networks = loss_scale(optimizer), self.networks
        # A step whose scaled gradients overflow does not count, which only the optimizer knows.
        step = (self._done if scale is None else optimizer.iterations).value
        structures, sizes = self.rule.draw(step)
        context = tf.distribute.get_replica_context()
        replica = tf.cast(step, tf.int32) * context.num_replicas_in_sync + context.replica_id_in_sync_group
        return self._sandwich.run(
            structures[:networks],
            sizes[:networks],
            images=images,
            targets=targets,
            noise=replica * self._spec.gradient_accumulation + part,
            loss_scale=scale,
            running=self._running.value if self.searching else None,
            searching=self.searching,
            students=self.rule.students,
            taught=self._teach(images, targets) if self._teach else None,
        )


def _sum_over_steps(channels: int) -> keras.Variable:
    return keras.Variable(np.zeros(channels), dtype="float32", trainable=False, aggregation="mean", name="sensitivity")
