"""How long and how fast a run learns."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class ScheduleSettings(Settings):
    """How long and how fast a run learns."""

    epochs: int = setting(90, "Epochs of the search and of joint training.", low=1)
    batch_size: int = setting(128, "Training images per step.", low=1)
    learning_rate: float = setting(0.1, "Learning rate at which joint training starts.", low=1e-12)
    search_learning_rate: float | None = setting(
        None, "Learning rate of the search; by default --learning_rate.", low=1e-12
    )
    finetune_learning_rate: float | None = setting(
        None,
        "Learning rate at which --finetune_structures starts; by default a tenth of --learning_rate.",
        low=1e-12,
    )
    learning_rate_decay: str = setting(
        "cosine", "How the learning rate falls to zero, per step.", choices=("cosine", "linear", "constant")
    )
    warmup_epochs: float = setting(
        0.0, "Epochs at the start of the run over which the learning rate rises to its value.", low=0.0
    )
    momentum: float = setting(0.9, "Nesterov momentum of SGD.", low=0.0, high=0.9999)
    ema_momentum: float | None = setting(
        None,
        "Keep moving averages of the weights, measure and ship them: 0.9999 is usual; by default there are none.",
        low=0.0,
        high=0.999999,
    )
    steps_per_execution: int = setting(
        1, "Steps between two looks at the losses; more of them keep a fast GPU busy.", low=1, free=True
    )
    distribution: str = setting(
        "none",
        "Devices that share a step: none (one), mirrored (all GPUs of this machine), multi_worker (TF_CONFIG), tpu.",
        choices=("none", "mirrored", "multi_worker", "tpu"),
        free=True,
    )
    seed: int = setting(0, "Seed of weights, data order, augmentation and sandwich draws.", low=0, high=2**31 - 1)
