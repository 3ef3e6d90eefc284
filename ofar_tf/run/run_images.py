"""The images of a run: its data set and splits, and the batches of training, calibration and evaluation."""

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import tensorflow as tf

from ofar_tf import data
from ofar_tf.data import detection
from ofar_tf.data.detection.folder_kinds import named_where_another
from ofar_tf.devices.accelerators import is_accelerated
from ofar_tf.devices.distribution import Distribution, Part
from ofar_tf.files.file_names import readable
from ofar_tf.files.given_path import given_path
from ofar_tf.run.completion import Completion, completed
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.tasks.detection.average_precision import require_coco_tools
from ofar_tf.tasks.detection.fitting_anchors import FittingScale, fitting_scale
from ofar_tf.text.size import Size

_BUNDLED = ("fashion_mnist_mini", "fashion_mnist_scenes")


class RunImages:
    """What a configuration says of images. Nothing is read before it is asked for.

    Args:
        config: The settings of the run.
        data_dir: Where the data set lies, if not where the configuration says.
        distribution: The devices that share batches; this process' own only by default.
    """

    def __init__(self, config: TrainConfig, *, data_dir: str | None = None, distribution: Distribution | None = None):
        self._given = config
        self.distribution = distribution or Distribution()
        self._data_dir = data_dir or config.data_dir
        self._training: dict[tuple[int, int], Any] = {}

    @cached_property
    def completion(self) -> Completion:
        """The settings with what the images suggest where nothing was given; what is left to the method is left open.

        Raises:
            ValueError: If settings that were given do not go with the others.
        """
        return completed(
            self._given,
            images=lambda: self.dataset.num_examples(self._given.train_split),
            anchors=self._fitting_anchors if self._given.detects else None,
        )

    def _fitting_anchors(self) -> FittingScale:
        dataset: Any = self.dataset  # With boxes, as the run detects.
        split, canvas = self._given.train_split, Size.of(max(self._given.resolutions))
        known, boxes = dataset.annotations_of(split), dataset.boxes_on(split, canvas)
        single = ~known.crowd
        return fitting_scale(boxes[single], known.classes[single], canvas=canvas)

    @cached_property
    def config(self) -> TrainConfig:
        """The settings, complete."""
        return self.completion.config.resolved()

    @cached_property
    def dataset(self) -> data.ImageDataset:
        """The data set, with boxes if the run detects."""
        config = self._given
        if config.detects:
            require_coco_tools()
            return detection.load_detection_dataset(config.dataset, data_dir=self._data_dir, download=config.download)
        return data.load_dataset(config.dataset, data_dir=self._data_dir, download=config.download)

    @property
    def resolution(self) -> Size:
        """The largest resolution, at which images leave the pipeline."""
        return Size.of(max(self.config.resolutions))

    @cached_property
    def eval_split(self) -> str:
        """The split that accuracy is measured on.

        Raises:
            ValueError: If none is configured and the data set has none of the usual names.
        """
        if self.config.eval_split:
            return self.config.eval_split
        # Folders that are called so come before those that stand for such a name.
        for splits in (self.dataset.split_sizes, self.dataset.within):
            found = next((name for name in ("validation", "test", "val") if name in splits), None)
            if found:
                return found
        raise ValueError(
            "Expected --eval_split for a data set without a validation or test split, for instance "
            "--train_split='train[:80%]' --eval_split='train[80%:]'. Received: the splits "
            f"{', '.join(self.dataset.splits)} of {self.dataset.name}."
        )

    @property
    def selection_split(self) -> str | None:
        """The split that choices are made on; None where they are made on the evaluation split."""
        return self.config.selection_split

    def check_splits(self) -> None:
        """Refuses splits for training, evaluation and selection that share images (DESIGN D25), or have no labels.

        Raises:
            ValueError: If they do, or there is no such split.
        """
        splits = {"train_split": self.config.train_split, "eval_split": self.eval_split}
        splits |= {"selection_split": self.selection_split} if self.selection_split else {}
        self.dataset.check_disjoint(**splits)
        with self.reading():
            self.dataset.check_labelled(**splits)

    def check_data_dir(self) -> None:
        """Refuses a folder that nothing would read: who leaves out the name of the data set would train on another.

        Raises:
            ValueError: If there is one beside a data set that is part of the package.
        """
        config = self._given
        if config.dataset in _BUNDLED and config.data_dir:
            with named_where_another(config.data_dir, taken_for=config.dataset):
                raise ValueError(
                    f"Expected --dataset beside --data_dir: {config.dataset} is part of the package, and lies in no "
                    f"folder. Received: data_dir={readable(config.data_dir)}."
                )

    def check_place(self, run_dir: Path) -> None:
        """Refuses the folder of a run among folders of classes: later commands would take it for one of them.

        Args:
            run_dir: The folder.

        Raises:
            ValueError: If it lies there.
        """
        config = self._given
        if config.dataset != "image_folder" or self._data_dir is None:
            return
        place, inside = given_path(self._data_dir).resolve(), run_dir.resolve()
        # What is hidden is no class.
        if inside.is_relative_to(place) and not any(part[0] == "." for part in inside.relative_to(place).parts):
            raise ValueError(
                "Expected --run_dir outside of --data_dir, whose folders are classes or splits. "
                f"Received: data_dir={readable(self._data_dir)}, which holds run_dir={readable(run_dir)}."
            )

    @property
    def data_notes(self) -> list[str]:
        """What a user should know of the images of the run, a sentence each."""
        return data.split_notes(self.dataset, train_split=self.config.train_split, eval_split=self.eval_split)

    @property
    def steps_per_epoch(self) -> int:
        """How many whole batches the training split holds."""
        return data.steps_per_epoch(self.dataset, self.config.train_split, self.config.batch_size)

    @property
    def augmentation(self) -> data.Augmentation:
        """How training images are varied."""
        config = self.config
        return data.Augmentation(
            config.augmentation,
            flip=config.flip,
            crop_scale=(config.crop_scale_min, 1.0),
            color_jitter=config.color_jitter,
            rand_augment_layers=config.rand_augment_layers,
            rand_augment_magnitude=config.rand_augment_magnitude,
        )

    @property
    def box_augmentation(self) -> detection.BoxAugmentation:
        """How training images with boxes are varied."""
        config = self.config
        return detection.BoxAugmentation(
            flip=config.flip,
            scale_jitter=config.scale_jitter,
            color_jitter=config.color_jitter,
            mosaic=config.mosaic,
        )

    @property
    def mixing(self) -> data.Mixing:
        """How the images of a batch are mixed."""
        config = self.config
        classes = len(self.dataset.class_names)
        return data.Mixing(classes, mixup_alpha=config.mixup_alpha, cutmix_alpha=config.cutmix_alpha)

    def training_batches(self, *, start_epoch: int, start_step: int = 0) -> Any:
        """Returns the endless, shuffled, augmented batches of training, from a step of an epoch on, for all devices."""
        begin = start_epoch, start_step
        if begin not in self._training:  # Tracing the views takes a second, and a run asks twice: to check, to train.
            self._training[begin] = self.distribution.share_out(
                lambda part: self._training_part(part, start_epoch=start_epoch, start_step=start_step),
                batch_size=self.config.batch_size,
            )
        return self._training[begin]

    def _training_part(self, part: Part, *, start_epoch: int, start_step: int) -> tf.data.Dataset:
        config = self.config
        if isinstance(self.dataset, detection.DetectionDataset):
            return detection.training_batches(
                self.dataset,
                config.train_split,
                batch_size=config.batch_size,
                size=self.resolution,
                augmentation=self.box_augmentation,
                seed=config.seed,
                start_epoch=start_epoch,
                start_step=start_step,
                part=part,
                as_bytes=is_accelerated(),
            )
        return data.training_batches(
            self.dataset,
            config.train_split,
            batch_size=config.batch_size,
            resolution=self.resolution.height,
            augmentation=self.augmentation,
            mixing=self.mixing,
            seed=config.seed,
            start_epoch=start_epoch,
            start_step=start_step,
            part=part,
            as_bytes=is_accelerated(),
        )

    def reading(self) -> AbstractContextManager[None]:
        """Names the image, where one that cannot be read ends the work inside with a `DamagedImageError`."""
        splits = [self.config.train_split, self.calibration_split, self.eval_split]
        return data.explain_damage(self.dataset, *splits, *([self.selection_split] if self.selection_split else []))

    @property
    def calibration_split(self) -> str:
        """The split that BatchNorm and quantization are calibrated on."""
        return self.config.calibration_split or self.config.train_split

    def evaluation_batches(self, *, images: int | None = None) -> tf.data.Dataset:
        """Returns the evaluation split, or its first images, at the largest resolution."""
        return self._plain_batches(self.eval_split, images=images)

    def selection_batches(self, *, images: int | None = None) -> tf.data.Dataset:
        """Returns the images that choices are made on, or the first of them, at the largest resolution."""
        return self._plain_batches(self.selection_split or self.eval_split, images=images)

    def calibration_batches(self, *, images: int | None = None) -> tf.data.Dataset:
        """Returns unaugmented training images for BatchNorm and quantization, at the largest resolution."""
        return self._plain_batches(self.calibration_split, images=images or self.config.calibration_images)

    @property
    def eval_resize(self) -> int:
        """Pixels of the shorter side before the central crop of evaluation and calibration."""
        crops = self.config.augmentation == "random_resized_crop"
        side = self.resolution.height
        return self.config.eval_resize or (round(side * 256 / 224) if crops else side)

    def _plain_batches(self, split: str, *, images: int | None) -> tf.data.Dataset:
        config = self.config
        if isinstance(self.dataset, detection.DetectionDataset):
            return detection.evaluation_batches(
                self.dataset,
                split,
                batch_size=config.eval_batch_size,
                size=self.resolution,
                limit=images,
                part=self.distribution.part,
            )
        return data.evaluation_batches(
            self.dataset,
            split,
            batch_size=config.eval_batch_size,
            resolution=self.resolution.height,
            resize=self.eval_resize,
            limit=images,
            part=self.distribution.part,
        )
