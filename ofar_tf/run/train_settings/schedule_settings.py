"""How long and how fast a run learns."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class ScheduleSettings(Settings):
    """How long and how fast a run learns."""

    recipe: str = setting(
        "none",
        "finetune sets what suits a pretrained network, except what is given: --optimizer, --body_learning_rate, "
        "--head_epochs, --warmup_epochs, --search_epochs, --search_networks, --ema_momentum and --importance.",
        choices=("none", "finetune"),
    )
    epochs: int = setting(
        None,
        "Epochs of the search and of joint training; by default as many as suit the number of images and the weights.",
        low=1,
        suggested=True,
    )
    batch_size: int = setting(
        None, "Training images per step; by default as suits their number.", low=1, suggested=True
    )
    learning_rate: float = setting(
        None,
        "Learning rate at which joint training starts; by default as suits the batch, the weights and the optimizer.",
        low=1e-12,
        suggested=True,
    )
    optimizer: str = setting(
        None,
        "SGD with momentum, or AdamW, whose weight decay is apart from the gradient; by default sgd.",
        choices=("sgd", "adamw"),
        suggested=True,
    )
    body_learning_rate: float = setting(
        None,
        "Share of the learning rate that all layers but the head have; by default all of it.",
        low=0.0,
        high=1.0,
        suggested=True,
    )
    head_epochs: int = setting(
        None,
        "Epochs at the start, before the search, in which the head learns alone; by default none.",
        low=0,
        suggested=True,
    )
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
        None,
        "Epochs, after those of the head, over which the learning rate rises to its value; by default none.",
        low=0.0,
        suggested=True,
    )
    momentum: float = setting(0.9, "Nesterov momentum of SGD.", low=0.0, high=0.9999)
    ema_momentum: float | None = setting(
        None,
        "Keep moving averages of the weights, measure and ship them: 0.9999 is usual; by default there are none.",
        low=0.0,
        high=0.999999,
    )
    steps_per_execution: int | None = setting(
        None,
        "Steps that TensorFlow runs at once; more of them keep a fast GPU busy. By default about ten with an "
        "accelerator, such that an epoch is a multiple of them, and 1 without.",
        low=1,
        free=True,
    )
    distribution: str = setting(
        "none",
        "Devices that share a step: none (one), mirrored (all GPUs of this machine), multi_worker (TF_CONFIG), tpu.",
        choices=("none", "mirrored", "multi_worker", "tpu"),
        free=True,
    )
    seed: int = setting(0, "Seed of weights, data order, augmentation and sandwich draws.", low=0, high=2**31 - 1)
