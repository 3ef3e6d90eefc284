"""What a run was trained on and with: `facts.json`, with which later commands compare what they find."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from ofar_tf._version import __version__
from ofar_tf.data.fingerprint import Fingerprint, changed_splits, check_classes
from ofar_tf.data.image_dataset import ImageDataset
from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json
from ofar_tf.models.functional_graph import flat_layers
from ofar_tf.models.user_modules import UserModules
from ofar_tf.run.experiment import Experiment
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.run_images import RunImages

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Preprocessing:
    """How images are made ready for calibration and evaluation.

    Attributes:
        resolution: The largest resolution, in pixels, at which images leave the pipeline: its height.
        resize: Pixels of the shorter side before the central crop; those of the height where images keep their aspect.
        method: How they are resized.
        width: Of the largest resolution, in pixels; None for its height.
    """

    resolution: int
    resize: int
    method: str = "bilinear, half-pixel centres, no antialiasing"
    width: int | None = None


@dataclass(frozen=True)
class SplitFacts:
    """A split that the run uses.

    Attributes:
        use: What for: `train`, `calibration`, `evaluation` or `selection`.
        split: The split string.
        images: How many images it holds.
    """

    use: str
    split: str
    images: int


@dataclass(frozen=True)
class RunFacts:
    """The facts of a run.

    Attributes:
        schema_version: Of the file.
        version: Of this package, when the run began.
        data: The data set: its name, its classes in the order of the logits (the label map), and what its splits held.
        splits: The splits that the run uses.
        preprocessing: What calibration and evaluation do to images.
        dtype_policy: Number formats of the training step.
        batch_norm_parts: In how many parts, of equal size, BatchNorm saw a batch: devices times parts on each.
        network: A digest of the layers of the untrained supernet.
        user_modules: What of the user's code its files need.
        teacher: The SHA-256 of the fixed network that taught, if one did.
    """

    schema_version: int
    version: str
    data: Fingerprint
    splits: tuple[SplitFacts, ...]
    preprocessing: Preprocessing
    dtype_policy: str
    batch_norm_parts: int
    network: str
    user_modules: UserModules
    teacher: str | None = None

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"Expected the facts of a run of schema version {SCHEMA_VERSION}. Received: {self.schema_version}."
            )

    def to_json(self) -> str:
        """Returns the text of `facts.json`."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def require_same_data(self, dataset: ImageDataset) -> None:
        """Compares a data set with the one that the run was trained on.

        Args:
            dataset: The data set as it is now.

        Raises:
            ValueError: If classes were renamed, added, removed or reordered, or a split has other images.
        """
        now = dataset.fingerprint
        check_classes(now, trained=self.data)
        changed = changed_splits(now, trained=self.data)
        for facts in self.splits:
            names = [part.partition("[")[0].strip() for part in facts.split.split("+")]
            unknown = any(name not in self.data.splits for name in names)
            images = dataset.num_examples(facts.split)
            if images != facts.images or any(name in names or unknown for name in changed):
                raise ValueError(
                    f"Expected the {facts.images} images that split {facts.split!r} held when the run began; --data_dir"
                    f" says where they are now. Received: {images} images, some added, removed or renamed since."
                )

    def require_same_run(self, now: "RunFacts") -> None:
        """Compares a run with itself as it would go on now.

        Args:
            now: The facts of this start.

        Raises:
            ValueError: If the network or the user's modules are not those that the run began with.
        """
        changed = [
            module.path
            for module in now.user_modules.modules
            if module.sha256 not in {known.sha256 for known in self.user_modules.modules}
        ]
        if changed:
            raise ValueError(
                f"Expected the modules that the run began with, or another --run_dir. Received: {changed[0]}, which "
                "has changed since."
            )
        if now.teacher != self.teacher:
            raise ValueError(
                "Expected the --teacher that the run began with, or another --run_dir. Received: a file that has "
                "changed since."
            )
        if now.network != self.network:
            raise ValueError(
                "Expected the network that the run began with, or another --run_dir. Received: a network of other "
                "layers; what builds it has changed since."
            )


def facts_of(experiment: Experiment, supernet: keras.Model, user_modules: UserModules) -> RunFacts:
    """Gathers the facts of a run that is about to begin or to go on.

    Args:
        experiment: Its data and devices.
        supernet: Its untrained network.
        user_modules: What `user_modules_of` found in it.
    """
    config, dataset = experiment.config, experiment.images.dataset
    used = {
        "train": config.train_split,
        "calibration": experiment.images.calibration_split,
        "evaluation": experiment.images.eval_split,
        **({"selection": experiment.images.selection_split} if experiment.images.selection_split else {}),
    }
    return RunFacts(
        schema_version=SCHEMA_VERSION,
        version=__version__,
        data=dataset.fingerprint,
        splits=tuple(SplitFacts(use, split, dataset.num_examples(split)) for use, split in used.items()),
        preprocessing=_preprocessing(experiment.images),
        dtype_policy=config.dtype_policy,
        batch_norm_parts=experiment.distribution.replicas * config.gradient_accumulation,
        network=network_digest(supernet),
        user_modules=user_modules,
        teacher=_digest_of_teacher(config.teacher) if config.teacher else None,
    )


def _preprocessing(images: RunImages) -> Preprocessing:
    size = images.resolution
    if not images.config.detects:
        return Preprocessing(size.height, images.eval_resize)
    return Preprocessing(size.height, size.height, "as large as it fits, at the top left, black beside it", size.width)


def _digest_of_teacher(path: str) -> str:
    if not Path(path).is_file():
        raise FileNotFoundError(f"Expected a saved Keras model as --teacher. Received: {path}, which does not exist.")
    return atomic_file.sha256_of(Path(path))


def read_facts(path: Path) -> RunFacts | None:
    """Reads `facts.json`.

    Args:
        path: The file.

    Returns:
        The facts; `None` where there are none, as in a run of version 0.1.0.

    Raises:
        ValueError: If the file holds no facts of a run.
    """
    facts: RunFacts | None = from_json(RunFacts, read_json(path), where=path.name) if path.exists() else None
    return facts


def keep_facts(run_dir: RunDir, now: RunFacts, dataset: ImageDataset) -> RunFacts:
    """Writes the facts of a run that begins, or compares them with those that it began with.

    Args:
        run_dir: Its folder.
        now: The facts of this start.
        dataset: Its data set.

    Returns:
        The facts that the run began with.

    Raises:
        ValueError: If the data, the network or the user's modules are others.
    """
    before = read_facts(run_dir.facts)
    if before is None:
        if run_dir.labels.exists():  # A run that version 0.1.0 began.
            require_same_classes(run_dir.class_names(), dataset)
        atomic_file.write_text(run_dir.facts, now.to_json())
        return now
    before.require_same_data(dataset)
    before.require_same_run(now)
    return before


def require_same_classes(trained: tuple[str, ...], dataset: ImageDataset) -> None:
    """Compares the classes of a data set with those of a run that stored nothing else of it.

    Args:
        trained: Their names, in the order of the logits.
        dataset: The data set as it is now.

    Raises:
        ValueError: If they differ, in names or in order.
    """
    now = dataset.fingerprint
    check_classes(now, trained=replace(now, class_names=trained))


def network_digest(model: keras.Model) -> str:
    """Computes a digest of the layers of a network: their kinds and settings, but not their names or weights.

    The functions of Lambda layers are left out: they do not read the same twice.

    Args:
        model: A functional model.

    Returns:
        64 hexadecimal digits.
    """
    text = json.dumps(list(_described(flat_layers(model))), sort_keys=True, default=str)
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()


def _described(layers: Iterable[Any]) -> Iterable[Any]:
    unstable = ("name", "function", "arguments", "output_shape", "layers", "input_layers", "output_layers")
    for layer in layers:
        config = {} if isinstance(layer, keras.Model) else layer.get_config()
        kept = {key: value for key, value in config.items() if key not in unstable}
        yield type(layer).__name__, kept, [list(weight.shape) for weight in layer.weights]
