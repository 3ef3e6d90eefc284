"""What a training step does: which networks it runs, who teaches whom, and what it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from ofar_tf.search.pool_weights import ownership
from ofar_tf.text.lists import listed
from ofar_tf.text.size import Resolution, Size
from ofar_tf.training.recomputation import CHECKPOINTED
from ofar_tf.training.regularization import DECAYED_NETWORKS
from ofar_tf.training.sandwich import ASSISTANTS
from ofar_tf.training.search_execution import EXECUTIONS

# A network's teacher is the one before it (the paper, Equations 5 to 7), or always the largest (US-Net, MutualNet), or
# none: then all learn from the labels (Slimmable Networks).
DISTILLATIONS = ("chain", "star", "none")
_CHOICES = {
    "search_execution": EXECUTIONS,
    "after_search": ("continue", "reinitialize"),
    "networks_per_step": ("sandwich", "all"),
    "assistants": ASSISTANTS,
    "search_networks": ("sandwich", "largest"),
    "distillation": DISTILLATIONS,
    "weight_decay_on": DECAYED_NETWORKS,
    "gradient_checkpointing": CHECKPOINTED,
    "dtype_policy": ("float32", "mixed_bfloat16", "mixed_float16"),
}


@dataclass(frozen=True)
class StepSpec:
    """The settings of a step. The defaults are the paper's, but that its search trains four networks (DESIGN D23).

    Attributes:
        search_resolutions: What networks may see during the search; only the largest by default (DESIGN D23). Numbers
            are sides of squares.
        training_resolutions: What joint training draws from; all by default.
        networks_per_step: `sandwich`, the largest, two drawn and the smallest; or `all` structures.
        assistants: Out of which structures the two are drawn, see `SandwichRule`.
        search_networks: What a step of the search runs: the `largest` network alone, or the `sandwich`, which costs
            four times as much.
        distillation: Who teaches: `chain`, `star` or `none`, see `DISTILLATIONS`.
        weights: `shared`, or `separate`: each structure has weights of its own, as if trained alone. The search then
            trains the whole network alone, as Network Slimming does.
        batch_norm: `calibrated`, structures share gamma and beta; `switchable`, each has its own from the end of the
            search on (DESIGN D17). Statistics are calibrated for each structure and resolution with both.
        search_execution: How the search runs its networks: `masked`, whole with gates, one trace for all epochs; or
            `sliced`, compact, each traced again when its mask has changed. The same numbers; see `faster_execution`.
        after_search: `continue` trains the structures on from the weights that the search ends with, `reinitialize`
            from the initial ones (DESIGN D15).
        gamma_l1: Weight of the L1 penalty on ranked gammas during the search (DESIGN D14).
        gamma_init: What ranked gammas start from; as the supernet has them by default.
        weight_decay: Weight of the L2 penalty, added to the gradient, on convolution and dense kernels only.
        weight_decay_on: Whose kernels are penalized: those of `all` structures, or only what the `largest` keeps
            (BigNAS). While structures are searched the largest is the whole network.
        finetune_structures: For how many epochs, the last ones of `fit`, each structure trains on alone: from its
            slice, on the labels, at every training resolution. From then on structures share nothing that is trained,
            and the supernet stays as joint training left it. 0 for none.
        teacher_share: How much of what the largest structure learns is said by a fixed teacher, where `OnceForAll` has
            one, in [0, 1]; the rest is the labels.
        head_epochs: In how many epochs, the first ones of `fit`, the head learns alone, before the search begins.
        body_learning_rate: Share of the learning rate that everything but the head has, in [0, 1].
        decoupled_weight_decay: Whether weights decay apart from the gradient, at the pace of the learning rate, as in
            AdamW.
        clip_norm: Largest norm of a step's gradient; none by default.
        gradient_accumulation: Parts that a batch is split into to save memory. Each part has BatchNorm statistics of
            its own, and all of them train the networks drawn for the step.
        networks_at_once: How many of a step's networks may run at the same time; the largest is one of them only where
            all may, and runs before the others where fewer may. By default one on an accelerator, and on a CPU, where
            more are faster, all of them if memory allows it (`networks_that_fit`).
        gradient_checkpointing: Which networks hold few of their activations and compute the others once more in the
            backward pass (`recomputation`): `none`, the `largest`, or `all`. While structures are searched with masks
            each is the whole network, so `largest` means all.
        dtype_policy: `float32`, `mixed_bfloat16` or `mixed_float16`: what networks compute in. Weights, losses and the
            supernet that is saved stay float32. `mixed_float16` scales the loss.
        jit_compile: Whether XLA compiles each network for each resolution; slower on CPUs.

    Raises:
        ValueError: If one makes no sense.
    """

    search_resolutions: Sequence[Resolution] = ()
    training_resolutions: Sequence[Resolution] = ()
    networks_per_step: str = "sandwich"
    assistants: str = "middle"
    search_networks: str = "largest"
    distillation: str = "chain"
    weights: str = "shared"
    batch_norm: str = "calibrated"
    search_execution: str = "masked"
    after_search: str = "continue"
    gamma_l1: float = 1e-4
    gamma_init: float | None = None
    weight_decay: float = 1e-4
    weight_decay_on: str = "all"
    finetune_structures: int = 0
    teacher_share: float = 0.5
    head_epochs: int = 0
    body_learning_rate: float = 1.0
    decoupled_weight_decay: bool = False
    clip_norm: float | None = None
    gradient_accumulation: int = 1
    networks_at_once: int | None = None
    gradient_checkpointing: str = "none"
    dtype_policy: str = "float32"
    jit_compile: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"Expected {name} to be one of {', '.join(allowed)}. Received: {getattr(self, name)!r}."
                )
        for name in ("search_resolutions", "training_resolutions"):
            listed(name, getattr(self, name))
        ownership(weights=self.weights, batch_norm=self.batch_norm)
        for name in ("gamma_l1", "weight_decay"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"Expected {name} of at least 0. Received: {name}={getattr(self, name)}.")
        if self.clip_norm is not None and not self.clip_norm > 0.0:
            raise ValueError(f"Expected a positive clip_norm. Received: {self.clip_norm}.")
        if self.gradient_accumulation < 1:
            raise ValueError(
                f"Expected at least one part of a batch. Received: gradient_accumulation={self.gradient_accumulation}."
            )
        if self.finetune_structures < 0 or (self.finetune_structures and self.weights == "separate"):
            raise ValueError(
                "Expected at least 0 epochs of finetune_structures, and none with separate weights: those structures "
                f"train alone from the search on. Received: finetune_structures={self.finetune_structures}, "
                f"weights={self.weights}."
            )
        if not 0.0 <= self.teacher_share <= 1.0:
            raise ValueError(f"Expected teacher_share in [0, 1]. Received: teacher_share={self.teacher_share}.")
        if self.head_epochs < 0 or not 0.0 <= self.body_learning_rate <= 1.0:
            raise ValueError(
                "Expected at least 0 head_epochs and a body_learning_rate in [0, 1]. "
                f"Received: head_epochs={self.head_epochs}, body_learning_rate={self.body_learning_rate}."
            )
        if self.networks_at_once is not None and self.networks_at_once < 1:
            raise ValueError(
                f"Expected at least one network at once. Received: networks_at_once={self.networks_at_once}."
            )

    def search_sizes(self, resolutions: Sequence[Size]) -> tuple[Size, ...]:
        """What networks may see during the search, the largest first.

        Args:
            resolutions: Those of the pool, the largest first.

        Raises:
            ValueError: If one is larger than the pool's largest.
        """
        return _sizes(self.search_resolutions, resolutions) or tuple(resolutions[:1])

    def training_sizes(self, resolutions: Sequence[Size]) -> tuple[Size, ...]:
        """What joint training draws from, the largest first; arguments and errors as for `search_sizes`."""
        return _sizes(self.training_resolutions, resolutions) or tuple(resolutions)

    @property
    def owned(self) -> str:
        """What each structure has of its own in joint training, see `ownership`."""
        return ownership(weights=self.weights, batch_norm=self.batch_norm)


def _sizes(given: Sequence[Resolution], resolutions: Sequence[Size]) -> tuple[Size, ...]:
    sizes = tuple(sorted(map(Size.of, given), reverse=True))
    if any(size.height > resolutions[0].height or size.width > resolutions[0].width for size in sizes):
        raise ValueError(
            f"Expected resolutions to search and train at of at most {resolutions[0]}, the largest. "
            f"Received: {', '.join(map(str, sizes))}."
        )
    return sizes
