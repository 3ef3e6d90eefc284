"""What a training step does."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class StepSettings(Settings):
    """What a training step does."""

    gamma_l1: float = setting(
        None, "L1 penalty on ranked gammas during the search; by default 0.0001.", low=0.0, suggested=True
    )
    gamma_shrink: float | None = setting(
        None,
        "Instead of --gamma_l1: by how much the penalty may shrink a gamma over the longest search, all in all.",
        low=0.0,
    )
    gamma_init: float | None = setting(
        None, "What ranked gammas start from; by default as the model has them. Network Slimming's is 0.5.", low=1e-6
    )
    search_execution: str = setting(
        "auto",
        "How the search runs its networks: whole, with masks (masked), or compact and traced again each epoch "
        "(sliced); the results are the same, auto takes the faster.",
        choices=("auto", "masked", "sliced"),
    )
    after_search: str = setting(
        "continue",
        "Train the structures on from the weights that the search ends with, or from the initial ones.",
        choices=("continue", "reinitialize"),
    )
    networks_per_step: str | None = setting(
        None,
        "Which networks a step trains: the sandwich of four (largest, two drawn, smallest) or all of the pool.",
        choices=("sandwich", "all"),
    )
    assistants: str = setting(
        "middle",
        "Out of which structures the two networks between the largest and the smallest are drawn: the middle ones, or "
        "all, so that the largest too is trained at smaller resolutions.",
        choices=("middle", "all"),
    )
    search_networks: str = setting(
        None,
        "What a step of the search trains: the largest network alone, or the sandwich, which costs four times as much; "
        "by default the largest, with --recipe=finetune the sandwich.",
        choices=("sandwich", "largest"),
        suggested=True,
    )
    student_labels: float | None = setting(
        None,
        "Share of the labels in what students learn; the rest is what their teacher says. By default as the method has "
        "it: half with ofar.",
        low=0.0,
        high=1.0,
    )
    weights: str | None = setting(
        None, "Whether structures share their weights or each has its own.", choices=("shared", "separate")
    )
    batch_norm: str | None = setting(
        None,
        "calibrated: structures share gamma and beta; switchable: each has its own. Statistics are calibrated for each "
        "structure and resolution with both.",
        choices=("calibrated", "switchable"),
    )
    distillation: str | None = setting(
        None,
        "What a network learns: the output of the one before it (chain), of the largest (star), or the labels (none).",
        choices=("chain", "star", "none"),
    )
    distillation_divergence: str = setting(
        "forward", "KL(teacher, student) or its reverse.", choices=("forward", "reverse")
    )
    clip_norm: float | None = setting(
        None, "Largest norm of a step's gradient, all weights taken together; by default there is none.", low=1e-12
    )
    gradient_accumulation: int = setting(
        1,
        "Parts that a batch is split into, one run after the other, where memory is short; BatchNorm sees each part.",
        low=1,
    )
    networks_at_once: int | None = setting(
        None,
        "How many networks of a step may run at the same time: one saves memory, all four are the fastest on a CPU; by "
        "default one with an accelerator, else all if memory allows it, or two.",
        low=1,
        free=True,
    )
    gradient_checkpointing: str = setting(
        "none",
        "Which networks forget what their layers returned and compute it once more for the gradient, where memory is "
        "short: none, the largest structure, or all; the results are the same up to rounding.",
        choices=("none", "largest", "all"),
    )
    dtype_policy: str = setting(
        "float32",
        "Number formats of the training step; weights stay float32.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit_compile: bool = setting(False, "Compile networks with XLA, one for each structure and resolution; for GPUs.")
    weight_decay: float = setting(1e-4, "L2 penalty on convolution and dense kernels.", low=0.0)
    weight_decay_on: str = setting(
        "all",
        "Whose kernels --weight_decay is on: those of all structures, or only what the largest keeps.",
        choices=("all", "largest"),
    )
    finetune_structures: int = setting(
        0,
        "Epochs after --epochs in which each structure trains on alone, from its slice and on the labels; from then on "
        "structures share nothing that is trained.",
        low=0,
    )
