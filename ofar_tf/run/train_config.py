"""What a run is: every setting of `ofar_tf.train`, checked on construction, without TensorFlow.

Each field is one flag: its name, its default, its help and its bounds stand here and nowhere else.
"""

import dataclasses
import math
from dataclasses import dataclass

from ofar_tf.run.methods import METHODS
from ofar_tf.run.settings import Settings, setting

# XLA takes a minute and more for a network of ImageNet's size.
_MOST_COMPILED = 200


@dataclass(frozen=True)
class TrainConfig(Settings):
    """The settings of `ofar_tf.train`; saved with the run, and read by every later command."""

    run_dir: str = setting("", "Folder of the run: everything about it is saved here.", free=True)

    dataset: str = setting(
        "fashion_mnist_mini",
        "fashion_mnist_mini (ships with the package), image_folder, or any tensorflow-datasets image classification "
        "set by name: cifar10, imagenette/160px-v2, imagenet2012.",
    )
    data_dir: str | None = setting(None, "Where the data set lies; for image_folder, the folder itself.", free=True)
    download: bool = setting(
        False, "Fetch what is missing: a data set of tensorflow-datasets, Keras' weights.", free=True
    )
    train_split: str = setting("train", "Split to train on, in tfds notation: train, train[:90%].")
    eval_split: str | None = setting(None, "Split to measure accuracy on; by default validation or test.")
    selection_split: str | None = setting(
        None,
        "Split whose accuracy decides what is exported and shipped, so that the figures of --eval_split stay those of "
        "images that had no part in it: train[90%:] with --train_split=train[:90%]; by default the evaluation split.",
    )
    calibration_split: str | None = setting(
        None, "Split to calibrate BatchNorm and quantization on; by default the training split."
    )
    augmentation: str = setting(
        "random_resized_crop",
        "How training images are varied.",
        choices=("none", "pad_and_crop", "random_resized_crop"),
    )
    crop_scale_min: float = setting(0.25, "Least area share of a random resized crop.", low=0.01, high=1.0)
    flip: bool = setting(True, "Mirror half of the training images.")
    color_jitter: float = setting(
        0.0, "Strength of random brightness, contrast, saturation and hue; 0 for none, 0.4 is usual.", low=0.0, high=1.0
    )
    rand_augment_layers: int = setting(0, "Random operations on each image (RandAugment); 2 is usual.", low=0, high=16)
    rand_augment_magnitude: float = setting(9.0, "Strength of RandAugment's operations.", low=0.0, high=10.0)
    mixup_alpha: float = setting(
        0.0, "Blend pairs of images and their labels: parameter of the Beta distribution; 0 for none.", low=0.0
    )
    cutmix_alpha: float = setting(
        0.0, "Paste a window of one image into another, and blend their labels by area; 0 for none.", low=0.0
    )
    label_smoothing: float = setting(
        0.0,
        "Share of each label spread evenly over all classes; only the teacher learns from labels.",
        low=0.0,
        high=0.9,
    )
    eval_resize: int | None = setting(
        None,
        "Pixels of the shorter side before the central crop at evaluation; by default 256/224 of the largest "
        "resolution with random_resized_crop, else the largest resolution.",
        low=1,
    )

    model: str = setting(
        "mobilenet_v2",
        "A built-in network (mobilenet_v2, efficientnet_lite0, resnet20, resnet50, wide_resnet_28_10, ...), one of "
        "Keras' (keras.applications:MobileNetV2), a saved functional Keras model (path.keras), or "
        "package.module:function that builds one.",
    )
    pretrained: str = setting(
        "none",
        "What the weights start from: none, imagenet (for keras.applications, with --download; for efficientnet_lite0 "
        "to 2, from a package) or a .keras or .weights.h5 file, as far as it fits.",
    )
    new_head: bool = setting(False, "Replace the last layer of a saved model by one for the classes of the data set.")
    dropout: float | None = setting(
        None,
        "Share of the head's inputs that training hides; by default as the network's authors have it.",
        low=0.0,
        high=0.99,
    )
    width_multiplier: float = setting(1.0, "Factor on the channels of a built-in network.", low=0.05, high=10.0)
    small_images: bool = setting(False, "Build for images of 20 to 64 pixels: early strides are left out.")
    initial_weights: str | None = setting(None, "A .keras or .weights.h5 file whose weights the supernet starts from.")

    method: str = setting(
        "ofar",
        "What is trained: sets --importance, --distillation, --batch_norm, --networks_per_step, --weights and "
        "--training_resolutions, as far as they are not given.",
        choices=tuple(METHODS),
    )
    pruning_rates: tuple[float, ...] = setting((), "Shares of prunable channels to remove, one for each structure.")
    macs_budgets: tuple[int, ...] = setting(
        (), "Multiply-adds at the largest resolution, one for each structure: 504M,253M. Instead of --pruning_rates."
    )
    budgets: tuple[int, ...] = setting((), "Like --macs_budgets, but in --budget_unit. Instead of the two above.")
    budget_unit: str = setting(
        "macs",
        "What --budgets count: multiply-adds at the largest resolution, parameters, or bytes of the int8 .tflite file "
        "(predicted from three conversions, to a few per cent).",
        choices=("macs", "params", "bytes"),
    )
    resolutions: tuple[int, ...] = setting((224, 192, 160, 128), "Input sizes in pixels.", low=1, high=4096)
    search_resolutions: tuple[int, ...] = setting(
        (), "Input sizes during the search; by default the largest only.", low=1
    )
    training_resolutions: tuple[int, ...] = setting(
        (),
        "Input sizes that joint training draws from; by default all or the largest only, as the method has it.",
        low=1,
    )
    search_epochs: int | None = setting(
        None, "Most epochs the structure search may take; by default a third of --epochs, at most 10.", low=0
    )
    similarity_threshold: float = setting(0.95, "Mask similarity above which a structure is frozen.", low=1e-6, high=1)
    similarity_patience: int = setting(1, "How many times in a row a mask must be unchanged.", low=1)
    importance: str | None = setting(
        None,
        "What ranks channels: the paper's gamma, or a variant or control; by default as the method has it.",
        choices=("gamma", "gamma_per_layer", "gamma_per_mac", "uniform", "random"),
    )
    groups: str | None = setting(
        None, "A file of channel groups, as --write_groups writes it, edited: groups to exclude, floors."
    )
    min_channels: int | None = setting(
        None, "Least channels a group keeps; by default 8, or a quarter of the group where that is less.", low=1
    )
    channel_round_to: int | None = setting(
        None,
        "Kept counts are multiples of this; by default 8, or less where that is more than a quarter of the group.",
        low=1,
    )
    prune_residual_stream: bool = setting(False, "Also prune sums and linear bottlenecks.")
    nested: bool = setting(False, "A structure keeps only channels of the larger ones.")
    gamma_l1: float = setting(1e-4, "L1 penalty on ranked gammas during the search.", low=0.0)
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

    epochs: int = setting(90, "Epochs of the run, the search included.", low=1)
    batch_size: int = setting(128, "Training images per step.", low=1)
    learning_rate: float = setting(0.1, "Learning rate at which joint training starts.", low=1e-12)
    search_learning_rate: float | None = setting(
        None, "Learning rate of the search; by default --learning_rate.", low=1e-12
    )
    learning_rate_decay: str = setting(
        "cosine", "How the learning rate falls to zero, per step.", choices=("cosine", "linear", "constant")
    )
    momentum: float = setting(0.9, "Nesterov momentum of SGD.", low=0.0, high=0.9999)
    weight_decay: float = setting(1e-4, "L2 penalty on convolution and dense kernels.", low=0.0)
    clip_norm: float | None = setting(
        None, "Largest norm of a step's gradient, all weights taken together; by default there is none.", low=1e-12
    )
    ema_momentum: float | None = setting(
        None,
        "Keep moving averages of the weights, measure and ship them: 0.9999 is usual; by default there are none.",
        low=0.0,
        high=0.999999,
    )
    gradient_accumulation: int = setting(
        1,
        "Parts that a batch is split into, one run after the other, where memory is short; BatchNorm sees each part.",
        low=1,
    )
    networks_at_once: int | None = setting(
        None,
        "How many networks of a step may run at the same time, after the largest: one saves memory; by default two on "
        "a CPU, which is faster there.",
        low=1,
        free=True,
    )
    dtype_policy: str = setting(
        "float32",
        "Number formats of the training step; weights stay float32.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    steps_per_execution: int = setting(
        1, "Steps between two looks at the losses; more of them keep a fast GPU busy.", low=1, free=True
    )
    jit_compile: bool = setting(False, "Compile networks with XLA, one for each structure and resolution; for GPUs.")
    distribution: str = setting(
        "none",
        "Devices that share a step: none (one), mirrored (all GPUs of this machine), multi_worker (TF_CONFIG), tpu.",
        choices=("none", "mirrored", "multi_worker", "tpu"),
        free=True,
    )
    seed: int = setting(0, "Seed of weights, data order, augmentation and sandwich draws.", low=0, high=2**31 - 1)

    eval_batch_size: int = setting(250, "Images per step of calibration and evaluation.", low=1, free=True)
    calibration_images: int = setting(2000, "Images that calibrate BatchNorm for each structure and resolution.", low=1)
    checkpoint_steps: int | None = setting(
        None,
        "Steps between two checkpoints within an epoch, for long epochs on machines that may be taken away; by default "
        "one is written when an epoch ends, and one when SIGTERM arrives.",
        low=1,
        free=True,
    )
    validation_every: int = setting(1, "Epochs between two rows of results.csv; 0 for never.", low=0, free=True)
    validation_images: int | None = setting(
        1000, "Evaluation images for results.csv while training; the evaluation split is used whole afterwards.", low=1
    )
    deterministic: bool = setting(False, "Use only operations that give the same bits every time; slower on GPUs.")
    progress: bool = setting(True, "Show a progress bar.", free=True)

    explain: bool = setting(
        False, "Print the channel groups of the model and what cannot be pruned; no run.", free=True
    )
    plan: bool = setting(False, "Print what each structure will cost at each resolution; no run.", free=True)
    write_groups: str | None = setting(None, "Write the channel groups to this new JSON file; no run.", free=True)

    @property
    def only_looks(self) -> bool:
        """Whether the command only prints or writes what it found, and begins no run."""
        return self.explain or self.plan or self.write_groups is not None

    @property
    def has_budgets(self) -> bool:
        """Whether it says what structures may cost."""
        return bool(self.pruning_rates or self.macs_budgets or self.budgets)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.run_dir and not self.only_looks:
            raise ValueError("Expected --run_dir, the folder of the run. Received: none.")
        given = [list(values) for values in (self.pruning_rates, self.macs_budgets, self.budgets) if values]
        if len(given) > 1 or (not given and not self.only_looks):
            raise ValueError(
                "Expected one of --pruning_rates, --macs_budgets and --budgets. "
                f"Received: {' and '.join(map(str, given)) or 'none'}."
            )
        wrong = [rate for rate in self.pruning_rates if not 0.0 <= rate < 1.0]
        if wrong:
            raise ValueError(f"Expected --pruning_rates in [0, 1). Received: {wrong[0]}.")
        if not self.resolutions or len(set(self.resolutions)) < len(self.resolutions):
            raise ValueError(f"Expected different --resolutions, at least one. Received: {list(self.resolutions)}.")
        for name in ("search_resolutions", "training_resolutions"):
            sizes = getattr(self, name)
            if len(set(sizes)) < len(sizes):
                raise ValueError(f"Expected different --{name}. Received: {list(sizes)}.")
            if max(sizes, default=0) > max(self.resolutions):
                raise ValueError(
                    f"Expected --{name} of at most {max(self.resolutions)}, the largest resolution. "
                    f"Received: {list(sizes)}."
                )
        if self.initial_weights and self.pretrained != "none":
            raise ValueError(
                "Expected one of --pretrained and --initial_weights. "
                f"Received: pretrained={self.pretrained}, initial_weights={self.initial_weights}."
            )
        if self.search_epochs is not None and self.search_epochs >= self.epochs:
            raise ValueError(
                "Expected fewer --search_epochs than --epochs, which count both the search and joint training. "
                f"Received: search_epochs={self.search_epochs}, epochs={self.epochs}."
            )
        networks = self._networks_to_compile
        if self.jit_compile and networks > _MOST_COMPILED:
            raise ValueError(
                f"Expected at most {_MOST_COMPILED} networks for --jit_compile, one for each structure, each resolution "
                f"and, with --search_execution=sliced, each epoch of the search. Received: {networks}."
            )
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                "Expected a --batch_size that --gradient_accumulation divides. "
                f"Received: batch_size={self.batch_size}, gradient_accumulation={self.gradient_accumulation}."
            )

    @property
    def _networks_to_compile(self) -> int:
        """How many networks XLA compiles: shapes are fixed when it does, and a mask that has changed is a new one."""
        structures = sum(map(len, (self.pruning_rates, self.macs_budgets, self.budgets)))
        joint = structures * len(self.resolved().training_resolutions)
        searches = self._search_epochs if self.search_execution == "sliced" else 1
        return joint + structures * max(len(self.search_resolutions), 1) * searches

    @property
    def _search_epochs(self) -> int:
        """As given; or a third, so that a search of several epochs can compare masks, and at least one epoch is left."""
        if self.search_epochs is not None:
            return self.search_epochs
        return min(10, math.ceil(self.epochs / 3), self.epochs - 1)

    def resolved(self) -> "TrainConfig":
        """Returns the same configuration with every setting that was left to the method as the method has it."""
        method = METHODS[self.method]
        largest = tuple(sorted(self.resolutions, reverse=True)[:1])
        return dataclasses.replace(
            self,
            importance=self.importance or method.importance,
            distillation=self.distillation or method.distillation,
            batch_norm=self.batch_norm or method.batch_norm,
            networks_per_step=self.networks_per_step or method.networks_per_step,
            weights=self.weights or method.weights,
            search_epochs=self._search_epochs,
            training_resolutions=self.training_resolutions or (self.resolutions if method.all_resolutions else largest),
        )
